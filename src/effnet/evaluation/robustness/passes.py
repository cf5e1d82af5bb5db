"""What a network says of the same images in several conditions, kept so that nothing is done twice."""

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from effnet.data.loaders import Transform, unchanged
from effnet.errors import EffnetError, UsageError
from effnet.evaluation.calibration import calibration_error, reliability
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.metrics import tempered
from effnet.evaluation.opened import Opened
from effnet.evaluation.significance import wilson_interval
from effnet.files import cache_folder, read_marked, write_text
from effnet.imaging import preprocess as preprocessing

MARK = {"effnet_pass": 1}
"""In every file; the number is raised when the same condition gives other images."""

KINDS = ("a measurement", "no measurement of effnet")


@dataclass(frozen=True, eq=False)
class Pass:
    """A network on images in one condition."""

    correct: NDArray[np.bool_]
    """Which images it is right about, `(N,)`."""
    loss: float
    """Mean cross-entropy in nats."""
    ece: float
    """Expected calibration error, 0 to 1."""

    @property
    def num_images(self) -> int:
        """How many images there are."""
        return len(self.correct)

    @property
    def num_errors(self) -> int:
        """Images that it is wrong about."""
        return int((~self.correct).sum())

    @property
    def top1(self) -> float:
        """Share of images whose most probable class is right, 0 to 1."""
        return float(self.correct.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy on images like these."""
        return wilson_interval(self.num_images - self.num_errors, self.num_images)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        names = ("num_errors", "top1", "loss", "ece")
        return {name: getattr(self, name) for name in names} | {"interval": list(self.interval)}


def judged(logits: Tensor, labels: Tensor, temperature: float) -> Pass:
    """Return what `logits (N, K)`, to be divided by a temperature, are worth against `labels (N,)`."""
    scores = tempered(logits, temperature)
    confidence, predicted = scores.softmax(1).max(1)
    correct = (predicted == labels).numpy()
    ece = calibration_error(reliability(confidence.numpy(), correct))
    return Pass(correct, F.cross_entropy(scores, labels).item(), ece)


def run_pass(classifier: Classifier, opened: Opened, transform: Transform = unchanged) -> Pass:
    """Measure a network on opened images, changed in one way."""
    logits, labels = classifier.logits(opened, transform)
    return judged(logits, labels, classifier.header.temperature)


@dataclass(frozen=True)
class Store:
    """Passes that are done, each in a file; a folder belongs to one model on one set of images."""

    folder: Path | None
    """None keeps nothing."""
    say: Callable[[str], None] = field(repr=False)

    def keep(self, condition: str, made: Pass) -> None:
        """Write a pass; that it cannot be written is said, and no error."""
        if self.folder is None:
            return
        try:
            write_text(self.folder / f"{condition}.json", json.dumps(_to_json(made)))
        except EffnetError as error:
            self.say(f"warning: {error}; what is measured now will be measured again next time")

    def find(self, condition: str, num_images: int) -> Pass | None:
        """Return the pass of a condition, if it is there, whole, and of so many images."""
        if self.folder is None or not (path := self.folder / f"{condition}.json").exists():
            return None
        try:
            found = _from_json(read_marked(path, MARK, kinds=KINDS, remedy="it is made anew"))
        except (UsageError, KeyError, TypeError, ValueError) as error:
            self.say(f"warning: {path} is unusable ({error}); its images are measured again")
            return None
        return found if found.num_images == num_images else None  # others were readable then


def open_store(classifier: Classifier, opened: Opened, say: Callable[[str], None]) -> Store:
    """Return where passes of this model on these images are kept: below `$EFFNET_CACHE`.

    What decides the outcome decides the folder: the model file; source, names, labels, sizes and times of the
    images; their preprocessing; and the versions of what computes. A model without a file keeps nothing.
    """
    if classifier.path is None:
        return Store(None, say)
    samples = opened.held.samples
    decided_by = [
        hashlib.sha256(classifier.path.read_bytes()).hexdigest(),
        [opened.dataset.source, opened.dataset.fingerprint()],
        preprocessing.to_dict(opened.preprocess),
        samples.names,
        [] if samples.files is None else samples.files.stamps.tolist(),
        [np.__version__, scipy.__version__, PIL.__version__, torch.__version__],
    ]
    digest = hashlib.sha256(json.dumps(decided_by).encode()).hexdigest()
    return Store(cache_folder() / "measured" / digest[:32], say)


def _to_json(made: Pass) -> dict[str, Any]:
    bits = b64encode(np.packbits(made.correct).tobytes()).decode()
    return {**MARK, "num_images": made.num_images, "correct": bits, "loss": made.loss, "ece": made.ece}


def _from_json(data: dict[str, Any]) -> Pass:
    bits = np.frombuffer(b64decode(data["correct"], validate=True), np.uint8)
    if not 0 < data["num_images"] <= 8 * len(bits):
        raise ValueError("it is cut off")
    correct = np.unpackbits(bits, count=data["num_images"]).astype(bool)
    return Pass(correct, float(data["loss"]), float(data["ece"]))
