"""CAM and Grad-CAM: what they add up to, that they agree, and that captum finds the same."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from effnet.evaluation.cam import cam, grad_cam, gradient_maps
from effnet.network.model import ConvNet
from effnet.spec.families import B0_CIFAR, NETWORKS, QUICK_CIFAR
from effnet.spec.netspec import NetSpec
from effnet.spec.scale import scale

SMALL = scale(B0_CIFAR, -8)
BARE = replace(
    SMALL, name="bare", head=None, stages=tuple(replace(stage, se_ratio=0.0) for stage in SMALL.stages)
)
SAME = replace(SMALL, name="same", padding="same", activation="relu")
BASELINES = tuple(NETWORKS[name] for name in ("resnet-18-cifar", "mobilenet-v2-cifar"))
SPECS = (SMALL, BARE, SAME, QUICK_CIFAR, *BASELINES)
NUM_CLASSES = 4
CLASSES = torch.tensor([[0, 3], [2, 1], [3, 3]])

every_network = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)


def network_of(spec: NetSpec) -> ConvNet:
    """Build a network whose batch statistics are those of images, so that features are of usual size."""
    torch.manual_seed(0)
    network = ConvNet(spec, NUM_CLASSES)
    with torch.no_grad():
        network.train()(images(8))
    return network.eval()


def images(count: int) -> Tensor:
    return torch.randn(count, 3, 18, 18, generator=torch.Generator().manual_seed(1))


@every_network
def test_the_mean_of_a_map_and_the_bias_are_the_logit(spec: NetSpec) -> None:
    network = network_of(spec)
    torch.nn.init.normal_(network.classifier.bias)
    maps = cam(network, images(3), CLASSES)
    with torch.no_grad():
        logits = network(images(3)).gather(1, CLASSES)
    expected = logits - network.classifier.bias[CLASSES]
    torch.testing.assert_close(maps.mean((2, 3)), expected, rtol=1e-4, atol=1e-5)


@every_network
def test_both_methods_agree_up_to_the_number_of_cells(spec: NetSpec) -> None:
    network = network_of(spec)
    maps = cam(network, images(3), CLASSES)
    cells = maps.shape[-2] * maps.shape[-1]
    assert cells > 1
    torch.testing.assert_close(gradient_maps(network, images(3), CLASSES) * cells, maps, rtol=1e-4, atol=1e-5)


@every_network
def test_captum_finds_the_same(spec: NetSpec) -> None:
    from captum.attr import LayerGradCam

    network = network_of(spec)
    explainer = LayerGradCam(network, network.head)  # without a head it is an identity, which has a place too
    for column in range(CLASSES.shape[1]):
        theirs = explainer.attribute(images(3), target=CLASSES[:, column], relu_attributions=True)
        ours = grad_cam(network, images(3), CLASSES)[:, column : column + 1]
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-4, atol=1e-6)


def test_grad_cam_is_cut_off_below_0() -> None:
    network = network_of(SMALL)
    before, after = gradient_maps(network, images(3), CLASSES), grad_cam(network, images(3), CLASSES)
    assert before.min() < 0
    torch.testing.assert_close(after, before.clamp(min=0))


def test_maps_have_a_cell_for_each_place_of_the_features() -> None:
    maps = cam(network_of(SMALL), images(3), CLASSES)
    assert maps.shape == (3, 2, 5, 5)  # 18 pixels at stride 4
    assert maps.dtype == torch.float32


def test_a_map_is_of_its_own_image_and_class() -> None:
    network = network_of(SMALL)
    both, turned = cam(network, images(3), CLASSES), cam(network, images(3)[[1]], CLASSES[[1]].flip(1))
    torch.testing.assert_close(turned[0], both[1].flip(0))


def test_no_gradient_stays_behind() -> None:
    network = network_of(SMALL)
    grad_cam(network, images(3), CLASSES)
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not cam(network, images(3), CLASSES).requires_grad
