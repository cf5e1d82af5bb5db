"""The processes of one training, as one value: what they share out, and what they agree on.

A process alone is `ALONE`, of which nothing asks anything. Several are `Processes`, started by torch's
elastic launcher: each computes its share of every batch, and the mean of their gradients is that of the
whole batch.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor, nn

from effnet.data.share import WHOLE, Share
from effnet.evaluation.metrics import Pairs
from effnet.network.model import ConvNet

T = TypeVar("T")


@dataclass(frozen=True)
class Group:
    """The group of a process that is alone; `Processes` does the same for several."""

    share: Share = WHOLE
    """Which part of each batch, and of the images to choose by, is computed here."""

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.share.rank == 0

    @property
    def num_here(self) -> int:
        """How many processes of the group are on this machine."""
        return 1

    def timed(self, minutes: float) -> "Group":
        """Return the same group, in which a process that is silent for so long counts as hung."""
        return self

    def with_common_norms(self, network: ConvNet) -> ConvNet:
        """Return the network with batch normalisation over the images of all processes."""
        return network

    def wrap(self, network: nn.Module, *, may_rest: bool) -> nn.Module:
        """Return what to call in place of the network, so that gradients become the mean over all processes.

        `may_rest` says whether layers that learn now may stand still at other times.
        """
        return network

    def piece(self, forward: nn.Module, *, last: bool) -> AbstractContextManager[object]:
        """Return the context of a piece of a batch; gradients are exchanged in the last one."""
        return nullcontext()

    def weight(self, count: int, whole: int) -> float:
        """Return what so many images of a batch count in a mean over processes: 1 if all have as many."""
        return 1.0

    def part(self, mass: Tensor) -> Tensor | float:
        """Return the part of a `mass ()` that is in this process: 1 if all have as much."""
        return 1.0

    def mean(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Return the mean of each `value ()` over all processes."""
        return values

    def most(self, number: int) -> int:
        """Return the highest number of all processes."""
        return number

    def from_first(self, find: Callable[[], T]) -> T:
        """Return what the first process finds; what it raises is raised everywhere."""
        return find()

    def everyone(self, value: T) -> list[T]:
        """Return what each process gives, in their order."""
        return [value]

    def gather(self, pairs: Pairs) -> Pairs:
        """Return the answers of all processes, in their order."""
        return pairs

    def copy_buffers(self, *networks: nn.Module | None) -> None:
        """Give all processes the statistics of batch normalisation that the first one has."""

    def watched(self) -> AbstractContextManager[object]:
        """Return a context that says in words when another process is lost.

        Raises:
            LostPeerError: it has ended, or is silent.

        """
        return nullcontext()

    def dismiss(self) -> None:
        """End this process unless it is the first: what is left is done by that one alone."""

    def words(self, batch_size: int, lr: float) -> tuple[str, ...]:
        """Say in a line how the work is shared out, if it is."""
        return ()


ALONE = Group()
