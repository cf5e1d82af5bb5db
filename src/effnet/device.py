"""Which device to compute on."""

import torch

from effnet.errors import UsageError


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
