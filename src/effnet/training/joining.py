"""Joining the group that torchrun, or `effnet train --gpus`, started a process for."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from effnet.data.share import Share
from effnet.errors import UsageError
from effnet.training.group import ALONE, Group
from effnet.training.parts import Parts
from effnet.training.processes import LostPeerError, Processes

NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun sets for each process; LOCAL_RANK and LOCAL_WORLD_SIZE beside them."""

READING_MINUTES = 24.0 * 60
"""How long processes wait for one that still reads its images; `hang_minutes` holds from then on."""


@contextmanager
def joined(environ: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Join the group that this process was started for, if it was started for one.

    Raises:
        UsageError: a part of what torchrun sets is missing, or it could not start the group again.
        LostPeerError: the other processes do not come.

    """
    if not is_member(environ):
        yield
        return
    check_restarts(environ)
    join(environ)
    try:
        yield
    finally:
        dist.destroy_process_group()


def join(environ: Mapping[str, str]) -> None:
    """Meet the other processes: collectives of tensors on CPUs go by gloo, of those on GPUs by NCCL."""
    backends = "gloo"
    if torch.cuda.is_available():
        backends = "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(int(environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())
    try:
        store, rank, size = next(rendezvous("env://"))
        # The launcher keeps the store over a restart, with the addresses of processes that are gone.
        fresh = PrefixStore(f"effnet/{num_restarts(environ)}", store)
        dist.init_process_group(backends, store=fresh, rank=rank, world_size=size)
    except RuntimeError as error:
        raise LostPeerError(
            f"process {environ['RANK']} of {environ['WORLD_SIZE']} does not reach the others through "
            f"{environ['MASTER_ADDR']}:{environ['MASTER_PORT']}: {str(error).splitlines()[0]}"
        ) from error


def check_restarts(environ: Mapping[str, str]) -> None:
    """Refuse a launcher on several machines that shares its store with the processes and restarts them.

    It does not count restarts alike on all machines, so a new group would read what one before it has left
    (https://github.com/pytorch/pytorch/issues/135712).

    Raises:
        UsageError: says which variable to set.

    """
    many = int(environ.get("GROUP_WORLD_SIZE", 1)) > 1
    restarts = int(environ.get("TORCHELASTIC_MAX_RESTARTS", 0)) > 0
    if many and restarts and environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        raise UsageError(
            "torchrun with --max-restarts on several machines: set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in "
            "its environment on each of them and take --rdzv-backend c10d, or a group that is started again "
            "would not find together"
        )


def is_member(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a process was started for a group.

    Raises:
        UsageError: a part of what torchrun sets is missing.

    """
    if "RANK" not in environ and "WORLD_SIZE" not in environ:
        return False
    missing = [name for name in NEEDED if not environ.get(name)]
    if missing:
        there = "RANK" if environ.get("RANK") else "WORLD_SIZE"
        raise UsageError(
            f"the environment has {there} and not {', '.join(missing)}: a process of a group needs them all; "
            f"start with torchrun, which sets them, or take {there} out of the environment"
        )
    return True


def is_first(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a process is alone or the first of its group."""
    return environ.get("RANK", "0") == "0"


def current() -> Group:
    """Return the group of this process."""
    if not (dist.is_available() and dist.is_initialized()):
        return ALONE
    return Processes(Share(dist.get_rank(), dist.get_world_size()))


def shared(parts: Parts) -> Parts:
    """Return a training as one that this process's group shares.

    Raises:
        UsageError: it cannot be shared out among so many processes, on such a device.

    """
    group, device = current(), parts.device.type
    size, here = group.share.size, group.num_here
    if group is ALONE:
        return parts
    if device == "cuda" and here > torch.cuda.device_count():
        raise UsageError(
            f"{here} processes on this machine and {in_words(torch.cuda.device_count())}: each needs "
            f"its own; start fewer, or add --device cpu"
        )
    if device not in ("cpu", "cuda"):
        raise UsageError(
            f"{size} processes and device {device}: they can share a training on cpu and cuda only"
        )
    num_images = min(parts.config.batch_size, len(parts.splits.train))
    if num_images < size:
        raise UsageError(
            f"batch_size = {num_images} and {size} processes: each needs at least one image of a "
            f"batch; take a larger batch_size or fewer processes"
        )
    return replace(parts, group=group.timed(READING_MINUTES))


def in_words(num_gpus: int) -> str:
    """Say how many GPUs there are."""
    return {0: "no GPU", 1: "1 GPU"}.get(num_gpus, f"{num_gpus} GPUs")


def num_restarts(environ: Mapping[str, str] = os.environ) -> int:
    """Return how often the elastic launcher has started this group again."""
    return int(environ.get("TORCHELASTIC_RESTART_COUNT", 0))
