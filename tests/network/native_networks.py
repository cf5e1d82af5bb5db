"""Whole networks with and without the CPU kernels, small enough for tests."""

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from effnet.device import to_device
from effnet.network.model import ConvNet
from effnet.spec.families import B0_CIFAR
from effnet.spec.netspec import NetSpec
from effnet.spec.scale import scale
from effnet.training.compute import use_kernels

TINY = replace(scale(B0_CIFAR, -8), dropout=0.0, drop_path=0.0, name="tiny")
LABELS = torch.arange(8) % 10


def images() -> Tensor:
    return torch.randn(8, 3, 16, 16).contiguous(memory_format=torch.channels_last)


def pair(spec: NetSpec, *, checkpoint_stages: bool = False) -> tuple[ConvNet, ConvNet]:
    """Return a network that trains with the kernels, and the same one without."""
    plain = to_device(ConvNet(spec, 10, checkpoint_stages=checkpoint_stages), torch.device("cpu"))
    native = deepcopy(plain)
    use_kernels(native, True)
    return native.train(), plain.train()


def step(network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Go forward and backward, and return the loss."""
    loss = F.cross_entropy(network(x).float(), LABELS[: len(x)])
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


def kernels_in(value: Tensor) -> Counter[str]:
    """Count the kernels that computed a value."""
    seen, waiting = set(), [value.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting.extend(parent for parent, _ in node.next_functions)
    names = Counter(type(node).__name__ for node in seen)
    return Counter(
        {name: names[f"_{name}Backward"] for name in ("DepthwiseConv", "BatchNorm", "SqueezeExcite")}
    )


def assert_same_statistics(network: nn.Module, other: nn.Module) -> None:
    for mine, theirs in zip(network.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs.to(mine.dtype), rtol=1e-4, atol=1e-6)
