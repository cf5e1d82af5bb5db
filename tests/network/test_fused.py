"""The fused block of EfficientNetV2: torchvision's result from the same weights, shape, residual."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from effnet.network.blocks import FusedMBConv
from effnet.spec.families import B0
from effnet.spec.netspec import Stage
from peers import relative_error

CASES = [(expand, stride, width) for expand in (1, 4) for stride in (1, 2) for width in (16, 24)]


def build(expand_ratio: int, stride: int, out_channels: int, se_ratio: float = 0.0) -> FusedMBConv:
    stage = Stage("fused-mbconv", expand_ratio, 3, stride, out_channels, 1, se_ratio)
    return FusedMBConv(B0, stage, 16, stride=stride, drop_path=0.0)


def torchvision_block(expand_ratio: int, stride: int, out_channels: int) -> nn.Module:
    from torchvision.models.efficientnet import FusedMBConv as Peer
    from torchvision.models.efficientnet import FusedMBConvConfig

    config = FusedMBConvConfig(expand_ratio, 3, stride, 16, out_channels, 1)
    block: nn.Module = Peer(config, 0.0, partial(nn.BatchNorm2d, eps=B0.bn_eps))
    return block


def randomise(module: nn.Module) -> None:
    """Give every tensor values that matter, running statistics too."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.2, 1.0)


@pytest.mark.parametrize(("expand_ratio", "stride", "out_channels"), CASES)
@pytest.mark.parametrize("training", [True, False])
def test_a_block_computes_what_torchvision_s_does(
    expand_ratio: int, stride: int, out_channels: int, training: bool
) -> None:
    torch.manual_seed(0)
    peer = torchvision_block(expand_ratio, stride, out_channels).train(training)
    randomise(peer)
    ours = build(expand_ratio, stride, out_channels).train(training)
    ours.load_state_dict(dict(zip(ours.state_dict(), peer.state_dict().values(), strict=True)))
    x = torch.randn(2, 16, 9, 7)
    assert relative_error(ours(x), peer(x)) < 1e-5


def test_squeeze_and_excitation_scales_the_expanded_features() -> None:
    block = build(4, 1, 16, se_ratio=0.25).eval()
    plain = build(4, 1, 16).eval()
    plain.load_state_dict({name: block.state_dict()[name] for name in plain.state_dict()})
    nn.init.zeros_(block.se.expand.weight)  # type: ignore[union-attr,arg-type]
    nn.init.constant_(block.se.expand.bias, 20.0)  # type: ignore[union-attr,arg-type]
    x = torch.randn(2, 16, 5, 5)
    assert relative_error(block(x), plain(x)) < 1e-5  # all gates are open


@pytest.mark.parametrize(("stride", "out_channels"), [(2, 16), (1, 24)])
def test_a_block_that_changes_the_shape_has_no_residual(stride: int, out_channels: int) -> None:
    assert not build(4, stride, out_channels).residual


def test_a_dropped_block_is_the_identity() -> None:
    block = build(4, 1, 16).train()
    block.drop_path.rate = 0.999999
    x: Tensor = torch.randn(2, 16, 5, 5)
    assert torch.equal(block(x), x)
