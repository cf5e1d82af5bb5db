"""Differentiable operations over the CPU kernels: what `F.conv2d`, `F.batch_norm` and the gates compute.

Forward convolution stays torch's (oneDNN), which is faster; its backward was ten to thirty times slower than
the kernel here (docs/decisions/0006).

The kernels read memory as they are told: `supports` and `supports_norm` come first. Number formats are those
of the arguments, whether autocast is on or not. There are no second derivatives.
"""

import ctypes
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from effnet.network.native.build import load_kernels

NUM_PIECES = 16  # of a batch, for the gradient of a kernel


def supports(x: Tensor, *weights: Tensor | None) -> bool:
    """Tell whether the kernels can compute with `x (N, C, H, W)` and these weights; 8 must divide C."""
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.bfloat16)
        and x.dim() == 4
        and x.shape[1] % 8 == 0
        and x.numel() > 0
        and x.is_contiguous(memory_format=torch.channels_last)
        and all(_is_float(weight) for weight in weights)
        and not torch.compiler.is_compiling()
    )


def supports_norm(x: Tensor, norm: nn.BatchNorm2d) -> bool:
    """Tell whether `batch_norm` computes what `norm` does with `x (N, C, H, W)`.

    Not with its running statistics, which frozen layers use; not of one value, which torch refuses.
    """
    state = norm.weight, norm.bias, norm.running_mean, norm.running_var
    return (
        type(norm) is nn.BatchNorm2d
        and norm.training
        and norm.momentum is not None
        and x.numel() > x.shape[1] == norm.num_features
        and supports(x, *state)
        and all(tensor is not None and tensor.is_contiguous() for tensor in state)
    )


def _is_float(weight: Tensor | None) -> bool:
    return weight is not None and weight.dtype == torch.float32 and weight.device.type == "cpu"


def depthwise_conv(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Convolve each channel of `x (N, C, H, W)` with its kernel of `weight (C, 1, k, k)`, k being 3 or 5."""
    return _apply(_DepthwiseConv, x, weight, stride, padding)


class _DepthwiseConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight.to(x.dtype), None, stride, padding, groups=x.shape[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        needs_x, needs_weight = ctx.needs_input_grad[:2]
        with _own_formats():
            return (
                _input_gradient(grad, weight, x, ctx.stride, ctx.padding) if needs_x else None,
                _weight_gradient(x, grad, weight, ctx.stride, ctx.padding) if needs_weight else None,
                None,
                None,
            )


def _input_gradient(grad: Tensor, weight: Tensor, x: Tensor, stride: int, padding: int) -> Tensor:
    """Convolve the gradient, with zeros where the stride left pixels out, with the flipped kernel."""
    flipped, size = weight.flip(2, 3), weight.shape[-1]
    if stride == 1 and 2 * padding == size - 1:
        return F.conv2d(grad, flipped.to(grad.dtype), None, 1, padding, groups=x.shape[1])
    result = torch.empty_like(x)
    shape = _shape(grad, x, size - 1 - padding, dilate=stride)
    kernel = flipped[:, 0].permute(1, 2, 0).float().contiguous()  # (k, k, C)
    _call("depthwise", _half(x), _at(grad), _at(kernel), _at(result), shape, ctypes.c_int64(size))
    return result


def _weight_gradient(x: Tensor, grad: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    size, pieces = weight.shape[-1], min(len(x), NUM_PIECES)
    partial = torch.zeros(pieces, size, size, x.shape[1])
    shape = _shape(x, grad, padding, stride=stride)
    sizes = map(ctypes.c_int64, (size, pieces))
    _call("depthwise_weight", _half(x), _at(x), _at(grad), _at(partial), shape, *sizes)
    return partial.sum(0).permute(2, 0, 1)[:, None].to(weight.dtype)


def _shape(source: Tensor, target: Tensor, padding: int, *, stride: int = 1, dilate: int = 1) -> Any:
    n, c, h, w = source.shape
    values = (n, h, w, c, *target.shape[2:], padding, stride, dilate)
    return (ctypes.c_int64 * len(values))(*values)


def batch_norm(x: Tensor, norm: nn.BatchNorm2d, *, silu: bool) -> Tensor:
    """Normalise `x (N, C, H, W)` by its batch, update the running statistics, apply SiLU if asked."""
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    return _apply(_BatchNorm, x, norm.weight, norm.bias, (norm, silu))


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, how: tuple[nn.BatchNorm2d, bool]
    ) -> Tensor:
        norm, ctx.silu = how
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.momentum is not None
        y, stats = torch.empty_like(x), torch.empty(4, x.shape[1])
        numbers = (ctypes.c_double(norm.eps), ctypes.c_double(norm.momentum))
        ins = (_at(x), _at(weight), _at(bias), *numbers, _at(norm.running_mean), _at(norm.running_var))
        _call("norm_forward", _half(x), int(ctx.silu), *ins, _at(y), _at(stats), *_rows(x))
        ctx.save_for_backward(x, stats)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, stats = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        grad_x, grad_weight, grad_bias = torch.empty_like(x), torch.empty(x.shape[1]), torch.empty(x.shape[1])
        outs = (_at(grad_x), _at(grad_weight), _at(grad_bias))
        _call("norm_backward", _half(x), int(ctx.silu), _at(x), _at(grad), _at(stats), *outs, *_rows(x))
        return grad_x, grad_weight, grad_bias, None


def _rows(x: Tensor) -> tuple[ctypes.c_int64, ctypes.c_int64]:
    """Return how many pixels `x (N, C, H, W)` has, and how many channels."""
    return ctypes.c_int64(x.numel() // x.shape[1]), ctypes.c_int64(x.shape[1])


def squeeze_excite(x: Tensor, reduce: nn.Conv2d, expand: nn.Conv2d) -> Tensor:
    """Scale each channel of `x (N, C, H, W)` by its gate, computed with SiLU between the two convolutions."""
    return _apply(_SqueezeExcite, x, reduce.weight, reduce.bias, expand.weight, expand.bias)


class _SqueezeExcite(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *weights: Tensor) -> Tensor:
        reduce, reduce_bias, expand, expand_bias = weights
        pooled = _pool(x) / x[0, 0].numel()  # (N, C)
        squeezed = torch.addmm(reduce_bias, pooled, reduce.flatten(1).T)
        gate = torch.addmm(expand_bias, F.silu(squeezed), expand.flatten(1).T).sigmoid()
        ctx.save_for_backward(x, pooled, squeezed, gate, *weights)
        return _excite(x, gate, torch.zeros_like(gate))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, pooled, squeezed, gate, reduce, _, expand, _ = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        active, slope = F.silu(squeezed), squeezed.sigmoid()
        grad_expanded = _pool(x, grad) * gate * (1 - gate)  # (N, C)
        with _own_formats():
            grad_squeezed = (grad_expanded @ expand.flatten(1)) * slope * (1 + squeezed * (1 - slope))
            grad_pooled = grad_squeezed @ reduce.flatten(1)
            return (
                _excite(grad, gate, grad_pooled / x[0, 0].numel()),
                (grad_squeezed.T @ pooled).view_as(reduce),
                grad_squeezed.sum(0),
                (grad_expanded.T @ active).view_as(expand),
                grad_expanded.sum(0),
            )


def _pool(x: Tensor, grad: Tensor | None = None) -> Tensor:
    """Sum `x (N, C, H, W)`, or its product with `grad`, over the pixels: `(N, C)` float32."""
    n, c, h, w = x.shape
    sums = torch.empty(n, c)
    sizes = map(ctypes.c_int64, (n, h * w, c))
    _call("se_pool", _half(x), _at(x), None if grad is None else _at(grad), _at(sums), *sizes)
    return sums


def _excite(x: Tensor, gate: Tensor, offset: Tensor) -> Tensor:
    """Return `x (N, C, H, W)` · gate + offset, both `(N, C)`."""
    n, c, h, w = x.shape
    result = torch.empty_like(x)
    sizes = map(ctypes.c_int64, (n, h * w, c))
    _call("se_excite", _half(x), _at(x), _at(gate), _at(offset), _at(result), *sizes)
    return result


def _apply(function: type[torch.autograd.Function], *values: Any) -> Tensor:
    with _own_formats():
        return cast(Tensor, function.apply(*values))  # type: ignore[no-untyped-call]


def _own_formats() -> torch.autocast:
    """Return a context in which torch computes in the formats of its arguments: the gates stay float."""
    return torch.autocast("cpu", enabled=False)


def _call(name: str, *values: Any) -> None:
    """Call a kernel.

    Raises:
        MemoryError: there is none left for its buffers.

    """
    if getattr(load_kernels(), name)(*values) != 0:
        raise MemoryError(f"not enough memory for the buffers of the CPU kernel {name}")


def _half(x: Tensor) -> int:
    return int(x.dtype == torch.bfloat16)


def _at(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())
