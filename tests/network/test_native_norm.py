"""Batch normalisation by the CPU kernels where numbers are hard: statistics, outliers, SiLU far from 0."""

from copy import deepcopy
from typing import cast

import pytest
import torch
from native_layers import assert_close, backward, compute, images, inner, norm
from torch import Tensor, nn
from torch.nn import functional as F

from compiler import needs_kernels
from effnet.network.blocks import ConvNorm
from effnet.network.native import ops
from effnet.spec.families import B0

pytestmark = needs_kernels


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def batch_norm(channels: int) -> tuple[nn.Module, nn.BatchNorm2d]:
    """A layer without SiLU, and the normalisation in it."""
    layer = norm(channels, silu=False)
    return layer, inner(layer)


def variance(x: Tensor) -> Tensor:
    """The unbiased variance of each channel, as the running statistics get to know it."""
    layer = norm(x.shape[1], momentum=1.0)
    compute(layer, x.contiguous(memory_format=torch.channels_last))
    return cast(Tensor, inner(layer).running_var)


@pytest.mark.parametrize("momentum", [0.01, 0.1, 1.0])
def test_running_statistics_follow_those_of_torch(momentum: float) -> None:
    layer = norm(24, momentum=momentum)
    exact = deepcopy(layer).double()
    for _ in range(5):
        x = images(3, 24, 7, 5).detach() * 2 + 1
        compute(layer, x)
        exact(x.double())
    for mine, theirs in zip(layer.buffers(), exact.buffers(), strict=True):
        assert_close(mine, theirs, 1e-6)
    assert inner(layer).num_batches_tracked == 5


def test_a_large_mean_does_not_bury_the_variance() -> None:
    x = torch.randn(16, 8, 32, 32) + 1000
    torch.testing.assert_close(variance(x), x.double().var((0, 2, 3)).float(), rtol=2e-5, atol=0)


def test_a_large_mean_costs_no_more_than_it_does_in_torch() -> None:
    layer, plain = batch_norm(8)
    x = images(16, 8, 32, 32).detach() + 1000
    exact = deepcopy(plain).double()(x.double())
    theirs = deepcopy(plain)(x)
    assert (compute(layer, x) - exact).abs().max() < 2 * (theirs - exact).abs().max()


@pytest.mark.parametrize("outlier", [(0, 0, 0), (0, 0, 1), (3, 17, 5), (7, 31, 31)], ids=str)
@pytest.mark.parametrize("value", [999.7, -1e6, 1e-3])
def test_one_value_far_from_the_others_does_not_bury_the_variance(
    outlier: tuple[int, int, int], value: float
) -> None:
    """Such as the only active pixel of a channel. The first value of all is what others are compared with."""
    image, row, column = outlier
    x = torch.full((8, 8, 32, 32), 1.1)
    x[image, :, row, column] = value
    torch.testing.assert_close(variance(x), x.double().var((0, 2, 3)).float(), rtol=2e-4, atol=0)


def test_channels_are_apart() -> None:
    x = torch.randn(4, 48, 9, 9) * torch.logspace(-6, 6, 48)[:, None, None]
    torch.testing.assert_close(variance(x), x.double().var((0, 2, 3)).float(), rtol=2e-6, atol=0)


def test_a_constant_channel_becomes_its_bias() -> None:
    layer, plain = batch_norm(8)
    x = torch.full((4, 8, 5, 5), 3.7).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = compute(layer, x)
    backward(y.square().sum())
    torch.testing.assert_close(y, plain.bias[:, None, None].expand_as(y), rtol=0, atol=1e-4)
    assert x.grad is not None
    assert x.grad.isfinite().all()


FAR = torch.cat([torch.linspace(-104, 104, 4089), torch.tensor([0.0, -0.0, 1e3, -1e3, 1e30, -1e38, -3e38])])
"""4096 values, that a normalisation with the weight 0 gets as its bias."""


def silu_of_far_values() -> tuple[Tensor, Tensor]:
    """The values of SiLU, and its derivatives."""
    layer = norm(len(FAR))
    with torch.no_grad():
        inner(layer).weight.zero_()
        inner(layer).bias.copy_(FAR)
    y = compute(layer, images(2, len(FAR), 2, 1))
    backward(y, torch.ones_like(y))
    slopes = inner(layer).bias.grad
    assert slopes is not None
    return y[0, :, 0, 0].detach(), slopes / 4


def test_silu_is_exact_far_from_zero_and_never_overflows() -> None:
    values, _ = silu_of_far_values()
    torch.testing.assert_close(values, F.silu(FAR.double()).float(), rtol=5e-7, atol=1e-36)


def test_the_derivative_of_silu_is_exact_far_from_zero_and_never_overflows() -> None:
    _, slopes = silu_of_far_values()
    z = FAR.double().requires_grad_()
    backward(F.silu(z), torch.ones_like(z))
    assert z.grad is not None
    torch.testing.assert_close(slopes, z.grad.float(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("infinity", [float("inf"), float("-inf")])
def test_silu_of_infinity_is_what_torch_says(infinity: float) -> None:
    layer = norm(8)
    with torch.no_grad():
        inner(layer).weight.zero_()
        inner(layer).bias.fill_(infinity)
    y = compute(layer, images(2, 8, 2, 2))
    torch.testing.assert_close(y, F.silu(torch.full_like(y, infinity)), equal_nan=True)


@pytest.mark.parametrize(
    ("layer", "supported"),
    [
        (nn.BatchNorm2d(16), True),
        (nn.BatchNorm2d(16, affine=False), False),
        (nn.BatchNorm2d(16, track_running_stats=False), False),
        (nn.BatchNorm2d(16, momentum=None), False),
        (nn.BatchNorm2d(16).eval(), False),
        (nn.BatchNorm2d(16).bfloat16(), False),
        (nn.BatchNorm2d(16).double(), False),
        (nn.BatchNorm2d(24), False),
        (nn.SyncBatchNorm(16), False),
    ],
    ids=["plain", "not affine", "untracked", "cumulative", "frozen", "bfloat16", "float64", "24", "sync"],
)
def test_a_normalisation_of_another_kind_is_left_to_torch(layer: nn.BatchNorm2d, supported: bool) -> None:
    assert ops.supports_norm(images(2, 16, 5, 5), layer) == supported


def test_statistics_that_do_not_lie_side_by_side_are_left_to_torch() -> None:
    layer = nn.BatchNorm2d(16)
    layer.running_mean = torch.zeros(32)[::2]
    assert not ops.supports_norm(images(2, 16, 5, 5), layer)


def native_block(channels: int = 16) -> ConvNorm:
    block = ConvNorm(B0, (channels, channels))
    block.native = True
    return block


def test_one_value_per_channel_is_an_error_as_in_torch() -> None:
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        native_block()(images(1, 16, 1, 1))


def test_a_frozen_normalisation_in_a_training_network_keeps_its_statistics() -> None:
    block, x = native_block(), images(2, 16, 5, 5)
    block.norm.eval()
    expected = F.silu(F.batch_norm(block.conv(x), torch.zeros(16), torch.ones(16), eps=B0.bn_eps))
    torch.testing.assert_close(block(x), expected)
    assert block.norm.num_batches_tracked == 0
