"""Which device to compute on, and what machine and versions it is part of."""

import ctypes
import platform
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from effnet import __version__
from effnet.errors import UsageError

STATUS = Path("/proc/self/status")

Network = TypeVar("Network", bound=nn.Module)

# Settings of glibc's malloc, by their numbers in malloc.h: how much freed memory is kept, and from which size
# on a block is borrowed from the system and returned. The usual values are those it comes to by itself.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_USUAL = {_TRIM_THRESHOLD: 64 << 20, _MMAP_THRESHOLD: 32 << 20}
_KEEPING = {_TRIM_THRESHOLD: (1 << 31) - 1, _MMAP_THRESHOLD: 1 << 30}
_keeper = threading.Lock()


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


@contextmanager
def kept_memory(device: torch.device) -> Iterator[None]:
    """While computing on a CPU, keep freed memory for the next tensors; at the end give it back.

    Otherwise glibc returns large blocks at once, and the system hands them out again page by page, full of
    zeros. Measured on b0-cifar: 3 to 25 % of a training step, by luck, and half of an evaluation.

    Under `ulimit -v` nothing is kept: holes between kept blocks count against the limit, and a step of 4 GB
    found no room in 6 GB.
    """
    keeps = device.type == "cpu" and platform.libc_ver()[0] == "glibc" and addresses_left() is None
    if not keeps or not _keeper.acquire(blocking=False):  # who came first, keeps
        yield
        return
    malloc = ctypes.CDLL(None)
    try:
        _set_malloc(malloc, _KEEPING)
        yield
    finally:
        _set_malloc(malloc, _USUAL)
        trim()
        _keeper.release()


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on a CPU with one thread meanwhile.

    For operations on one image after the other: threads that share one wait for each other at its end, and
    for a processor where other processes decode images, which took three times as long.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def addresses_left() -> int | None:
    """Return how many bytes of addresses `ulimit -v` leaves this process; None where it is not set."""
    if not STATUS.exists():
        return None
    import resource  # not on Windows

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else max(0, limit - status("VmSize"))


def status(key: str, path: Path = STATUS) -> int:
    """Return an entry of a process's status file, of this one by default, in bytes; the file counts in kB."""
    found = re.search(rf"^{key}:\s+(\d+) kB$", path.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise KeyError(f"{path} has no {key}")
    return int(found[1]) * 1024


def trim() -> None:
    """Give freed memory back to the system, where the C library can; elsewhere it stays with the process."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def _set_malloc(malloc: ctypes.CDLL, values: dict[int, int]) -> None:
    for name, value in values.items():
        malloc.mallopt(name, value)


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
