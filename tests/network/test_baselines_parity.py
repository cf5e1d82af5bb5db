"""The same weights give the same logits and gradients as torchvision's and timm's MobileNets and ResNets."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import nn

from effnet.benching.peers import TIMM_NAMES, TORCHVISION_NAMES
from effnet.network.model import create_model
from effnet.spec.families import get_spec
from peers import (
    assert_same_step,
    logits_error,
    ours_with_weights_of,
    random_peer,
    timm_baseline,
    torchvision_baseline,
    torchvision_for_cifar,
)

TOLERANCE = 1e-5
CIFAR = ["mobilenet-v2-cifar", "resnet-18-cifar", "resnet-50-cifar"]

Build = Callable[..., nn.Module]

PAIRS = [
    *(pytest.param(name, torchvision_baseline, id=f"{name}-torchvision") for name in TORCHVISION_NAMES),
    *(pytest.param(name, timm_baseline, id=f"{name}-timm") for name in TIMM_NAMES),
]
every_pair = pytest.mark.parametrize(("name", "build"), PAIRS)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@every_pair
def test_logits_equal_the_peer_s(name: str, build: Build, generator: torch.Generator) -> None:
    peer = random_peer(build, name, 65, generator)
    ours = ours_with_weights_of(peer, name)
    assert ours.spec == get_spec(name), "the peer has another eps"
    images = torch.randn(2, 3, 65, 65, generator=generator)
    assert logits_error(ours, peer, images) < TOLERANCE


@pytest.mark.parametrize("name", CIFAR)
def test_logits_of_a_network_for_small_images_equal_those_of_torchvision_s_changed_alike(
    name: str, generator: torch.Generator
) -> None:
    peer = random_peer(torchvision_for_cifar, name, 32, generator)
    images = torch.randn(2, 3, 32, 32, generator=generator)
    assert logits_error(ours_with_weights_of(peer, name), peer, images) < TOLERANCE


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("mobilenet-v1", timm_baseline),
        ("mobilenet-v2", torchvision_baseline),
        ("resnet-18", torchvision_baseline),
        ("resnet-50", torchvision_baseline),
    ],
)
def test_a_training_step_in_float64_equals_the_peer_s(
    name: str, build: Build, generator: torch.Generator
) -> None:
    peer = random_peer(build, name, 64, generator).double().train()
    for module in peer.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    ours = ours_with_weights_of(deepcopy(peer), name, dropout=0.0)
    images = torch.randn(4, 3, 64, 64, generator=generator, dtype=torch.float64)
    assert_same_step(ours, peer, images)


@every_pair
def test_the_peer_counts_as_many_parameters(name: str, build: Build) -> None:
    with torch.device("meta"):
        counts = [sum(p.numel() for p in net.parameters()) for net in (build(name), create_model(name))]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("name", ["mobilenet-v2", "resnet-18", "resnet-50"])
def test_dropout_is_torchvision_s(name: str) -> None:
    with torch.device("meta"):
        rates = [m.p for m in torchvision_baseline(name).modules() if isinstance(m, nn.Dropout)]
    assert get_spec(name).dropout == (rates[0] if rates else 0.0)


@pytest.mark.parametrize("name", ["resnet-18", "resnet-50"])
def test_dense_convolutions_start_as_torchvision_s(name: str) -> None:
    torch.manual_seed(0)
    ours, theirs = create_model(name), torchvision_baseline(name)
    for mine, other in zip(convolutions(ours), convolutions(theirs), strict=True):
        assert mine.std().item() == pytest.approx(other.std().item(), rel=0.05)


def test_every_weight_of_mobilenet_v1_starts_as_timm_s() -> None:
    torch.manual_seed(0)
    ours, theirs = create_model("mobilenet-v1"), timm_baseline("mobilenet-v1")
    pairs = [*zip(convolutions(ours), convolutions(theirs), strict=True)]
    pairs.append((ours.classifier.weight, theirs.get_parameter("classifier.weight")))
    for mine, other in pairs:
        assert mine.std().item() == pytest.approx(other.std().item(), rel=0.2)  # 32 depthwise kernels of 9


def convolutions(net: nn.Module) -> list[torch.Tensor]:
    """Weights of the convolutions, in the order of the layers."""
    return [module.weight for module in net.modules() if isinstance(module, nn.Conv2d)]
