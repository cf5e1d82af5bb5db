"""The CPU kernels compute what torch does: values and gradients, or leave it to torch."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from native_layers import (
    Build,
    assert_like_torch,
    compute,
    conv,
    every_dtype,
    every_layer,
    images,
)
from torch import Tensor

from compiler import needs_kernels
from effnet.network.native import ops

pytestmark = needs_kernels

SIZES = ((1, 1), (2, 3), (7, 5), (33, 31))
CHANNELS = (8, 16, 24, 48)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@every_layer
@every_dtype
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("channels", CHANNELS)
def test_values_and_gradients_are_those_of_torch(
    build: Build, dtype: torch.dtype, size: tuple[int, int], channels: int
) -> None:
    assert_like_torch(build(channels), images(3, channels, *size, dtype=dtype))


@every_layer
@every_dtype
@pytest.mark.parametrize("size", SIZES[1:], ids=str)
def test_a_batch_may_be_of_one_image(build: Build, dtype: torch.dtype, size: tuple[int, int]) -> None:
    assert_like_torch(build(16), images(1, 16, *size, dtype=dtype))


@every_dtype
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@given(
    padding=st.integers(0, 6),
    shape=st.tuples(st.integers(1, 18), st.sampled_from(CHANNELS), st.integers(1, 13), st.integers(1, 13)),
)
def test_a_convolution_may_stride_and_pad_as_it_likes(
    dtype: torch.dtype, kernel: int, stride: int, padding: int, shape: tuple[int, ...]
) -> None:
    assume(min(shape[2:]) + 2 * padding >= kernel)
    assert_like_torch(conv(shape[1], kernel, stride, padding), images(*shape, dtype=dtype))


@every_layer
@pytest.mark.parametrize(
    "grad",
    [
        lambda y: torch.randn(len(y), 1, 1, 1).expand_as(y),
        lambda y: torch.randn(*y.shape[:2], 1, 1).expand_as(y),
        lambda y: torch.randn(y.shape),
        lambda y: torch.randn(y.shape[::-1]).permute(3, 2, 1, 0),
    ],
    ids=["of a sum", "of a mean", "NCHW", "transposed"],
)
def test_the_gradient_that_comes_in_may_lie_in_memory_anyhow(
    build: Build, grad: Callable[[Tensor], Tensor]
) -> None:
    assert_like_torch(build(16), images(3, 16, 7, 5), grad)


@every_layer
def test_an_input_that_needs_no_gradient_gets_none(build: Build) -> None:
    x = images(3, 16, 7, 5).detach()
    assert_like_torch(build(16), x)
    assert x.grad is None


@every_layer
def test_frozen_weights_get_no_gradient(build: Build) -> None:
    layer = build(16).requires_grad_(False)
    assert_like_torch(layer, images(3, 16, 7, 5))
    assert all(weight.grad is None for weight in layer.parameters())


@every_layer
def test_without_gradients_the_values_are_the_same(build: Build) -> None:
    layer, x = build(16), images(3, 16, 7, 5)
    with torch.no_grad():
        y = compute(layer, x)
    assert not y.requires_grad
    assert torch.equal(y, compute(layer, x))


@pytest.mark.parametrize(
    "x",
    [
        images(2, 12, 5, 5),
        images(2, 16, 5, 5).detach().contiguous(),
        images(2, 16, 5, 5).double(),
        images(2, 16, 5, 5).half(),
        images(2, 16, 5, 5)[..., ::2],
        images(0, 16, 5, 5),
        torch.randn(16, 5, 5),
        torch.randn(2, 16),
        images(2, 16, 5, 5).detach().to("meta"),
    ],
    ids=["channels", "NCHW", "float64", "float16", "slice", "empty", "3d", "2d", "meta"],
)
def test_images_that_the_kernels_cannot_read_are_left_to_torch(x: Tensor) -> None:
    assert not ops.supports(x)


@pytest.mark.parametrize(
    "weight",
    [torch.ones(16, dtype=torch.bfloat16), torch.ones(16).double(), torch.ones(16, device="meta"), None],
    ids=["bfloat16", "float64", "meta", "none"],
)
def test_weights_that_the_kernels_cannot_read_are_left_to_torch(weight: Tensor | None) -> None:
    assert ops.supports(images(2, 16, 5, 5), torch.ones(16))
    assert not ops.supports(images(2, 16, 5, 5), torch.ones(16), weight)
