"""What the baselines have and EfficientNet has not: the blocks of MobileNetV1 and ResNet, ResNet's pool."""

from collections.abc import Callable, Iterator

from torch import Tensor, nn
from torch.nn import functional as F

from effnet.network.blocks import ACTIVATIONS, ConvNorm, DropPath
from effnet.spec.netspec import POOL_SIZE, POOL_STRIDE, NetSpec, Stage, same_padding


class SamePadMaxPool2d(nn.MaxPool2d):
    """Max pool padded as TensorFlow's "SAME" does: at an even size the odd pixel goes right and below."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool `(N, C, H, W)` into `(N, C, ceil(H / stride), ceil(W / stride))`."""
        top, bottom = same_padding(x.shape[-2], POOL_SIZE, POOL_STRIDE)
        left, right = same_padding(x.shape[-1], POOL_SIZE, POOL_STRIDE)
        pooled: Tensor = super().forward(F.pad(x, (left, right, top, bottom), value=float("-inf")))
        return pooled


def stem_pool(spec: NetSpec) -> nn.Module:
    """Build the pool behind the stem, padded by the rule of the spec, or nothing where it has none."""
    if not spec.stem.pool:
        return nn.Identity()
    if spec.padding == "same":
        return SamePadMaxPool2d(POOL_SIZE, POOL_STRIDE)
    return nn.MaxPool2d(POOL_SIZE, POOL_STRIDE, POOL_SIZE // 2)


class Separable(nn.Module):
    """Depthwise separable convolution: MobileNetV1's block (Howard et al. 2017, Figure 3).

    Nothing is added to anything, so that there is nothing that `drop_path` could drop.
    """

    def __init__(
        self, spec: NetSpec, stage: Stage, in_channels: int, *, stride: int, drop_path: float
    ) -> None:
        super().__init__()
        kernel = (stage.kernel_size, stride)
        self.depthwise = ConvNorm(spec, (in_channels, in_channels), kernel=kernel, groups=in_channels)
        self.pointwise = ConvNorm(spec, (in_channels, stage.out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to `(N, K, ceil(H / stride), ceil(W / stride))`."""
        y: Tensor = self.pointwise(self.depthwise(x))
        return y


class ResNetBlock(nn.Module):
    """A branch of dense convolutions beside a shortcut; the activation follows their sum (He et al. 2016).

    Where the shape changes, the shortcut is a 1×1 convolution. Stochastic depth drops the branch of any
    block, since what the shortcut hands on is whole without it.
    """

    def __init__(
        self, spec: NetSpec, stage: Stage, in_channels: int, *, stride: int, drop_path: float
    ) -> None:
        super().__init__()
        self.branch = nn.Sequential(*BRANCHES[stage.block](spec, stage, in_channels, stride))
        self.drop_path = DropPath(drop_path)
        same_shape = stride == 1 and in_channels == stage.out_channels
        self.shortcut = nn.Identity() if same_shape else _project(spec, stage, in_channels, stride)
        self.activation = ACTIVATIONS[spec.activation]()

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to `(N, K, ceil(H / stride), ceil(W / stride))`."""
        y: Tensor = self.activation(self.shortcut(x) + self.drop_path(self.branch(x)))
        return y


def _project(spec: NetSpec, stage: Stage, in_channels: int, stride: int) -> nn.Module:
    return ConvNorm(spec, (in_channels, stage.out_channels), kernel=(1, stride), activate=False)


def _basic(spec: NetSpec, stage: Stage, in_channels: int, stride: int) -> Iterator[nn.Module]:
    """Two convolutions: ResNet-18's and -34's branch."""
    size, channels = stage.kernel_size, stage.out_channels
    yield ConvNorm(spec, (in_channels, channels), kernel=(size, stride))
    yield ConvNorm(spec, (channels, channels), kernel=(size, 1), activate=False)


def _bottleneck(spec: NetSpec, stage: Stage, in_channels: int, stride: int) -> Iterator[nn.Module]:
    """Reduce, convolve with the stride, expand: ResNet-50's branch, "v1.5" (He et al. stride before)."""
    middle = stage.out_channels // stage.expand_ratio
    yield ConvNorm(spec, (in_channels, middle))
    yield ConvNorm(spec, (middle, middle), kernel=(stage.kernel_size, stride))
    yield ConvNorm(spec, (middle, stage.out_channels), activate=False)


BRANCHES: dict[str, Callable[[NetSpec, Stage, int, int], Iterator[nn.Module]]] = {
    "basic": _basic,
    "bottleneck": _bottleneck,
}
