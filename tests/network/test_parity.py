"""The same weights give the same logits and gradients as torchvision's and timm's networks."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from effnet.network.blocks import MBConv
from effnet.network.model import create_model
from effnet.spec.families import B0_CIFAR, QUICK_CIFAR
from effnet.spec.netspec import NetSpec
from effnet.spec.scale import scale
from peers import (
    PEERS,
    assert_same_step,
    logits_error,
    ours_with_weights_of,
    random_peer,
    timm_net,
    timm_net_of,
    timm_tf_net,
    torchvision_net,
)

NAMES = [f"b{i}" for i in range(8)]
# Measured: 0 here, and float32 is within 6e-7 of float64; a wrong eps of BN makes 7e-3 or more.
TOLERANCE = 1e-5

Build = Callable[..., nn.Module]


def random_images(size: int, generator: torch.Generator) -> Tensor:
    return torch.randn(2, 3, size, size, generator=generator)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(params=list(PEERS.values()), ids=list(PEERS))
def build(request: pytest.FixtureRequest) -> Build:
    peer: Build = request.param
    return peer


@pytest.mark.parametrize("name", NAMES)
def test_logits_equal_the_peer_s(name: str, build: Build, generator: torch.Generator) -> None:
    peer = random_peer(build, name, 65, generator)
    ours = ours_with_weights_of(peer, name)
    assert logits_error(ours, peer, random_images(65, generator)) < TOLERANCE


@pytest.mark.parametrize("size", [97, 224])
def test_logits_of_b0_equal_the_peer_s_at_other_sizes(
    size: int, build: Build, generator: torch.Generator
) -> None:
    peer = random_peer(build, "b0", size, generator)
    ours = ours_with_weights_of(peer, "b0")
    assert logits_error(ours, peer, random_images(size, generator)) < TOLERANCE


@pytest.mark.parametrize(
    "spec", [B0_CIFAR, scale(B0_CIFAR, -6), QUICK_CIFAR], ids=lambda spec: str(spec.name)
)
def test_logits_of_a_network_for_small_images_equal_timm_s(spec: NetSpec, generator: torch.Generator) -> None:
    peer = random_peer(timm_net_of, spec, 32, generator)
    ours = ours_with_weights_of(peer, spec)
    assert logits_error(ours, peer, random_images(32, generator)) < TOLERANCE


@pytest.mark.parametrize("size", [64, 65])
def test_logits_with_same_padding_equal_those_of_timm_s_tensorflow_port(
    size: int, generator: torch.Generator
) -> None:
    peer = random_peer(timm_tf_net, "b0", size, generator)
    ours = ours_with_weights_of(peer, "b0", padding="same")
    assert ours.spec.bn_eps == 1e-3
    assert logits_error(ours, peer, random_images(size, generator)) < TOLERANCE


def test_symmetric_padding_does_not_reproduce_tensorflow_s_at_an_even_size(
    generator: torch.Generator,
) -> None:
    peer = random_peer(timm_tf_net, "b0", 64, generator)
    ours = ours_with_weights_of(peer, "b0", padding="symmetric")
    assert logits_error(ours, peer, random_images(64, generator)) > 100 * TOLERANCE


def test_a_wrong_bn_eps_does_not_reproduce_the_peer(build: Build, generator: torch.Generator) -> None:
    peer = random_peer(build, "b0", 65, generator)
    ours = ours_with_weights_of(peer, "b0")
    for module in ours.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
    assert logits_error(ours, peer, random_images(65, generator)) > 100 * TOLERANCE


@pytest.mark.parametrize("name", NAMES)
def test_the_peers_count_as_many_parameters(name: str, build: Build) -> None:
    with torch.device("meta"):
        counts = [sum(p.numel() for p in net.parameters()) for net in (build(name), create_model(name))]
    assert counts[0] == counts[1]


UNREGULARIZED: dict[str, Build] = {
    "torchvision": partial(torchvision_net, dropout=0.0, stochastic_depth_prob=0.0),
    "timm": partial(timm_net, drop_rate=0.0, drop_path_rate=0.0),
}


@pytest.mark.parametrize("build", UNREGULARIZED.values(), ids=UNREGULARIZED)
def test_a_training_step_in_float64_equals_the_peer_s(build: Build, generator: torch.Generator) -> None:
    peer = random_peer(build, "b0", 64, generator).double().train()
    ours = ours_with_weights_of(deepcopy(peer), "b0", dropout=0.0, drop_path=0.0)
    images = torch.randn(4, 3, 64, 64, generator=generator, dtype=torch.float64)
    assert_same_step(ours, peer, images)


def drop_path_rates_of_torchvision(name: str) -> list[float]:
    blocks: list[Any] = [m for m in torchvision_net(name).modules() if type(m).__name__ == "MBConv"]
    return [block.stochastic_depth.p for block in blocks if block.use_res_connect]


def drop_path_rates_of_timm(name: str) -> list[float]:
    blocks: list[Any] = [m for m in timm_net(name, drop_path_rate=0.2).modules() if hasattr(m, "has_skip")]
    return [getattr(block.drop_path, "drop_prob", 0.0) for block in blocks if block.has_skip]


@pytest.mark.parametrize("rates", [drop_path_rates_of_torchvision, drop_path_rates_of_timm])
@pytest.mark.parametrize("name", ["b0", "b1"])
def test_drop_path_rates_equal_the_peer_s(name: str, rates: Callable[[str], list[float]]) -> None:
    with torch.device("meta"):
        blocks = [module for module in create_model(name).modules() if isinstance(module, MBConv)]
        expected = rates(name)
    assert len(expected) > 8
    assert [block.drop_path.rate for block in blocks if block.residual] == pytest.approx(expected)
