"""Float32 and int8 side by side: accuracy on images that chose nothing, size, speed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.evaluation.opened import BATCH_SIZE, Opened
from effnet.evaluation.significance import difference_interval
from effnet.exporting.listener import Listener
from effnet.exporting.speed import Speed
from effnet.inference.runtime import OnnxClassifier


@dataclass(frozen=True)
class Accuracy:
    """How two files answer to the same images."""

    part: str
    num_images: int
    top1: tuple[float, float]
    """Share of images that float32 and int8 are right about, 0 to 1."""
    interval: tuple[float, float]
    """Of the difference, int8 less float32: 95 %."""
    agreement: float
    """Share of images with the same most probable class."""
    caution: str | None
    """Why both are too high, if they are."""


@dataclass(frozen=True)
class Comparison:
    """Float32 and int8, in this order."""

    method: str
    floats: tuple[str, ...]
    """Blocks of the int8 file that are float32."""
    drop: float
    """Points of accuracy lost on the validation images that chose the int8 graph."""
    num_choice: int
    """How many those were."""
    accuracy: Accuracy
    num_bytes: tuple[int, int]
    speed: tuple[Speed, Speed]

    @property
    def is_int8_faster(self) -> bool:
        """Whether int8 answers faster to a single image, on this machine."""
        return self.speed[1].milliseconds < self.speed[0].milliseconds

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "is_int8_faster": self.is_int8_faster}


def measure_accuracy(
    files: Sequence[OnnxClassifier], opened: Opened, caution: str | None, listener: Listener
) -> Accuracy:
    """Let a float32 and an int8 file answer to the same images, each of which is read once."""
    hits: list[NDArray[np.bool_]] = []
    same: list[NDArray[np.bool_]] = []
    done = 0
    for stored, labels in opened.pixels.once(BATCH_SIZE):
        first, second = (file.logits(stored.numpy()).argmax(1) for file in files)
        hits.append(np.stack([first == labels.numpy(), second == labels.numpy()]))
        same.append(first == second)
        done += len(labels)
        listener.working("measuring accuracy", done, len(opened.pixels))
    right, equal = np.concatenate(hits, axis=1), np.concatenate(same)
    total = right.shape[1]
    only = (int((right[1] & ~right[0]).sum()), int((right[0] & ~right[1]).sum()))
    top1 = right.mean(axis=1).tolist()
    return Accuracy(
        opened.held.part,
        total,
        (top1[0], top1[1]),
        difference_interval(*only, total),
        float(equal.mean()),
        caution,
    )
