from dataclasses import replace
from math import ceil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from effnet.network.blocks import ACTIVATIONS, DropPath, MBConv, SamePadConv2d, SqueezeExcite, conv2d
from effnet.spec.families import B0
from effnet.spec.netspec import Activation, Padding, Stage

KERNELS = st.sampled_from([1, 3, 5, 7, 9, 11])
STRIDES = st.integers(1, 4)
SIZES = st.integers(1, 70)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@given(KERNELS, STRIDES, SIZES, SIZES)
def test_both_paddings_give_the_size_over_the_stride_rounded_up(
    kernel: int, stride: int, height: int, width: int
) -> None:
    images = torch.empty(1, 2, height, width, device="meta")
    paddings: tuple[Padding, ...] = ("symmetric", "same")
    for padding in paddings:
        with torch.device("meta"):
            conv = conv2d(replace(B0, padding=padding), (2, 3), (kernel, stride), 1)
        assert conv(images).shape == (1, 3, ceil(height / stride), ceil(width / stride))


@pytest.mark.parametrize(
    ("kernel", "stride", "size", "before", "after"),
    [
        (3, 1, 8, 1, 1),
        (3, 2, 8, 0, 1),
        (3, 2, 7, 1, 1),
        (5, 1, 8, 2, 2),
        (5, 2, 8, 1, 2),
        (5, 2, 7, 2, 2),
        (1, 2, 8, 0, 0),
        (3, 4, 7, 0, 0),
    ],
)
def test_same_padding_equals_padding_by_hand(
    kernel: int, stride: int, size: int, before: int, after: int
) -> None:
    conv = SamePadConv2d(3, 4, kernel, stride)
    images = torch.randn(2, 3, size, size)
    by_hand = F.conv2d(F.pad(images, (before, after, before, after)), conv.weight, conv.bias, stride)
    torch.testing.assert_close(conv(images), by_hand)


def test_same_padding_treats_height_and_width_apart() -> None:
    conv = SamePadConv2d(1, 1, 3, 2)
    images = torch.randn(1, 1, 8, 7)
    by_hand = F.conv2d(F.pad(images, (1, 1, 0, 1)), conv.weight, conv.bias, 2)
    torch.testing.assert_close(conv(images), by_hand)


def test_same_padding_works_with_groups() -> None:
    conv = SamePadConv2d(6, 6, 5, 2, groups=6)
    images = torch.randn(1, 6, 8, 8)
    by_hand = F.conv2d(F.pad(images, (1, 2, 1, 2)), conv.weight, conv.bias, 2, groups=6)
    torch.testing.assert_close(conv(images), by_hand)


@given(KERNELS)
def test_paddings_agree_at_stride_1(kernel: int) -> None:
    symmetric = conv2d(replace(B0, padding="symmetric"), (2, 3), (kernel, 1), 1)
    same = conv2d(replace(B0, padding="same"), (2, 3), (kernel, 1), 1)
    same.load_state_dict(symmetric.state_dict())
    images = torch.randn(1, 2, 9, 12)
    torch.testing.assert_close(same(images), symmetric(images))


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.7])
def test_drop_path_zeroes_its_rate_of_images(rate: float) -> None:
    num_images = 20_000
    kept = DropPath(rate).train()(torch.ones(num_images, 1, 1, 1)).count_nonzero().item()
    standard_error = (rate * (1 - rate) / num_images) ** 0.5
    assert abs((1 - kept / num_images) - rate) < 4 * standard_error


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.7])
def test_drop_path_keeps_the_expectation(rate: float) -> None:
    images = torch.full((20_000, 1, 1, 1), 3.0)
    standard_error = 3.0 * (rate / (1 - rate) / len(images)) ** 0.5
    assert abs(DropPath(rate).train()(images).mean().item() - 3.0) < 4 * standard_error


def test_drop_path_keeps_or_drops_an_image_as_a_whole() -> None:
    images = torch.rand(64, 3, 4, 4) + 1
    shares = DropPath(0.5).train()(images) / images
    assert set(shares.unique().round(decimals=5).tolist()) == {0.0, 2.0}
    assert torch.equal(shares.amin((1, 2, 3)), shares.amax((1, 2, 3)))


def test_drop_path_drops_the_gradient_with_the_image() -> None:
    images = torch.ones(64, 1, 1, 1, requires_grad=True)
    output = DropPath(0.5).train()(images)
    output.sum().backward()
    assert images.grad is not None
    assert torch.equal(images.grad, output.detach())


@pytest.mark.parametrize(("rate", "training"), [(0.5, False), (0.0, True), (0.0, False)])
def test_drop_path_is_the_identity_in_evaluation_and_at_rate_0(rate: float, training: bool) -> None:
    images = torch.randn(16, 3, 2, 2)
    assert torch.equal(DropPath(rate).train(training)(images), images)


def test_squeeze_and_excitation_scales_each_channel_by_one_number_between_0_and_1() -> None:
    block = SqueezeExcite(B0, 6, 2)
    x = torch.rand(2, 6, 5, 5) + 1
    gates = block(x) / x
    torch.testing.assert_close(gates, gates[:, :, :1, :1].expand_as(gates))
    assert 0 < gates.min() <= gates.max() < 1


def test_squeeze_and_excitation_sees_the_whole_image() -> None:
    block = SqueezeExcite(B0, 6, 6)
    x = torch.randn(1, 6, 5, 5)
    elsewhere = x.clone()
    elsewhere[..., 4, 4] += 10
    assert not torch.allclose(block(x)[..., 0, 0], block(elsewhere)[..., 0, 0])


def build_block(
    expand_ratio: int = 6, stride: int = 1, in_channels: int = 16, se_ratio: float = 0.25
) -> MBConv:
    stage = Stage("mbconv", expand_ratio, 3, stride, 16, 1, se_ratio)
    return MBConv(B0, stage, in_channels, stride=stride, drop_path=0.3)


def zero_the_branch(block: MBConv) -> MBConv:
    nn.init.zeros_(block.project.norm.weight)
    return block.eval()


def test_a_block_adds_its_input_where_shapes_allow() -> None:
    x = torch.randn(2, 16, 6, 6)
    assert torch.equal(zero_the_branch(build_block())(x), x)


@pytest.mark.parametrize(("stride", "in_channels"), [(2, 16), (1, 8)])
def test_a_block_that_changes_the_shape_adds_nothing(stride: int, in_channels: int) -> None:
    block = zero_the_branch(build_block(stride=stride, in_channels=in_channels))
    assert block(torch.randn(2, in_channels, 6, 6)).count_nonzero() == 0


@pytest.mark.parametrize(("stride", "in_channels"), [(2, 16), (1, 8)])
def test_a_block_without_residual_is_never_dropped(stride: int, in_channels: int) -> None:
    assert build_block(stride=stride, in_channels=in_channels).drop_path.rate == 0.0


def test_a_dropped_block_hands_its_input_on() -> None:
    block = build_block().train()
    block.drop_path.rate = 1.0 - 1e-9
    x = torch.randn(4, 16, 6, 6)
    assert torch.equal(block(x), x)


def test_a_block_does_not_expand_at_ratio_1() -> None:
    assert isinstance(build_block(expand_ratio=1).expand, nn.Identity)
    assert build_block(expand_ratio=1).depthwise.conv.out_channels == 16


def test_a_block_does_not_squeeze_at_ratio_0() -> None:
    assert isinstance(build_block(se_ratio=0.0).se, nn.Identity)


def test_the_projection_is_linear() -> None:
    assert isinstance(build_block().project.activation, nn.Identity)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_activation_of_the_spec_is_used_everywhere(name: Activation) -> None:
    stage = B0.stages[1]
    block = MBConv(replace(B0, activation=name), stage, 16, stride=1, drop_path=0.0)
    used = [type(m) for m in block.modules() if isinstance(m, tuple(ACTIVATIONS.values()))]
    assert used == [ACTIVATIONS[name]] * 3  # expand, depthwise, squeeze


def test_the_settings_of_batch_normalisation_are_those_of_the_spec() -> None:
    block = MBConv(replace(B0, bn_eps=0.5, bn_momentum=0.25), B0.stages[1], 16, stride=1, drop_path=0.0)
    norms = [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(0.5, 0.25)}


def test_convolutions_before_a_normalisation_have_no_bias() -> None:
    block = build_block()
    assert [part.conv.bias for part in (block.depthwise, block.project)] == [None, None]
