"""Which call builds our network in another library, so that it takes our weights as they are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from effnet.errors import UsageError, some
from effnet.layouts.catalogue import LAYOUTS, Layout
from effnet.spec import netspec
from effnet.spec.netspec import NetSpec

Library = Literal["timm", "torchvision"]

_SIZES = {"b": range(8), "lite": range(5), "v2-": "sml"}


def _sized(patterns: Mapping[str, str]) -> dict[str, str]:
    """Name the networks of whole families: pattern by the beginning of our names."""
    return {
        f"{prefix}{size}": pattern.format(size)
        for prefix, pattern in patterns.items()
        for size in _SIZES[prefix]
    }


_RESNETS = {"resnet-18": "resnet18", "resnet-50": "resnet50"}

NAMES: Mapping[Library, Mapping[str, Mapping[str, str]]] = {
    "timm": {
        "timm": _sized({"b": "efficientnet_b{}", "lite": "efficientnet_lite{}", "v2-": "efficientnetv2_{}"})
        | {"mobilenet-v1": "mobilenetv1_100", "mobilenet-v2": "mobilenetv2_100"},
        "resnet": _RESNETS,
    },
    "torchvision": {
        "torchvision": _sized({"b": "efficientnet_b{}", "v2-": "efficientnet_v2_{}"}),
        "mobilenet": {"mobilenet-v2": "mobilenet_v2"},
        "resnet": _RESNETS,
    },
}
"""By library and layout: its name of each of our networks."""

_FIXED_EPS = dict.fromkeys(("b5", "b6", "b7", "v2-s", "v2-m", "v2-l"), 0.001)
"""Networks of torchvision whose epsilon no argument changes."""
_TORCH_EPS, _TF_EPS = 1e-5, 1e-3


@dataclass(frozen=True)
class Builder:
    """A call that builds a network in another library."""

    layout: Layout
    code: str
    """Python: an expression."""
    imports: str
    """What it needs."""


def builder(library: Library, spec: NetSpec, num_classes: int) -> Builder:
    """Find the call that builds a network in a library.

    Raises:
        UsageError: the library has no such network; the message says what is different in the nearest.

    """
    for layout_name, names in NAMES[library].items():
        layout = LAYOUTS[layout_name]
        known = next((known for known in layout.networks if core(known) == core(spec)), None)
        if known is not None and known.name in names:
            write = _timm_call if library == "timm" else _torchvision_call
            return write(layout, names[known.name], replace(spec, name=known.name), num_classes)
    raise UsageError(f"{library} has no network like {spec.name}: {_nearest(library, spec)}")


def core(spec: NetSpec) -> NetSpec:
    """Return what of a network no argument of a library changes."""
    return replace(
        spec,
        name="core",
        resolution=1,
        dropout=0.0,
        drop_path=0.0,
        in_channels=3,
        padding="symmetric",
        bn_eps=_TORCH_EPS,
        bn_momentum=0.1,
    )


def _timm_call(layout: Layout, name: str, spec: NetSpec, num_classes: int) -> Builder:
    options, imports = [f"num_classes={num_classes}"], "import timm"
    if spec.in_channels != 3:
        options.append(f"in_chans={spec.in_channels}")
    if layout.name == "resnet":
        _need_symmetric("timm", spec)
        if spec.bn_eps != _TORCH_EPS:
            options.append(f"norm_layer=partial(nn.BatchNorm2d, eps={spec.bn_eps!r})")
            imports += "\nfrom functools import partial\nfrom torch import nn"
    elif spec.padding == "same" and spec.bn_eps == _TF_EPS and name.startswith("efficientnet"):
        name = f"tf_{name}"
    else:
        options += ['pad_type="same"'] if spec.padding == "same" else []
        options += [f"bn_eps={spec.bn_eps!r}"] if spec.bn_eps != _TORCH_EPS else []
    return Builder(layout, f'timm.create_model("{name}", {", ".join(options)})', imports)


def _torchvision_call(layout: Layout, name: str, spec: NetSpec, num_classes: int) -> Builder:
    _need_symmetric("torchvision", spec)
    if spec.in_channels != 3:
        raise UsageError(f"torchvision's networks take 3 channels, and this one {spec.in_channels}")
    options, imports = [f"num_classes={num_classes}"], "from torchvision import models"
    fixed = _FIXED_EPS.get(spec.name)
    if fixed not in (None, spec.bn_eps):
        raise UsageError(
            f"torchvision builds {name} with a BN eps of {fixed:g}, and this one has {spec.bn_eps:g}"
        )
    if fixed is None and spec.bn_eps != _TORCH_EPS:
        options.append(f"norm_layer=partial(nn.BatchNorm2d, eps={spec.bn_eps!r})")
        imports += "\nfrom functools import partial\nfrom torch import nn"
    return Builder(layout, f"models.{name}({', '.join(options)})", imports)


def _need_symmetric(library: Library, spec: NetSpec) -> None:
    if spec.padding != "symmetric":
        raise UsageError(
            f"{library} pads {spec.name} symmetrically, and this one is padded as TensorFlow does"
        )


def _nearest(library: Library, spec: NetSpec) -> str:
    """Say which of a library's networks is nearest, and what is different in it."""
    every = [
        (names[known.name], list(_differences(core(spec), core(known))))
        for layout, names in NAMES[library].items()
        for known in LAYOUTS[layout].networks
        if known.name in names
    ]
    name, differences = min(every, key=lambda pair: len(pair[1]))
    return f"the nearest is {name}, but {some(differences, limit=3)}"


def _differences(ours: NetSpec, theirs: NetSpec) -> Iterator[str]:
    mine, other = _flat(netspec.to_dict(ours)), _flat(netspec.to_dict(theirs))
    for key in mine | other:
        if mine.get(key) != other.get(key):
            yield f"{key} is {mine.get(key, 'not there')} (there {other.get(key, 'missing')})"


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Return nested values by their paths, such as `stages.0.stride`."""
    items = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    )
    if items is None:
        return {path.removeprefix("."): value}
    return {key: leaf for name, inner in items for key, leaf in _flat(inner, f"{path}.{name}").items()}
