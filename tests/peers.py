"""Other libraries' networks, and how their weights become ours. For parity tests only."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from effnet.benching.peers import TIMM_NAMES, TORCHVISION_NAMES, declare_operators
from effnet.benching.peers import timm_net_of as timm_network_of
from effnet.network.model import IMAGENET_CLASSES, ConvNet, create_model
from effnet.spec.netspec import NetSpec

declare_operators()


def torchvision_net(name: str, **options: Any) -> nn.Module:
    """Build torchvision's `b0` … `b7`; its BN eps is 1e-5 up to B4 and 1e-3 above."""
    from torchvision import models

    net: nn.Module = getattr(models, f"efficientnet_{name}")(**options)
    return net


def timm_net(name: str, **options: Any) -> nn.Module:
    """Build timm's `b0` … `b7` with symmetric padding; its BN eps is 1e-5."""
    import timm

    return timm.create_model(f"efficientnet_{name}", **options)


def timm_tf_net(name: str, **options: Any) -> nn.Module:
    """Build timm's `b0` … `b7` for the original TensorFlow weights: "same" padding, BN eps 1e-3."""
    import timm

    return timm.create_model(f"tf_efficientnet_{name}", **options)


def torchvision_baseline(name: str, **options: Any) -> nn.Module:
    """Build torchvision's network that goes by a baseline's name here."""
    from torchvision import models

    net: nn.Module = getattr(models, TORCHVISION_NAMES[name])(**options)
    return net


def timm_baseline(name: str, **options: Any) -> nn.Module:
    """Build timm's network that goes by a baseline's name here."""
    import timm

    return timm.create_model(TIMM_NAMES[name], **options)


def torchmetrics_ece(probs: torch.Tensor, labels: torch.Tensor) -> float:
    """Return torchmetrics' calibration error of `probs (N, K)` in 15 bins."""
    from torchmetrics.functional.classification import multiclass_calibration_error

    return float(multiclass_calibration_error(probs, labels, probs.shape[1], n_bins=15, norm="l1"))


def torchvision_for_cifar(name: str) -> nn.Module:
    """Build torchvision's network and change it for small images, as kuangliu/pytorch-cifar does."""
    base = name.removesuffix("-cifar")
    if base == "mobilenet-v2":
        rows = [
            (1, 16, 1, 1),
            (6, 24, 2, 1),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        ]
        net = torchvision_baseline(base, inverted_residual_setting=[list(row) for row in rows])
        stem = next(module for module in net.modules() if isinstance(module, nn.Conv2d))
        stem.stride = (1, 1)
        return net
    net = torchvision_baseline(base)
    net.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    net.maxpool = nn.Identity()
    return net


timm_net_of = partial(timm_network_of, num_classes=IMAGENET_CLASSES)

PEERS: dict[str, Callable[..., nn.Module]] = {"torchvision": torchvision_net, "timm": timm_net}


def bn_eps(peer: nn.Module) -> float:
    """Return the eps that all batch normalisations of a peer share."""
    (eps,) = {module.eps for module in peer.modules() if isinstance(module, nn.BatchNorm2d)}
    return eps


def random_peer(
    build: Callable[..., nn.Module], network: str | NetSpec, size: int, generator: torch.Generator
) -> nn.Module:
    """Build a peer whose every weight and statistic is random, yet whose logits depend on the image.

    Statistics are those of a batch of noise `(4, 3, size, size)`, jittered: drawn freely, they would let
    the signal die out before the last block, and any network would agree with any other.
    """
    with torch.device("meta"):
        peer = build(network)
    peer = peer.to_empty(device="cpu")
    for module in peer.modules():
        _randomize(module, generator)
    with torch.no_grad():
        peer.train()(torch.randn(4, 3, size, size, generator=generator))
    for module in peer.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1
            _jitter(module, generator)
    return peer.eval()


def _randomize(module: nn.Module, generator: torch.Generator) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        fan_in = module.weight[0].numel()
        nn.init.normal_(module.weight, 0.0, fan_in**-0.5, generator=generator)
        if module.bias is not None:
            nn.init.normal_(module.bias, 0.0, 0.5, generator=generator)
    elif isinstance(module, nn.BatchNorm2d):
        module.momentum = 1.0  # one batch sets the statistics
        module.reset_parameters()
        nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
        nn.init.normal_(module.bias, 0.0, 0.3, generator=generator)


def _jitter(norm: nn.BatchNorm2d, generator: torch.Generator) -> None:
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    mean.add_(variance.sqrt() * torch.randn(mean.shape, generator=generator), alpha=0.1)
    variance.mul_(torch.empty_like(variance).uniform_(0.8, 1.25, generator=generator))
    variance.clamp_(min=0.1)  # or a channel that hardly varies blows float32's rounding up


def ours_with_weights_of(peer: nn.Module, network: str | NetSpec, **changes: Any) -> ConvNet:
    """Build our network around the very tensors of a peer: all three list their layers in one order."""
    with torch.device("meta"):
        ours = create_model(network, bn_eps=bn_eps(peer), **changes)
    theirs = peer.state_dict()
    renamed = dict(zip(ours.state_dict(), theirs.values(), strict=True))
    ours.load_state_dict(renamed, assign=True)  # checks every name and shape
    return ours.train(peer.training)


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """Return the largest difference as a share of the largest expected magnitude."""
    return ((actual - expected).abs().max() / expected.abs().max()).item()


@torch.inference_mode()
def logits_error(ours: nn.Module, peer: nn.Module, images: Tensor) -> float:
    """Return how far our logits are from a peer's, which must depend on the image."""
    expected = peer(images)
    assert relative_error(expected[0], expected[1]) > 0.01, "these logits hardly depend on the image"
    return relative_error(ours(images), expected)


def assert_same_step(ours: nn.Module, peer: nn.Module, images: Tensor) -> None:
    """Take the same step in float64: gradients of all parameters and running statistics are the peer's."""
    actual, expected = _gradients(ours, images), _gradients(peer, images)
    assert len(actual) == len(list(ours.parameters()))
    floor = 1e-12 * max(gradient.abs().max().item() for gradient in expected)  # some are 0 but for rounding
    for mine, theirs in zip(actual, expected, strict=True):
        assert (mine - theirs).abs().max() <= 1e-8 * theirs.abs().max() + floor
    for mine, theirs in zip(ours.buffers(), peer.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-12)


def _gradients(model: nn.Module, images: Tensor) -> list[Tensor]:
    """Return the gradients of a step, in the order of the layers."""
    labels = torch.tensor([0, 999, 17, 500])
    F.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
