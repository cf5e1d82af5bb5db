"""Which device to compute on, and what machine and versions it is part of."""

import platform
from typing import Any, TypeVar

import torch
from torch import nn

from effnet import __version__
from effnet.errors import UsageError

Network = TypeVar("Network", bound=nn.Module)


def pick_device(name: str) -> torch.device:
    """Return the device of a name: `cpu`, `cuda`, `mps`, or `auto`, the fastest that is there.

    Raises:
        UsageError: unknown, or not available on this machine.

    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(device for device, there in available.items() if there))
    if not available.get(name, False):
        there = ", ".join(device for device, is_there in available.items() if is_there)
        raise UsageError(f"device {name!r} is not available here; available: auto, {there}")
    return torch.device(name)


def to_device(network: Network, device: torch.device) -> Network:
    """Move a network to a device, its kernels laid out channels_last, which is faster on CPUs and GPUs.

    Their layout is what a convolution's output has. `contiguous` would leave a kernel of one input channel,
    which is both layouts at once, in the other one: networks for grey images would compute in it throughout.
    """
    network.to(device)
    for parameter in network.parameters():
        if parameter.ndim == 4:
            laid_out = torch.empty_like(parameter, memory_format=torch.channels_last)
            parameter.data = laid_out.copy_(parameter.data)
    return network


def environment(device: torch.device) -> dict[str, Any]:
    """Say what machine and versions a result was made with."""
    accelerator = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "effnet": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": device.type,
        "accelerator": accelerator,
        "threads": torch.get_num_threads(),
    }
