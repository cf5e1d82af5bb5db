"""The same networks in other libraries, where these are installed; nothing here is used unless asked for."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from effnet.benching.modes import Library
from effnet.errors import EffnetError, MissingExtraError
from effnet.spec.families import NETWORKS
from effnet.spec.netspec import NetSpec

LIBRARIES: tuple[Library, ...] = ("timm", "torchvision")

TORCHVISION_NAMES = {
    "mobilenet-v2": "mobilenet_v2",
    "resnet-18": "resnet18",
    "resnet-50": "resnet50",
    "resnet-152": "resnet152",
}
TIMM_NAMES = {
    "mobilenet-v1": "mobilenetv1_100",  # without a convolution before the classifier, which `_100h` has
    "mobilenet-v2": "mobilenetv2_100",
    "resnet-18": "resnet18",
    "resnet-50": "resnet50",
    "resnet-152": "resnet152",
}
NAMES: Mapping[Library, Mapping[str, str]] = {
    "timm": TIMM_NAMES,  # its EfficientNets are made of its blocks, any of ours that it has blocks for
    "torchvision": TORCHVISION_NAMES | {f"b{number}": f"efficientnet_b{number}" for number in range(8)},
}

TIMM_BLOCKS = {
    ("mbconv", True): "ir",
    ("mbconv", False): "ds",
    ("fused-mbconv", True): "er",
    ("fused-mbconv", False): "cn",
    ("separable", False): "dsa",
}
"""timm's block by ours and whether it expands."""


class NoPeerError(EffnetError):
    """A library has no network that computes the same."""


def need(library: Library) -> None:
    """Make sure that a library can be imported.

    Raises:
        MissingExtraError: it is not installed, or it breaks while it is imported.

    """
    if find_spec(library) is None:
        raise MissingExtraError(
            f"--against {library} needs {library}; install it with: pip install {library}, or leave it out"
        )
    try:
        load(library)
    except (ImportError, OSError, RuntimeError) as error:
        words = " ".join(str(error).split())
        raise MissingExtraError(
            f"--against {library}: it is installed and cannot be imported here: {words}; "
            f"install one made for torch {torch.__version__}: pip install -U {library}"
        ) from None


def load(library: Library) -> None:
    """Import a library; timm imports torchvision."""
    declare_operators()
    if library == "timm":
        import timm.optim
        import timm.utils.model_ema  # noqa: F401
    else:
        import torchvision.models  # noqa: F401


_declared: list[torch.library.Library] = []
"""What stands in for torchvision's extension; operators are declared as long as it lives."""


def declare_operators() -> None:
    """Let torchvision import beside a torch build that its binary extension was not made for."""
    package = find_spec("torchvision")
    if _declared or package is None or package.origin is None:
        return
    try:
        torch.ops.load_library(Path(package.origin).with_name("_C.so"))  # type: ignore[no-untyped-call]
    except OSError:
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
        _declared.append(library)


def builder(spec: NetSpec, num_classes: int, library: Library) -> Callable[[], nn.Module]:
    """Return what builds a library's network that computes what a spec says, but for its weights.

    Raises:
        NoPeerError: the library has none.

    """
    if spec.padding != "symmetric":
        raise NoPeerError(f"{library} is compared with symmetric padding only, and {spec.name} has another")
    name = known_name(spec, NAMES[library])
    if library == "torchvision":
        if name is None or spec.in_channels != 3:
            raise NoPeerError(f"torchvision has no {spec.name}; it has {', '.join(NAMES[library])}")
        return partial(_torchvision, spec, num_classes, NAMES[library][name])
    if name is not None:
        return partial(_timm, spec, num_classes, TIMM_NAMES[name])
    if (
        any((stage.block, stage.expand_ratio > 1) not in TIMM_BLOCKS for stage in spec.stages)
        or spec.stem.pool
    ):
        raise NoPeerError(f"timm's blocks do not make {spec.name}")
    if spec.activation != "silu":
        raise NoPeerError(f"timm's blocks are compared with SiLU only, and {spec.name} has {spec.activation}")
    return partial(timm_net_of, spec, num_classes)


def known_name(spec: NetSpec, names: Mapping[str, str]) -> str | None:
    """Return the name under which a network is known, its resolution and its rates aside."""

    def shape(other: NetSpec) -> tuple[Any, ...]:
        return other.stem, other.stages, other.head, other.activation

    return next((name for name in names if name in NETWORKS and shape(NETWORKS[name]) == shape(spec)), None)


def build(spec: NetSpec, num_classes: int, library: Library, weights: Sequence[Tensor]) -> nn.Module:
    """Build a library's network around weights in the order of our layers, which is that of all libraries.

    Raises:
        NoPeerError: the library has none, or its layers are others.

    """
    load(library)
    network = builder(spec, num_classes, library)()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps, module.momentum = spec.bn_eps, spec.bn_momentum
    theirs = network.state_dict()
    if [tuple(tensor.shape) for tensor in theirs.values()] != [tuple(tensor.shape) for tensor in weights]:
        raise NoPeerError(f"the layers of {library}'s {spec.name} are not those of ours")
    network.load_state_dict(dict(zip(theirs, weights, strict=True)))
    return network


def _torchvision(spec: NetSpec, num_classes: int, name: str) -> nn.Module:
    from torchvision import models

    rates: dict[str, float] = {}
    if name.startswith("efficientnet"):
        rates = {"dropout": spec.dropout, "stochastic_depth_prob": spec.drop_path}
    network: nn.Module = getattr(models, name)(num_classes=num_classes, **rates)
    return network


def _timm(spec: NetSpec, num_classes: int, name: str) -> nn.Module:
    import timm

    rates: dict[str, Any] = {"drop_rate": spec.dropout, "drop_path_rate": spec.drop_path}
    network: nn.Module = timm.create_model(name, num_classes=num_classes, in_chans=spec.in_channels, **rates)
    return network


def timm_net_of(spec: NetSpec, num_classes: int) -> nn.Module:
    """Build timm's network for a spec of ours: its own blocks, ours in number, width and stride."""
    from timm.models._efficientnet_builder import decode_arch_def
    from timm.models.efficientnet import EfficientNet

    rows = [
        f"{TIMM_BLOCKS[stage.block, stage.expand_ratio > 1]}"
        f"_r{stage.repeats}_k{stage.kernel_size}_s{stage.stride}_e{stage.expand_ratio}"
        f"_c{stage.out_channels}_se{stage.se_ratio}_skip"
        for stage in spec.stages
    ]
    net: nn.Module = EfficientNet(
        decode_arch_def([[row] for row in rows]),  # type: ignore[no-untyped-call]
        num_classes=num_classes,
        num_features=spec.head.out_channels if spec.head else 0,
        in_chans=spec.in_channels,
        stem_size=spec.stem.out_channels,
        stem_kernel_size=spec.stem.kernel_size,
        fix_stem=True,
        round_chs_fn=int,
        act_layer=nn.SiLU,
        norm_layer=partial(nn.BatchNorm2d, eps=spec.bn_eps, momentum=spec.bn_momentum),
        drop_rate=spec.dropout,
        drop_path_rate=spec.drop_path,
    )
    stem = net.conv_stem
    assert isinstance(stem, nn.Conv2d)
    stem.stride = (spec.stem.stride, spec.stem.stride)  # 2 in timm, whatever the arguments
    return net
