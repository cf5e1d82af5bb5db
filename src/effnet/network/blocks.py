"""The building blocks: convolution with normalisation, squeeze-and-excitation, MBConv, stochastic depth."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from effnet.network.native import ops
from effnet.spec.cost import squeeze_channels
from effnet.spec.netspec import NetSpec, Stage, same_padding

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hardswish": nn.Hardswish,
    "gelu": nn.GELU,
}

FUSED: dict[type[nn.Module], bool] = {nn.SiLU: True, nn.Identity: False}
"""Activations that the CPU kernels compute together with the normalisation; whether each is SiLU."""


class Conv2d(nn.Conv2d):
    """Convolution that can train on a CPU with the kernels of `native` when it is depthwise."""

    native = False

    def forward(self, images: Tensor) -> Tensor:
        """Convolve `(N, C, H, W)`."""
        if self.native and self.training and self._has_kernel() and ops.supports(images, self.weight):
            return ops.depthwise_conv(images, self.weight, self.stride[0], cast(int, self.padding[0]))
        return super().forward(images)

    def _has_kernel(self) -> bool:
        """Tell whether there is a kernel for this convolution; the rest of it is as `conv2d` builds it."""
        depthwise = self.groups == self.in_channels == self.out_channels
        return depthwise and self.kernel_size in ((3, 3), (5, 5)) and self.bias is None


class SamePadConv2d(Conv2d):
    """Convolution padded as TensorFlow's "SAME" does: at stride 2 the odd pixel goes right and below."""

    def forward(self, images: Tensor) -> Tensor:
        """Convolve `(N, C, H, W)` into `(N, K, ceil(H / stride), ceil(W / stride))`."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        top, bottom = same_padding(images.shape[-2], kernel, stride)
        left, right = same_padding(images.shape[-1], kernel, stride)
        return super().forward(F.pad(images, (left, right, top, bottom)))


def conv2d(spec: NetSpec, channels: tuple[int, int], kernel: tuple[int, int], groups: int) -> nn.Conv2d:
    """Build a convolution without bias, padded by the rule of the spec; `kernel` is (size, stride)."""
    size, stride = kernel
    if spec.padding == "same":
        return SamePadConv2d(*channels, size, stride, groups=groups, bias=False)
    return Conv2d(*channels, size, stride, size // 2, groups=groups, bias=False)


class ConvNorm(nn.Module):
    """Convolution, batch normalisation and, unless `activate` is off, the activation.

    `channels` are (input, output), `kernel` is (size, stride).
    """

    native = False

    def __init__(
        self,
        spec: NetSpec,
        channels: tuple[int, int],
        *,
        kernel: tuple[int, int] = (1, 1),
        groups: int = 1,
        activate: bool = True,
    ) -> None:
        super().__init__()
        self.conv = conv2d(spec, channels, kernel, groups)
        self.norm = nn.BatchNorm2d(channels[1], eps=spec.bn_eps, momentum=spec.bn_momentum)
        self.activation = ACTIVATIONS[spec.activation]() if activate else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to `(N, K, ceil(H / stride), ceil(W / stride))`."""
        y: Tensor = self.conv(x)
        if self.native and type(self.activation) in FUSED and ops.supports_norm(y, self.norm):
            return ops.batch_norm(y, self.norm, silu=FUSED[type(self.activation)])
        activated: Tensor = self.activation(self.norm(y))
        return activated


class SqueezeExcite(nn.Module):
    """Channel attention (Hu et al. 2018): pool, squeeze, excite, multiply."""

    native = False

    def __init__(self, spec: NetSpec, channels: int, squeezed: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.activation = ACTIVATIONS[spec.activation]()
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scale each channel of `x (N, C, H, W)` by a gate in (0, 1)."""
        weights = self.reduce.weight, self.reduce.bias, self.expand.weight, self.expand.bias
        fused = self.native and self.training and isinstance(self.activation, nn.SiLU)
        if fused and ops.supports(x, *weights):
            return ops.squeeze_excite(x, self.reduce, self.expand)
        gate = self.expand(self.activation(self.reduce(x.mean((2, 3), keepdim=True))))  # (N, C, 1, 1)
        y: Tensor = x * gate.sigmoid()
        return y


class DropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016): in training, a residual branch is left out per image.

    Kept branches are divided by the probability of being kept, so that the expectation stays.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Zero `x (N, C, H, W)` for a random share `rate` of its images."""
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        mask = torch.empty(x.shape[0], 1, 1, 1, dtype=x.dtype, device=x.device).bernoulli_(keep)
        return x * (mask / keep)

    def extra_repr(self) -> str:
        """Show the rate when the module is printed."""
        return f"rate={self.rate:g}"


def gates(spec: NetSpec, stage: Stage, in_channels: int, channels: int) -> nn.Module:
    """Build squeeze-and-excitation on `channels` of a block, or nothing where the stage has none."""
    if not stage.se_ratio:
        return nn.Identity()
    return SqueezeExcite(spec, channels, squeeze_channels(in_channels, stage.se_ratio))


class InvertedBottleneck(nn.Module):
    """What MBConv and its fused kind share: the branch is added to the input where shapes are the same."""

    def __init__(self, stage: Stage, in_channels: int, *, stride: int, drop_path: float) -> None:
        super().__init__()
        self.residual = stride == 1 and in_channels == stage.out_channels
        self.drop_path = DropPath(drop_path if self.residual else 0.0)

    def branch(self, x: Tensor) -> Tensor:
        """Compute what the block adds."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to `(N, K, ceil(H / stride), ceil(W / stride))`."""
        y = self.branch(x)
        return x + self.drop_path(y) if self.residual else y


class MBConv(InvertedBottleneck):
    """Mobile inverted bottleneck (Sandler et al. 2018) with squeeze-and-excitation: paper Table 1."""

    def __init__(
        self, spec: NetSpec, stage: Stage, in_channels: int, *, stride: int, drop_path: float
    ) -> None:
        super().__init__(stage, in_channels, stride=stride, drop_path=drop_path)
        middle = in_channels * stage.expand_ratio
        expands = stage.expand_ratio != 1
        self.expand = ConvNorm(spec, (in_channels, middle)) if expands else nn.Identity()
        self.depthwise = ConvNorm(spec, (middle, middle), kernel=(stage.kernel_size, stride), groups=middle)
        self.se = gates(spec, stage, in_channels, middle)
        self.project = ConvNorm(spec, (middle, stage.out_channels), activate=False)

    def branch(self, x: Tensor) -> Tensor:
        """Expand, convolve each channel, gate, project."""
        y: Tensor = self.project(self.se(self.depthwise(self.expand(x))))
        return y


class FusedMBConv(InvertedBottleneck):
    """Inverted bottleneck with one dense convolution for expansion and depthwise (Tan & Le 2021, Figure 2).

    More multiply-adds, and faster in early stages: dense convolutions run near the ceiling, depthwise
    ones far below it. With an `expand_ratio` of 1 that convolution is all there is.
    """

    def __init__(
        self, spec: NetSpec, stage: Stage, in_channels: int, *, stride: int, drop_path: float
    ) -> None:
        super().__init__(stage, in_channels, stride=stride, drop_path=drop_path)
        expands = stage.expand_ratio != 1
        middle = in_channels * stage.expand_ratio if expands else stage.out_channels
        self.fused = ConvNorm(spec, (in_channels, middle), kernel=(stage.kernel_size, stride))
        self.se = gates(spec, stage, in_channels, middle)
        self.project = (
            ConvNorm(spec, (middle, stage.out_channels), activate=False) if expands else nn.Identity()
        )

    def branch(self, x: Tensor) -> Tensor:
        """Expand by a dense convolution, gate, project."""
        y: Tensor = self.project(self.se(self.fused(x)))
        return y
