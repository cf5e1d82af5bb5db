"""How much memory is free: on the device, on the machine, and in what a container may use of it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from effnet.device import addresses_left

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


class Cgroup(NamedTuple):
    """Where a version of Linux control groups keeps limit, use, and what of it can be given back at once."""

    controller: str
    folder: str
    limit: str
    used: str
    cached: str


VERSIONS = (
    Cgroup("", "", "memory.max", "memory.current", "inactive_file"),
    Cgroup("memory", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def free_memory(device: torch.device) -> int:
    """Return the bytes that a large tensor can have: it is made on the machine and moved to the device."""
    free = free_on_machine()
    if device.type == "cuda":
        free = min(free, torch.cuda.mem_get_info(device)[0])
    return free


def free_on_machine(proc: Path = PROC, cgroups: Path = CGROUPS) -> int:
    """Return the bytes that this process can still have, caches of files counted as free.

    Where the system does not say, as on macOS, all of its memory is taken for free.
    """
    left = addresses_left()
    return min([_available(proc), *_free_in_cgroups(proc, cgroups), *([] if left is None else [left])])


def _available(proc: Path) -> int:
    try:
        lines = (proc / "meminfo").read_text().splitlines()
    except OSError:  # not Linux
        return _all_memory()
    sizes = {name: rest.split()[0] for name, _, rest in (line.partition(":") for line in lines)}
    return int(sizes["MemAvailable"]) * 1024 if "MemAvailable" in sizes else _all_memory()


def _all_memory() -> int:
    if not hasattr(os, "sysconf"):  # Windows: no way to ask without another dependency
        return 1 << 62
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _free_in_cgroups(proc: Path, cgroups: Path) -> Iterator[int]:
    """Yield what is left under each limit that holds for this process, its parents' included."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for _, controllers, below in (line.split(":", 2) for line in lines):
        for version in VERSIONS:
            if version.controller in controllers.split(","):
                top = cgroups / version.folder
                place = top / below.strip("/")
                for folder in (place, *place.parents):
                    if folder.is_relative_to(top):
                        yield from _free_in(folder, version)


def _free_in(folder: Path, version: Cgroup) -> Iterator[int]:
    try:
        limit = (folder / version.limit).read_text().strip()
        used = int((folder / version.used).read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except OSError:  # no limit here, or the folder is that of another view of the system
        return
    if limit != "max":
        yield max(0, int(limit) - used + int(stat.get(version.cached, 0)))
