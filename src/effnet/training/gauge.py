"""Gauges: how much memory of a device is free, is in use, and was in use at most."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from effnet.data.memory import free_on_machine
from effnet.device import status, trim

CLEAR_REFS = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Gauge:
    """What can be asked about a device's memory; all answers are bytes."""

    free: Callable[[], int]
    """What this process can still take, swap left out."""
    used: Callable[[], int]
    """What this process holds now."""
    peak: Callable[[], int]
    """What it held at most since `reset`."""
    reset: Callable[[], object]
    """Forget the peak, and give back what is only kept for later."""


def gauge_of(device: torch.device) -> Gauge | None:
    """Return the gauge of a device; None where there is none: Apple's GPUs, systems but Linux."""
    if device.type == "cuda":
        return _cuda_gauge(device)
    return _cpu_gauge() if device.type == "cpu" and _can_measure_cpu() else None


def _cuda_gauge(device: torch.device) -> Gauge:
    def free() -> int:
        torch.cuda.empty_cache()
        return torch.cuda.mem_get_info(device)[0]

    def reset() -> None:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)

    return Gauge(
        free,
        lambda: torch.cuda.memory_allocated(device),
        lambda: torch.cuda.max_memory_allocated(device),
        reset,
    )


def _can_measure_cpu() -> bool:
    """Tell whether the system lets a process read its own peak, and restart it."""
    try:
        _restart_peak()
    except OSError:  # no such file, or a sandbox that forbids it
        return False
    return True


def _restart_peak() -> None:
    CLEAR_REFS.write_text("5", encoding="ascii")  # the peak is now what is in use: `man 5 proc`


def _cpu_gauge() -> Gauge:
    def reset() -> None:
        trim()
        _restart_peak()

    return Gauge(free_on_cpu, lambda: status("VmRSS"), lambda: status("VmHWM"), reset)


def free_on_cpu() -> int:
    """Return what this process can still take: the least that machine, container and ulimit leave."""
    trim()
    return free_on_machine()
