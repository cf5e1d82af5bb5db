"""The memory that a training step takes, measured by real steps on copies of a trainer."""

from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, floor

from torch import nn

from effnet.training.duration import TINY_LR
from effnet.training.gauge import Gauge
from effnet.training.loop import Trainer
from effnet.training.rehearsal import rehearsal

RESERVE = 0.1  # of what is free, for other programs and for what no measurement foresees
NEGLIGIBLE = 0.05  # of what is free: a step that takes less needs no words
CLEAR_BYTES = 256 * 2**20  # a growth that stands out from what the allocator adds by chance
SETTLING_STEPS = 2  # after the first one the allocator keeps holes

ERRORS = (RuntimeError, MemoryError)
"""What is raised when memory runs out, and not only then: see `is_shortage`."""
SHORTAGES = (
    "can't allocate memory",
    "out of memory",
    "bad_alloc",
    "could not create a memory",
    "could not create a primitive",  # oneDNN finds no room for the code that it writes
)


def is_shortage(error: BaseException | None) -> bool:
    """Tell whether an error says that memory ran out: of CUDA, the CPU's allocator, oneDNN, Python itself."""
    if isinstance(error, RuntimeError):
        return any(words in str(error) for words in SHORTAGES)
    return isinstance(error, MemoryError)


@dataclass(frozen=True)
class Need:
    """Bytes that a step takes: gradients, the optimizer's memory, the batch; then activations by image."""

    constant: float
    per_image: float

    def of(self, num_images: int) -> float:
        """Return what a step takes that computes so many images at once."""
        return self.constant + self.per_image * num_images

    def pieces(self, batch_size: int, free: float) -> int | None:
        """Return in how many pieces a batch leaves a reserve of what is free; None if one image does not."""
        largest = floor(((1.0 - RESERVE) * free - self.constant) / self.per_image)
        return ceil(batch_size / largest) if largest >= 1 else None


class Probe:
    """Takes real steps on copies of a trainer, which stays as it is, and reads off what they take."""

    def __init__(self, trainer: Trainer, gauge: Gauge, known: Need | None = None) -> None:
        """Probe a trainer; `known` is its need, where that was measured before."""
        self.trainer = trainer
        self.gauge = gauge
        self.free = gauge.free()
        """Bytes there for a step, and for the batch that it learns from."""
        self.images, self.labels = next(
            trainer.train.epoch(0)
        )  # the first time also loads what is loaded once
        self.making = self.measure_making()
        """Bytes that making a batch takes: itself, and what augmentation computes on the way."""
        self.known = known

    @property
    def batch_size(self) -> int:
        """Images of a batch; fewer than configured when the data set has fewer."""
        return len(self.images)

    @cached_property
    def first(self) -> int:
        """What two images take in the first step of all, which also loads what is loaded once."""
        return self.measure(self.smallest)

    @property
    def smallest(self) -> int:
        """The smallest piece to measure: one image alone may be too few for batch normalisation."""
        return min(2, self.batch_size)

    @property
    def takes_little(self) -> bool:
        """Whether even two images, times their number, show that there is plenty."""
        if self.known is not None:
            return self.known.of(self.batch_size) < NEGLIGIBLE * self.free
        return self.making + self.first / self.smallest * self.batch_size < NEGLIGIBLE * self.free

    @cached_property
    def need(self) -> Need:
        """What a step takes, by ever larger pieces until the growth is clear.

        Both ends are measured twice: now and then the allocator takes too much, and never too little.
        """
        if self.known is not None:
            return self.known
        small = piece = self.smallest
        low = high = min(self.first, self.measure(small))
        while high - low < CLEAR_BYTES and piece < self.batch_size and 2 * high < self.free:
            piece = min(2 * piece, self.batch_size)
            high = self.measure(piece)
        high = min(high, self.measure(piece))
        per_image = max(1.0, (high - low) / (piece - small) if piece > small else low / small)
        return Need(self.making + max(0.0, low - small * per_image), per_image)

    def measure_making(self) -> int:
        """Return the bytes that a whole batch takes while it is made: pieces of a step share it.

        They come on top of the step's: the allocator keeps them, in holes too small for feature maps.
        """
        self.gauge.reset()
        before = self.gauge.used()
        next(self.trainer.train.epoch(0))
        return max(0, self.gauge.peak() - before)

    def measure(self, num_images: int, pieces: int = 1) -> int:
        """Return the bytes that a step takes beyond what the trainer holds already.

        Raises:
            RuntimeError, MemoryError: they are not there; see `is_shortage`.

        """
        self.gauge.reset()
        before = self.gauge.used()
        copy = copied(self.trainer, pieces)
        for _ in range(SETTLING_STEPS):
            copy.update((self.images[:num_images], self.labels[:num_images]), TINY_LR)
        return max(0, self.gauge.peak() - before - num_bytes(copy))

    def survives(self, pieces: int) -> bool:
        """Tell whether a real step of two pieces, which take as much as all, finds its memory."""
        shown = min(2, pieces)
        try:
            self.measure(shown * ceil(self.batch_size / pieces), shown)
        except ERRORS as error:
            if not is_shortage(error):
                raise
            return False
        return True

    def fitting(self, least: int) -> int | None:
        """Return the smallest number of pieces, from `least` on, that was seen to fit; None if none does."""
        foreseen = self.need.pieces(self.batch_size, self.free)
        pieces = max(least, foreseen) if foreseen is not None else self.batch_size + 1
        while pieces <= self.batch_size and not self.survives(pieces):
            pieces *= 2
        return pieces if pieces <= self.batch_size else None


def copied(trainer: Trainer, pieces: int) -> Trainer:
    """Copy a trainer's network into a fresh trainer that computes batches in so many pieces.

    It is not compiled: that takes minutes for each size of a piece, and saves memory if it does anything.
    """
    config = replace(trainer.config, optim=replace(trainer.config.optim, accumulate=pieces))
    return rehearsal(trainer, config, replace(trainer.compute, compiled=False))


def num_bytes(trainer: Trainer) -> int:
    """Return the size of a trainer's weights and of their average."""
    networks: list[nn.Module] = [trainer.network]
    if trainer.average is not None:
        networks.append(trainer.average)
    return sum(tensor.nbytes for network in networks for tensor in network.state_dict().values())
