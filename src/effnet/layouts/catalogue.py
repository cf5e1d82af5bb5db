"""The layouts by name, the tensors that a network has in each, and the map from ours to theirs."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from effnet.layouts import lukemelas, timm, torchvision
from effnet.layouts.layers import LayerName, ours
from effnet.spec.baselines import MOBILENET_V1, MOBILENET_V2, RESNET_18, RESNET_50
from effnet.spec.cost import layers
from effnet.spec.families import NETWORKS, OFFICIAL_TABLE
from effnet.spec.lite import LITE
from effnet.spec.netspec import NetSpec
from effnet.spec.v2 import V2

Shapes = dict[str, tuple[int, ...]]
"""Tensors by name: their shapes."""

STATISTICS = ("running_mean", "running_var")
COUNTER = "num_batches_tracked"
"""Batches that a normalisation has seen: nothing depends on it, and old files lack it."""


@dataclass(frozen=True)
class Layout:
    """One library's names for the weights of its networks."""

    name: str
    library: str
    """Whose it is, for messages."""
    names: Callable[[NetSpec], Iterable[LayerName]]
    """Names the layers of a network, in the order of computation."""
    can_name: Callable[[NetSpec], bool]
    """Tells whether all its blocks have names."""
    networks: tuple[NetSpec, ...]
    """Those that the library has in this layout."""

    def shapes(self, spec: NetSpec, num_classes: int) -> Shapes:
        """Return the tensors of a network, by the names of this layout."""
        return dict(_tensors(self.names(spec), spec, num_classes))

    def translation(self, spec: NetSpec) -> dict[str, str]:
        """Return the name in this layout of each of our tensors: one to one."""
        theirs = self.shapes(spec, 1)
        return dict(zip(OURS.shapes(spec, 1), theirs, strict=True))


def _tensors(
    names: Iterable[LayerName], spec: NetSpec, num_classes: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name all tensors of a network: arithmetic knows the shapes, in the same order."""
    counted = tuple(layers(spec, num_classes))
    for name, layer in zip(names, counted, strict=True):
        is_linear = layer is counted[-1]
        kernel = () if is_linear else (layer.kernel_size, layer.kernel_size)
        yield f"{name.conv}.weight", (layer.out_channels, layer.in_channels // layer.groups, *kernel)
        if name.norm is None:
            yield f"{name.conv}.bias", (layer.out_channels,)
        else:
            for part in ("weight", "bias", *STATISTICS):
                yield f"{name.norm}.{part}", (layer.out_channels,)
            yield f"{name.norm}.{COUNTER}", ()


_B = tuple(NETWORKS[row.name] for row in OFFICIAL_TABLE)

OURS = Layout("effnet", "effnet", ours, lambda _: True, (*_B, *LITE, *V2))

LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("timm", "timm", timm.names, timm.can_name, (*_B, *LITE, *V2, MOBILENET_V1, MOBILENET_V2)),
        Layout(
            "torchvision", "torchvision", torchvision.efficientnet, torchvision.is_efficientnet, (*_B, *V2)
        ),
        Layout("mobilenet", "torchvision", torchvision.mobilenet, torchvision.is_mobilenet, (MOBILENET_V2,)),
        Layout("resnet", "torchvision", torchvision.resnet, torchvision.is_resnet, (RESNET_18, RESNET_50)),
        Layout("lukemelas", "efficientnet_pytorch", lukemelas.names, lukemelas.can_name, _B),
    )
}
"""By name. The ResNets of timm have the names of torchvision's."""
