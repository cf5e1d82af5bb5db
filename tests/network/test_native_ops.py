"""The CPU kernels compute what torch does: values, gradients, and what becomes of NaN, threads and formats."""

import threading
from collections.abc import Callable

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from native_layers import (
    LAYERS,
    assert_close,
    assert_like_torch,
    assert_nan,
    compute,
    conv,
    images,
    needs_kernels,
    random_grad,
)
from torch import Tensor, nn

from effnet.network.native import ops

pytestmark = needs_kernels

DTYPES = (torch.float32, torch.bfloat16)
SIZES = ((1, 1), (2, 3), (7, 5), (33, 31))
CHANNELS = (8, 16, 24, 48)

every_layer = pytest.mark.parametrize("build", LAYERS.values(), ids=LAYERS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)

Build = Callable[[int], nn.Module]


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
    batch=st.integers(1, 18),
    channels=st.sampled_from(CHANNELS),
    height=st.integers(1, 13),
    width=st.integers(1, 13),
)
def test_a_convolution_may_stride_and_pad_as_it_likes(
    dtype: torch.dtype, kernel: int, stride: int, padding: int, batch: int, channels: int, height: int, width: int
) -> None:
    assume(min(height, width) + 2 * padding >= kernel)
    x = images(batch, channels, height, width, dtype=dtype)
    assert_like_torch(conv(channels, kernel, stride, padding), x)


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


@every_layer
@every_dtype
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_in_the_input_is_noticed(build: Build, dtype: torch.dtype, bad: float) -> None:
    layer, x = build(16), images(2, 16, 7, 5, dtype=dtype)
    with torch.no_grad():
        x[1, 3, 2, 2] = bad
    y = compute(layer, x)
    y.backward(random_grad(y))
    assert not y[1, 3].isfinite().all()
    assert not torch.cat([weight.grad.flatten() for weight in layer.parameters()]).isfinite().all()  # type: ignore[union-attr]


@every_layer
@every_dtype
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_in_the_gradient_is_noticed(build: Build, dtype: torch.dtype, bad: float) -> None:
    layer, x = build(16), images(2, 16, 7, 5, dtype=dtype)
    y = compute(layer, x)
    grad = random_grad(y)
    grad[1, 3, 1, 1] = bad
    y.backward(grad)
    assert x.grad is not None
    assert not x.grad[1, 3].isfinite().all()
    assert all(not weight.grad.isfinite().all() for weight in layer.parameters())  # type: ignore[union-attr]


@pytest.mark.parametrize("bits", [0x7FFFFFFF, -1, 0x7F800001, 0x7FC00000, 0x7FFF8000])
def test_every_kind_of_nan_stays_nan_in_bfloat16(bits: int) -> None:
    """Rounding by adding to the bits would carry the first of these over to zero."""
    layer = LAYERS["norm"](8)
    with torch.no_grad():
        layer[0].bias.fill_(torch.tensor(bits, dtype=torch.int32).view(torch.float32))  # type: ignore[index, union-attr]
    assert_nan(compute(layer, images(2, 8, 3, 3, dtype=torch.bfloat16)))


def test_bfloat16_is_rounded_to_nearest_and_ties_to_even() -> None:
    x = images(4, 8, 16, 16)
    layer = LAYERS["norm"](8)
    rounded = compute(layer, x.detach().bfloat16().contiguous(memory_format=torch.channels_last))
    exact = compute(layer, x.detach().bfloat16().float())
    assert torch.equal(rounded, exact.bfloat16())


@every_layer
@every_dtype
def test_results_do_not_depend_on_the_number_of_threads(build: Build, dtype: torch.dtype) -> None:
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 2, 3):
            torch.set_num_threads(threads)
            torch.manual_seed(1)
            layer, x = build(48), images(19, 48, 17, 15, dtype=dtype)
            y = compute(layer, x)
            y.backward(random_grad(y))
            results.append([y, x.grad, *(weight.grad for weight in layer.parameters()), *layer.buffers()])
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        assert all(torch.equal(mine, first) for mine, first in zip(result, results[0], strict=True))  # type: ignore[arg-type]


@every_layer
def test_several_threads_may_compute_at_once(build: Build) -> None:
    layer, x = build(16).requires_grad_(False), images(3, 16, 7, 5)
    y = compute(layer, x)
    grad = random_grad(y)
    expected = torch.autograd.grad(y, x, grad)[0]
    found = []

    def work() -> None:
        mine = x.detach().requires_grad_()
        found.extend(torch.autograd.grad(compute(layer, mine), mine, grad) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 60
    assert all(torch.equal(grad, expected) for (grad,) in found)


@every_layer
@every_dtype
def test_autocast_changes_nothing_forward_or_backward(build: Build, dtype: torch.dtype) -> None:
    """The kernels read what they are given in the format that it had when they were called."""
    layer, x = build(16), images(3, 16, 7, 5, dtype=dtype)
    y = compute(layer, x)
    grad = random_grad(y)
    inputs = [x, *layer.parameters()]
    expected = torch.autograd.grad(y, inputs, grad)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        again = compute(layer, x)
        found = torch.autograd.grad(again, inputs, grad)
    assert torch.equal(again, y)
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


@every_layer
def test_a_second_derivative_is_refused(build: Build) -> None:
    x = images(3, 16, 7, 5)
    (grad,) = torch.autograd.grad(compute(build(16), x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


@every_layer
def test_going_backward_twice_adds_the_gradient_twice(build: Build) -> None:
    layer, x = build(16), images(3, 16, 7, 5)
    y = compute(layer, x)
    grad = random_grad(y)
    y.backward(grad, retain_graph=True)
    once = [weight.grad.clone() for weight in layer.parameters()]  # type: ignore[union-attr]
    y.backward(grad)
    for weight, first in zip(layer.parameters(), once, strict=True):
        assert_close(weight.grad, first.double() * 2, 1e-6)


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
