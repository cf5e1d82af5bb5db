"""Networks of other libraries, as weights come from them: built by each library itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from peers import random_peer


@dataclass(frozen=True)
class Foreign:
    """A library's network, and what we call it."""

    layout: str
    build: Callable[..., nn.Module]
    """Of a number of classes."""
    network: str
    variant: str
    """The kind of weights, as `effnet import --variant` takes it."""

    def __str__(self) -> str:
        return f"{self.layout}-{self.network}-{self.variant}"


def timm(name: str) -> Callable[..., nn.Module]:
    """Return what builds timm's network of a name."""

    def build(num_classes: int = 1000, **options: Any) -> nn.Module:
        import timm as library

        net: nn.Module = library.create_model(name, num_classes=num_classes, **options)
        return net

    return build


def torchvision(name: str) -> Callable[..., nn.Module]:
    """Return what builds torchvision's network of a name."""

    def build(num_classes: int = 1000, **options: Any) -> nn.Module:
        from torchvision import models

        net: nn.Module = getattr(models, name)(num_classes=num_classes, **options)
        return net

    return build


def lukemelas(name: str) -> Callable[..., nn.Module]:
    """Return what builds efficientnet_pytorch's network of a name, padded for images of any size."""

    def build(num_classes: int = 1000) -> nn.Module:
        from efficientnet_pytorch import EfficientNet
        from efficientnet_pytorch.utils import get_model_params

        blocks, params = get_model_params(name, {"num_classes": num_classes, "image_size": None})
        net: nn.Module = EfficientNet(blocks, params)
        return net

    return build


FAST = (
    Foreign("timm", timm("efficientnet_b0"), "b0", "timm"),
    Foreign("timm", timm("tf_efficientnet_b0"), "b0", "tf"),
    Foreign("timm", timm("efficientnet_lite0"), "lite0", "timm"),
    Foreign("timm", timm("tf_efficientnet_lite2"), "lite2", "tf"),
    Foreign("timm", timm("tf_efficientnetv2_s"), "v2-s", "tf"),
    Foreign("timm", timm("mobilenetv2_100"), "mobilenet-v2", "timm"),
    Foreign("torchvision", torchvision("efficientnet_b0"), "b0", "v1"),
    Foreign("mobilenet", torchvision("mobilenet_v2"), "mobilenet-v2", "v2"),
    Foreign("resnet", torchvision("resnet18"), "resnet-18", "v1"),
    Foreign("lukemelas", lukemelas("efficientnet-b0"), "b0", "imagenet"),
)

SLOW = (
    Foreign("timm", timm("mobilenetv1_100"), "mobilenet-v1", "timm"),
    Foreign("resnet", torchvision("resnet50"), "resnet-50", "v2"),
    Foreign("timm", timm("efficientnet_b1"), "b1", "timm"),
    Foreign("torchvision", torchvision("efficientnet_v2_s"), "v2-s", "v1"),
    Foreign("resnet", timm("resnet50"), "resnet-50", "v1"),
    *(Foreign("timm", timm(f"efficientnet_b{i}"), f"b{i}", "timm") for i in range(2, 8)),
    *(Foreign("timm", timm(f"tf_efficientnet_b{i}"), f"b{i}", "tf") for i in range(1, 8)),
    *(Foreign("timm", timm(f"efficientnet_lite{i}"), f"lite{i}", "timm") for i in range(1, 5)),
    *(Foreign("timm", timm(f"tf_efficientnet_lite{i}"), f"lite{i}", "tf") for i in (0, 1, 3, 4)),
    *(Foreign("timm", timm(f"efficientnetv2_{size}"), f"v2-{size}", "timm") for size in "sml"),
    *(Foreign("timm", timm(f"tf_efficientnetv2_{size}"), f"v2-{size}", "tf") for size in "ml"),
    *(Foreign("torchvision", torchvision(f"efficientnet_b{i}"), f"b{i}", "v1") for i in range(1, 8)),
    *(Foreign("torchvision", torchvision(f"efficientnet_v2_{size}"), f"v2-{size}", "v1") for size in "ml"),
    *(Foreign("lukemelas", lukemelas(f"efficientnet-b{i}"), f"b{i}", "advprop") for i in range(1, 8)),
)


def shapes_of(foreign: Foreign, **options: Any) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of a network's tensors; nothing is computed."""
    with torch.device("meta"):
        return shapes(foreign.build(**options).state_dict())


def shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of tensors."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def random_foreign(foreign: Foreign, size: int, num_classes: int = 1000) -> nn.Module:
    """Build a network whose weights and statistics are random, yet whose logits depend on the image."""
    build = partial(foreign.build, num_classes)
    return random_peer(lambda _: build(), foreign.network, size, torch.Generator().manual_seed(0))
