"""The CPU kernels lose no NaN, and depend on no threads and no autocast."""

import os
import subprocess
import sys
import threading

import pytest
import torch
from native_layers import (
    LAYERS,
    Build,
    assert_close,
    assert_nan,
    backward,
    compute,
    every_dtype,
    every_layer,
    gradients,
    images,
    inner,
    random_grad,
)
from torch import Tensor

from compiler import needs_kernels

pytestmark = needs_kernels


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@every_layer
@every_dtype
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_in_the_input_is_noticed(build: Build, dtype: torch.dtype, bad: float) -> None:
    layer, x = build(16), images(2, 16, 7, 5, dtype=dtype)
    with torch.no_grad():
        x[1, 3, 2, 2] = bad
    y = compute(layer, x)
    backward(y)
    assert not y[1, 3].isfinite().all()
    assert not all(gradient.isfinite().all() for gradient in gradients(layer))


@every_layer
@every_dtype
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_in_the_gradient_is_noticed(build: Build, dtype: torch.dtype, bad: float) -> None:
    layer, x = build(16), images(2, 16, 7, 5, dtype=dtype)
    y = compute(layer, x)
    grad = random_grad(y)
    grad[1, 3, 1, 1] = bad
    backward(y, grad)
    assert x.grad is not None
    assert not x.grad[1, 3].isfinite().all()
    assert not any(gradient.isfinite().all() for gradient in gradients(layer))


@pytest.mark.parametrize("bits", [0x7FFFFFFF, -1, 0x7F800001, 0x7FC00000, 0x7FFF8000])
def test_every_kind_of_nan_stays_nan_in_bfloat16(bits: int) -> None:
    """Rounding by adding to the bits would carry the first of these over to zero."""
    layer = LAYERS["norm"](8)
    with torch.no_grad():
        inner(layer).bias.fill_(torch.tensor(bits, dtype=torch.int32).view(torch.float32))
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
            backward(y)
            assert x.grad is not None
            results.append([y, x.grad, *gradients(layer), *layer.buffers()])
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        assert all(map(torch.equal, result, results[0]))


@every_layer
def test_several_threads_may_compute_at_once(build: Build) -> None:
    layer, x = build(16).requires_grad_(False), images(3, 16, 7, 5)
    y = compute(layer, x)
    grad = random_grad(y)
    expected = torch.autograd.grad(y, x, grad)[0]
    found: list[tuple[Tensor, ...]] = []

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
        backward(grad)


@every_layer
def test_going_backward_twice_adds_the_gradient_twice(build: Build) -> None:
    layer, x = build(16), images(3, 16, 7, 5)
    y = compute(layer, x)
    grad = random_grad(y)
    torch.autograd.backward(y, grad, retain_graph=True)
    once = [gradient.double() for gradient in gradients(layer)]
    backward(y, grad)
    for twice, first in zip(gradients(layer), once, strict=True):
        assert_close(twice, first * 2, 1e-6)


def test_running_out_of_memory_is_an_error_not_the_end_of_the_process() -> None:
    code = (
        "import resource, torch\n"
        "from pathlib import Path\n"
        "from effnet.network.native import ops\n"
        "from native_layers import backward, compute, conv, images\n"
        "layer, x = conv(8), images(1, 8, 1, 1_000_000).detach()\n"
        "y = compute(layer, x)\n"
        "grad = torch.ones_like(y)\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 64_000_000,) * 2)\n"
        "backward(y, grad)\n"
    )
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=here, check=False)
    assert done.stderr.splitlines()[-1] == (
        "MemoryError: not enough memory for the buffers of the CPU kernel depthwise_weight"
    )
