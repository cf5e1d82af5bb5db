"""A network in slices: what happens from one convolution or linear layer to the next, and how much of it.

A slice is a layer with all that follows it up to the next one: normalisation, activation, pooling, gate, sum.
Slices of one kind do the same work, more or less of it; so their times can be learned from some networks and
summed for others.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from effnet.spec.cost import Layer, layers
from effnet.spec.netspec import NetSpec


@dataclass(frozen=True)
class Slice:
    """A layer and what follows it, for one image."""

    kind: str
    layer: Layer
    in_elements: int
    """Elements that are read: the layer's input, and the feature map that a gate multiplies."""
    out_elements: int
    """Elements that are written: the layer's output, or that feature map."""

    def work(self, batch: int) -> tuple[float, ...]:
        """Return what the time depends on, for a batch: the call itself, MACs, reads, writes, weights."""
        layer = self.layer
        return (
            1.0,
            float(layer.cost.macs * batch),
            float(self.in_elements * batch),
            float(self.out_elements * batch),
            float(layer.weights),
        )


def slices(spec: NetSpec, num_classes: int) -> Iterator[Slice]:
    """Cut a network, in the order of computation."""
    side, feature_map = spec.resolution, 0
    walked = tuple(layers(spec, num_classes))
    for kind, layer in zip(_kinds(walked), walked, strict=True):
        if layer.batch_norm:
            read, feature_map = layer.in_channels * side**2, layer.out_channels * layer.out_size**2
            side, written = layer.out_size, feature_map
        elif kind == "excite":
            read = written = feature_map
        else:
            read, written = layer.in_channels, layer.out_channels
        yield Slice(kind, layer, read, written)


def _kinds(walked: tuple[Layer, ...]) -> Iterator[str]:
    """Name what each slice does; the last two are head and classifier."""
    for layer, following in pairwise(walked[:-1]):
        yield _kind(layer, following)
    yield from ("head", "classify")


def _kind(layer: Layer, following: Layer) -> str:
    """Name what a slice does. A gate squeezes, then excites; an expansion precedes a depthwise one."""
    if not layer.batch_norm:
        return "excite" if following.batch_norm else "squeeze"
    if layer.kernel_size > 1:
        return f"depthwise {layer.kernel_size}" if layer.groups > 1 else "dense"
    return "expand" if following.groups > 1 else "project"
