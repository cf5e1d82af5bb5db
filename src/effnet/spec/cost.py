"""What a network costs, by arithmetic alone: parameters, multiply-adds, activations."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from operator import mul

from effnet.errors import UsageError
from effnet.spec.families import get_spec
from effnet.spec.netspec import NetSpec, Stage


@dataclass(frozen=True)
class Layer:
    """One convolution or linear layer, with the batch normalisation behind it if there is one."""

    row: int
    """Row of the stage table: 0 is the stem, then the stages, the head if there is one, the classifier."""
    in_channels: int
    out_channels: int
    kernel_size: int
    groups: int
    out_size: int
    """Side of the output in pixels."""
    batch_norm: bool

    @property
    def weights(self) -> int:
        """Number of elements of the kernel."""
        return self.out_channels * self.in_channels // self.groups * self.kernel_size**2

    @property
    def cost(self) -> "Cost":
        """Parameters (BN has a scale and a shift, others a bias), multiply-adds and output elements."""
        extra = 2 * self.out_channels if self.batch_norm else self.out_channels
        area = self.out_size**2
        return Cost(self.weights + extra, self.weights * area, self.out_channels * area)


@dataclass(frozen=True)
class Cost:
    """The cost of one forward pass over one image, `images (1, C, H, W)`.

    `macs` are multiply-adds of convolutions and linear layers, which the paper calls FLOPS.
    `activations` are the elements that those layers write; on GPUs they predict speed better than MACs do
    (Dollár et al. 2021, "Fast and Accurate Model Scaling").
    """

    params: int
    macs: int
    activations: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.params + other.params, self.macs + other.macs, self.activations + other.activations)


def cost(network: str | NetSpec, num_classes: int = 1000, resolution: int | None = None) -> Cost:
    """Count parameters, multiply-adds and activations of a network.

    Args:
        network: a name, or a spec.
        num_classes: outputs of the classifier.
        resolution: side of the square input in pixels; the training resolution when not given.

    """
    total = Cost(0, 0, 0)
    for row in row_costs(get_spec(network), num_classes, resolution):
        total += row
    return total


def row_costs(spec: NetSpec, num_classes: int, resolution: int | None = None) -> tuple[Cost, ...]:
    """Return the cost of each row of the stage table: stem, stages, the head if there is one, classifier."""
    costs = [Cost(0, 0, 0)] * (len(row_strides(spec)) + 1)
    for layer in layers(spec, num_classes, resolution):
        costs[layer.row] += layer.cost
    return tuple(costs)


def row_strides(spec: NetSpec) -> tuple[int, ...]:
    """Return the stride of each row of the stage table but the classifier's; the stem's counts its pool."""
    head = () if spec.head is None else (1,)
    return (spec.stem.total_stride, *(stage.stride for stage in spec.stages), *head)


def row_sizes(spec: NetSpec, resolution: int | None = None) -> tuple[int, ...]:
    """Return the side of the output of each row of the stage table, in pixels."""
    size = _side(spec, resolution)
    return (*(-(-size // stride) for stride in accumulate(row_strides(spec), mul)), 1)


def _side(spec: NetSpec, resolution: int | None, num_classes: int = 1) -> int:
    """Return the side of the image in pixels.

    Raises:
        UsageError: there is no pixel, or no class.

    """
    size = spec.resolution if resolution is None else resolution
    if size < 1 or num_classes < 1:
        raise UsageError(f"resolution {size}, {num_classes} classes: both must be at least 1")
    return size


def layers(spec: NetSpec, num_classes: int, resolution: int | None = None) -> Iterator[Layer]:
    """Walk through the layers of a network in the order of computation."""
    stem, image = spec.stem, _side(spec, resolution, num_classes)
    channels, size = stem.out_channels, -(-image // stem.total_stride)  # padding makes every stride round up
    yield Layer(0, spec.in_channels, channels, stem.kernel_size, 1, -(-image // stem.stride), True)
    for row, stage in enumerate(spec.stages, start=1):
        for index in range(stage.repeats):
            stride = stage.stride if index == 0 else 1
            yield from BLOCKS[stage.block](row, stage, channels, (size, stride))
            size = -(-size // stride)
            channels = stage.out_channels
    if spec.head is not None:
        yield Layer(len(spec.stages) + 1, channels, spec.head.out_channels, 1, 1, size, True)
    yield Layer(len(row_strides(spec)), spec.feature_channels, num_classes, 1, 1, 1, False)


def _mbconv(row: int, stage: Stage, in_channels: int, size_stride: tuple[int, int]) -> Iterator[Layer]:
    """Layers of one inverted bottleneck: expand, depthwise, squeeze, excite, project."""
    size, stride = size_stride
    out_size = -(-size // stride)
    middle = in_channels * stage.expand_ratio
    if stage.expand_ratio != 1:
        yield Layer(row, in_channels, middle, 1, 1, size, True)
    yield Layer(row, middle, middle, stage.kernel_size, middle, out_size, True)
    yield from _gates(row, stage, in_channels, middle)
    yield Layer(row, middle, stage.out_channels, 1, 1, out_size, True)


def _fused_mbconv(row: int, stage: Stage, in_channels: int, size_stride: tuple[int, int]) -> Iterator[Layer]:
    """Layers of a fused bottleneck: one dense convolution expands, then squeeze, excite, project."""
    size, stride = size_stride
    out_size = -(-size // stride)
    expands = stage.expand_ratio != 1
    middle = in_channels * stage.expand_ratio if expands else stage.out_channels
    yield Layer(row, in_channels, middle, stage.kernel_size, 1, out_size, True)
    yield from _gates(row, stage, in_channels, middle)
    if expands:
        yield Layer(row, middle, stage.out_channels, 1, 1, out_size, True)


def _gates(row: int, stage: Stage, in_channels: int, channels: int) -> Iterator[Layer]:
    """Layers of squeeze-and-excitation on `channels`, if the stage has it; they see the pooled image."""
    if stage.se_ratio:
        squeezed = squeeze_channels(in_channels, stage.se_ratio)
        yield Layer(row, channels, squeezed, 1, 1, 1, False)
        yield Layer(row, squeezed, channels, 1, 1, 1, False)


def _separable(row: int, stage: Stage, in_channels: int, size_stride: tuple[int, int]) -> Iterator[Layer]:
    """Layers of a depthwise separable convolution: depthwise, pointwise."""
    size, stride = size_stride
    out_size = -(-size // stride)
    yield Layer(row, in_channels, in_channels, stage.kernel_size, in_channels, out_size, True)
    yield Layer(row, in_channels, stage.out_channels, 1, 1, out_size, True)


def _basic(row: int, stage: Stage, in_channels: int, size_stride: tuple[int, int]) -> Iterator[Layer]:
    """Layers of ResNet's block of two convolutions, and of its shortcut."""
    size, stride = size_stride
    out_size, channels = -(-size // stride), stage.out_channels
    yield Layer(row, in_channels, channels, stage.kernel_size, 1, out_size, True)
    yield Layer(row, channels, channels, stage.kernel_size, 1, out_size, True)
    yield from _projection(row, stage, in_channels, size_stride)


def _bottleneck(row: int, stage: Stage, in_channels: int, size_stride: tuple[int, int]) -> Iterator[Layer]:
    """Layers of ResNet's block of three convolutions: reduce, convolve, expand; and of its shortcut."""
    size, stride = size_stride
    out_size, middle = -(-size // stride), stage.out_channels // stage.expand_ratio
    yield Layer(row, in_channels, middle, 1, 1, size, True)
    yield Layer(row, middle, middle, stage.kernel_size, 1, out_size, True)
    yield Layer(row, middle, stage.out_channels, 1, 1, out_size, True)
    yield from _projection(row, stage, in_channels, size_stride)


def _projection(row: int, stage: Stage, in_channels: int, size_stride: tuple[int, int]) -> Iterator[Layer]:
    """Layer of the shortcut past a ResNet block, where the block changes the shape."""
    size, stride = size_stride
    if stride != 1 or in_channels != stage.out_channels:
        yield Layer(row, in_channels, stage.out_channels, 1, 1, -(-size // stride), True)


BLOCKS = {
    "mbconv": _mbconv,
    "fused-mbconv": _fused_mbconv,
    "separable": _separable,
    "basic": _basic,
    "bottleneck": _bottleneck,
}


def squeeze_channels(in_channels: int, se_ratio: float) -> int:
    """Width of the squeeze-and-excitation bottleneck: a share of the block's input, rounded down."""
    return max(1, int(in_channels * se_ratio))
