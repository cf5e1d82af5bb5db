"""Several processes as one group: torch's DDP, and the few collectives that the loop needs beside it."""

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from effnet.errors import EffnetError
from effnet.evaluation.metrics import Pairs
from effnet.network.model import ConvNet
from effnet.training.group import Group

T = TypeVar("T")

BROKEN = ("gloo", "nccl", "connection", "timed out", "timeout")
"""Words of which one is in what torch raises when another process is gone or silent."""


class LostPeerError(EffnetError):
    """Another process of the training has ended, or is silent."""


class PeerError(EffnetError):
    """What the first process failed with, raised in the others."""

    is_common = True

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Processes(Group):
    """Several processes that `joined` has brought together."""

    minutes: float | None = None
    handle: Any = None
    """torch's group, None for the one that all processes begin with."""

    @property
    def num_here(self) -> int:
        """How many processes of the group are on this machine."""
        return int(os.environ.get("LOCAL_WORLD_SIZE", self.share.size))

    def timed(self, minutes: float) -> Group:
        """Return the same group, in which a process that is silent for so long counts as hung.

        It begins when all have come here, for which they wait as long as this group does.
        """
        self.most(0)
        return Processes(self.share, minutes, dist.new_group(timeout=timedelta(minutes=minutes)))

    def with_common_norms(self, network: ConvNet) -> ConvNet:
        """Return the network with batch normalisation over the images of all processes: GPUs only.

        Its layers get the group in `wrap`: networks are copied before that, and a handle cannot be.
        """
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-any-return,no-untyped-call]

    def wrap(self, network: nn.Module, *, may_rest: bool) -> nn.Module:
        """Return the network in torch's DDP.

        Before each step it copies buffers from the first process: the statistics that are kept are those.
        """
        for norm in network.modules():
            if isinstance(norm, nn.SyncBatchNorm):
                norm.process_group = self.handle
        # Kernels of 1×1 have strides that mean nothing, and DDP finds them different: a copy.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides", UserWarning)
        return DistributedDataParallel(
            network, process_group=self.handle, find_unused_parameters=may_rest, gradient_as_bucket_view=True
        )

    def piece(self, forward: nn.Module, *, last: bool) -> AbstractContextManager[object]:
        """Return the context of a piece of a batch; gradients are exchanged in the last one."""
        hold = isinstance(forward, DistributedDataParallel) and not last
        return forward.no_sync() if hold else nullcontext()  # type: ignore[operator]

    def weight(self, count: int, whole: int) -> float:
        """Return what so many images of a batch count in a mean over processes: 1 if all have as many."""
        return count * self.share.size / whole

    def part(self, mass: Tensor) -> Tensor:
        """Return the part of a `mass ()` that is in this process: 1 if all have as much."""
        total = mass.clone()
        dist.all_reduce(total, group=self.handle)
        return mass * self.share.size / total

    def mean(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Return the mean of each `value ()` over all processes."""
        total = torch.stack(values)
        dist.all_reduce(total, group=self.handle)
        return (total / self.share.size).unbind()

    def most(self, number: int) -> int:
        """Return the highest number of all processes; on the CPU, so that no GPU is waited for."""
        found = torch.tensor(number)
        dist.all_reduce(found, dist.ReduceOp.MAX, group=self.handle)
        return int(found)

    def from_first(self, find: Callable[[], T]) -> T:
        """Return what the first process finds; what it raises is raised everywhere."""
        with self.watched():
            if self.is_first:
                try:
                    found: list[Any] = [find(), None]
                except EffnetError as error:
                    dist.broadcast_object_list([None, (str(error), error.exit_code)], group=self.handle)
                    raise
            else:
                found = [None, None]
            dist.broadcast_object_list(found, group=self.handle)
        value, problem = found
        if problem is not None:
            raise PeerError(*problem)
        return cast(T, value)

    def everyone(self, value: T) -> list[T]:
        """Return what each process gives, in their order; it travels pickled."""
        found = [value] * self.share.size
        dist.all_gather_object(found, value, group=self.handle)
        return found

    def gather(self, pairs: Pairs) -> Pairs:
        """Return the answers of all processes, in their order, on the CPU."""
        own = [(logits.cpu(), labels.cpu()) for logits, labels in pairs]
        return [pair for theirs in self.everyone(own) for pair in theirs]

    def copy_buffers(self, *networks: nn.Module | None) -> None:
        """Give all processes the statistics of batch normalisation that the first one has."""
        for network in networks:
            for buffer in [] if network is None else network.buffers():
                dist.broadcast(buffer, 0, group=self.handle)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Say in words when another process is lost."""
        try:
            yield
        except RuntimeError as error:
            if not any(word in str(error).lower() for word in BROKEN):
                raise
            silent = "" if self.minutes is None else f", or was silent for {self.minutes:g} minutes"
            raise LostPeerError(
                f"process {self.share.rank} of {self.share.size} has lost the others: one of them has "
                f"ended{silent} (hang_minutes); the training goes on from its last saved state when it is "
                f"started again"
            ) from error

    def dismiss(self) -> None:
        """End this process unless it is the first: what is left is done by that one alone."""
        if not self.is_first:
            # No orderly end: a thread of gloo may still wait for the interpreter's lock, to free the tensors
            # of the last collective, while the interpreter holds it and waits for the thread (seen, rarely).
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)

    def words(self, batch_size: int, lr: float) -> tuple[str, ...]:
        """Say how the work is shared out."""
        size = self.share.size
        least, most = batch_size // size, -(-batch_size // size)
        each = f"{least}" if least == most else f"{least} or {most}"
        plural = "es" if size > 1 else ""
        return (f"{size} process{plural}, {each} images each, {batch_size} a step, lr {lr:g}",)
