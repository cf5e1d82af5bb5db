"""The layers that the CPU kernels compute, against torch's own operations in float64."""

from collections.abc import Callable
from copy import deepcopy
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from effnet.network.blocks import SqueezeExcite
from effnet.network.native import ops
from effnet.spec.families import B0

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2**-6}
"""Largest error as a share of the largest value. bfloat16 has 8 bits: half a unit is 2^-9 to 2^-8; a gradient
is rounded two or three times."""

Grad = Callable[[Tensor], Tensor]
Build = Callable[[int], nn.Module]


def conv(channels: int, kernel: int = 3, stride: int = 1, padding: int | None = None) -> nn.Module:
    """A depthwise convolution, padded by half of the kernel where nothing else is said."""
    padding = kernel // 2 if padding is None else padding
    return nn.Conv2d(channels, channels, kernel, stride, padding, groups=channels, bias=False)


def norm(channels: int, *, silu: bool = True, momentum: float = 0.1) -> nn.Sequential:
    """A normalisation in training whose numbers are all different."""
    layer = nn.BatchNorm2d(channels, 1e-3, momentum)
    nn.init.uniform_(layer.weight, -2.0, 2.0)
    nn.init.normal_(layer.bias)
    nn.init.normal_(cast(Tensor, layer.running_mean))
    return nn.Sequential(layer, nn.SiLU() if silu else nn.Identity())


def inner(layer: nn.Module) -> nn.BatchNorm2d:
    """Return what normalises in a layer that `norm` built."""
    assert isinstance(layer, nn.Sequential)
    return cast(nn.BatchNorm2d, layer[0])


def gates(channels: int) -> nn.Module:
    """Squeeze-and-excitation whose gates are far from one half."""
    layer = SqueezeExcite(B0, channels, max(channels // 4, 1))
    nn.init.normal_(layer.expand.weight)
    return layer


LAYERS: dict[str, Build] = {
    "conv3": conv,
    "conv5-stride2": lambda channels: conv(channels, 5, 2),
    "norm": lambda channels: norm(channels, silu=False),
    "norm-silu": norm,
    "gates": gates,
}

every_layer = pytest.mark.parametrize("build", LAYERS.values(), ids=LAYERS)
every_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)


def compute(layer: nn.Module, x: Tensor) -> Tensor:
    """Compute a layer by the kernels."""
    if isinstance(layer, nn.Conv2d):
        return ops.depthwise_conv(x, layer.weight, layer.stride[0], cast(int, layer.padding[0]))
    if isinstance(layer, nn.Sequential):
        return ops.batch_norm(x, inner(layer), silu=isinstance(layer[1], nn.SiLU))
    assert isinstance(layer, SqueezeExcite)
    return ops.squeeze_excite(x, layer.reduce, layer.expand)


def images(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Random images as the kernels take them, which want a gradient."""
    x = torch.randn(shape).to(dtype).contiguous(memory_format=torch.channels_last)
    return x.requires_grad_()


def random_grad(y: Tensor) -> Tensor:
    return torch.randn(y.shape).to(y.dtype)


def backward(y: Tensor, grad: Tensor | None = None) -> None:
    """Add the gradients of `y`, weighted by random numbers if nothing else is said."""
    torch.autograd.backward(y, random_grad(y) if grad is None else grad)


def gradients(module: nn.Module) -> list[Tensor]:
    """Return the gradients that a module has."""
    return [weight.grad for weight in module.parameters() if weight.grad is not None]


def assert_like_torch(layer: nn.Module, x: Tensor, grad: Grad = random_grad) -> None:
    """Value, every gradient and every buffer are those of torch in float64, up to rounding.

    `grad` makes the gradient that comes in, of the shape and in the format of the value.
    """
    exact, tolerance = deepcopy(layer).double(), TOLERANCE[x.dtype]
    exact_x = x.detach().double().requires_grad_(x.requires_grad)
    y, exact_y = compute(layer, x), exact(exact_x)
    assert y.dtype == x.dtype
    coming = grad(y.detach())
    backward(y, coming)
    backward(exact_y, coming.double())
    assert_close(y, exact_y, tolerance)
    if x.requires_grad:
        assert_close(x.grad, exact_x.grad, tolerance)
    for mine, theirs in zip(layer.parameters(), exact.parameters(), strict=True):
        if mine.requires_grad:
            assert_close(mine.grad, theirs.grad, tolerance)
    for buffer, exact_buffer in zip(layer.buffers(), exact.buffers(), strict=True):
        assert_close(buffer, exact_buffer, 1e-6)


def assert_close(mine: Tensor | None, exact: Tensor | None, tolerance: float) -> None:
    """No value is further off than a share of the largest one."""
    assert mine is not None
    assert exact is not None
    assert mine.shape == exact.shape
    worst = (mine.double() - exact).abs().max()
    assert worst <= tolerance * exact.abs().max(), f"{worst} of {exact.abs().max()}"


def assert_nan(value: Tensor | None) -> None:
    """Every value is NaN."""
    assert value is not None
    assert value.isnan().all()
