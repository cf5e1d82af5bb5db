"""Whole networks that train with the CPU kernels: the same results, and torch where there is no kernel."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from native_layers import TOLERANCE, assert_close, backward, gradients
from native_networks import LABELS, TINY, assert_same_statistics, images, kernels_in, pair, step
from torch import nn
from torch.nn import functional as F

from compiler import needs_kernels
from effnet.spec.netspec import NetSpec

pytestmark = needs_kernels


def with_stages(**changes: object) -> NetSpec:
    return replace(TINY, stages=tuple(replace(stage, **changes) for stage in TINY.stages))  # type: ignore[arg-type]


def baseline(block: str, expand_ratio: int = 1) -> NetSpec:
    changed = with_stages(block=block, expand_ratio=expand_ratio, se_ratio=0.0)
    return replace(changed, activation="relu", head=None)


SPECS = {
    "plain": TINY,
    "same": replace(TINY, padding="same", stem=replace(TINY.stem, stride=2)),
    "relu": replace(TINY, activation="relu"),
    "hardswish": replace(TINY, activation="hardswish"),
    "without gates": with_stages(se_ratio=0.0),
    "kernel 7": with_stages(kernel_size=7),
    "12 channels": with_stages(out_channels=12),
    "stride 3": replace(TINY, stages=(TINY.stages[0], replace(TINY.stages[1], stride=3), *TINY.stages[2:4])),
    "fused": with_stages(block="fused-mbconv"),
    "relu6": replace(with_stages(se_ratio=0.0), activation="relu6"),
    "separable": baseline("separable"),
    "basic": baseline("basic"),
    "bottleneck": baseline("bottleneck", expand_ratio=4),
}
every_spec = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def error(network: nn.Module, exact: nn.Module) -> float:
    """How far the gradients are from exact ones, as a share of their length."""
    mine, theirs = (torch.cat([g.flatten().double() for g in gradients(n)]) for n in (network, exact))
    return float((mine - theirs).norm() / theirs.norm())


@pytest.mark.parametrize("in_channels", [1, 2, 3], ids=["grey", "2", "RGB"])
def test_every_layer_that_has_a_kernel_uses_it(in_channels: int) -> None:
    native, plain = pair(replace(TINY, in_channels=in_channels))
    x = images()[:, :in_channels].contiguous(memory_format=torch.channels_last)
    blocks = TINY.num_blocks
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in native.modules())
    expected = {"DepthwiseConv": blocks, "BatchNorm": norms, "SqueezeExcite": blocks}
    assert kernels_in(native(x)) == expected
    assert kernels_in(plain(x)).total() == 0


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("relu", ["SqueezeExcite"]),
        ("without gates", ["SqueezeExcite"]),
        ("kernel 7", ["DepthwiseConv"]),
        ("fused", ["DepthwiseConv"]),
        ("relu6", ["SqueezeExcite"]),
        ("separable", ["BatchNorm", "SqueezeExcite"]),
        ("basic", ["DepthwiseConv", "SqueezeExcite"]),
        ("bottleneck", ["DepthwiseConv", "SqueezeExcite"]),
    ],
)
def test_layers_without_a_kernel_are_left_to_torch(name: str, missing: list[str]) -> None:
    used = kernels_in(pair(SPECS[name])[0](images()))
    assert [kernel for kernel, count in used.items() if count == 0] == missing


@every_spec
def test_logits_gradients_and_statistics_are_those_of_the_plain_network(spec: NetSpec) -> None:
    native, plain = pair(spec)
    exact, x = deepcopy(plain).double(), images()
    assert_close(native(x), exact(x.double()), 1e-4)
    assert_close(step(native, x), step(exact, x.double()), 1e-5)
    step(plain, x)
    assert error(native, exact) < max(3 * error(plain, exact), 1e-5)
    assert_same_statistics(native, exact)


@pytest.mark.parametrize("spec", [TINY, SPECS["same"]], ids=["plain", "same"])
def test_in_bfloat16_the_gradients_are_as_good_as_those_of_torch(spec: NetSpec) -> None:
    native, plain = pair(spec)
    exact, x = deepcopy(plain).double(), images()
    step(exact, x.double())
    for network in (native, plain):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(x)
        backward(F.cross_entropy(logits.float(), LABELS))
    assert error(native, exact) < 1.2 * error(plain, exact)


def test_a_few_steps_lead_to_the_same_weights() -> None:
    native, plain = pair(TINY)
    x = images()
    for network in (native, plain):
        optimizer = torch.optim.SGD(network.parameters(), lr=0.02, momentum=0.9)
        for _ in range(4):
            optimizer.zero_grad()
            step(network, x)
            optimizer.step()
    for mine, theirs in zip(native.state_dict().values(), plain.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-2, atol=1e-3)


def test_random_layers_draw_the_same_with_and_without_kernels() -> None:
    native, plain = pair(replace(TINY, dropout=0.5, drop_path=0.5))
    x = images()
    torch.manual_seed(1)
    mine = native(x)
    torch.manual_seed(1)
    assert_close(mine, plain(x).double(), 1e-4)


def test_what_is_not_finite_reaches_the_loss() -> None:
    native, _ = pair(TINY)
    x = images()
    x[0, 0, 0, 0] = float("nan")
    for dtype in TOLERANCE:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            assert native(x).isnan().any()
