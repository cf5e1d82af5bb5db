"""Numbers of a classifier: top-1, top-5, loss, calibration error, per class, confusion matrix."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from effnet.evaluation.calibration import calibration_error, chance_errors, reliability
from effnet.evaluation.classes import ClassResult, class_results, confusion_matrix
from effnet.evaluation.significance import wilson_interval
from effnet.modelfile import ModelHeader

_MIXED = "if the network learned from some of them, expect a lower accuracy on new ones"
CAUTIONS = {
    "train": "these images are what the network learned from; on new images expect a lower accuracy",
    "val": "these images also chose {chosen}; on new images expect a slightly lower accuracy",
    "all": f"these are all images of the data set; {_MIXED}",
}


def chosen_on_val(header: ModelHeader) -> str:
    """Say what the validation images chose in training: an epoch, but a probe has none."""
    return "the regularisation" if "probe" in header.training else "the epoch"


@dataclass(frozen=True, eq=False)
class Answers:
    """What a network says of each image."""

    names: tuple[str, ...]
    """Name of each image in its data set."""
    labels: NDArray[np.int64]
    """True class, `(N,)`."""
    predicted: NDArray[np.int64]
    """Most probable class, `(N,)`."""
    probs: NDArray[np.float32]
    """`(N, K)`."""

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the most probable class is right, `(N,)`."""
        return np.equal(self.predicted, self.labels)

    @property
    def confidence(self) -> NDArray[np.float32]:
        """Probability of the most probable class, `(N,)`."""
        return self.probs[np.arange(len(self.probs)), self.predicted]


@dataclass(frozen=True)
class Evaluation:
    """Result of a network on a set of labelled images."""

    split: str
    """Which part of the data set was evaluated."""
    num_images: int
    num_errors: int
    top1: float
    """Share of images whose most probable class is right, 0 to 1."""
    top5: float
    """Share of images whose class is among the five most probable (all, with fewer classes)."""
    loss: float
    """Mean cross-entropy in nats."""
    ece: float
    """Expected calibration error, 0 to 1; see `calibration_error`."""
    brier: float
    """Mean squared distance of the probabilities from the truth, 0 to 2. Brier 1950."""
    classes: tuple[ClassResult, ...]
    confusion: NDArray[np.int64]
    """`(K, K)`: row is the true class, column the predicted one."""
    answers: Answers
    """What the numbers were computed from; not in `to_dict`."""
    broken: tuple[str, ...] = ()
    """One message per image that could not be read and was skipped."""
    lost: str | None = None
    """Why all images were evaluated, though some were held out in training; see `HeldOut`."""
    num_left_out: int = 0
    """Images of the part that were not evaluated, so that it takes less time."""
    temperature: float = 1.0
    """What the logits were divided by."""
    chosen: str = "the epoch"
    """What the validation images chose in training; see `chosen_on_val`."""
    uncalibrated: "Evaluation | None" = None
    """The same answers with their probabilities before calibration; None where it changes nothing."""

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy on images like these; see `wilson_interval`."""
        return wilson_interval(self.num_images - self.num_errors, self.num_images)

    @cached_property
    def chance_ece(self) -> tuple[float, float]:
        """Calibration error by chance alone: mean, and what 95 % do not exceed; see `chance_errors`."""
        return chance_errors(self.answers.confidence)

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Names of the classes without images."""
        return tuple(result.name for result in self.classes if not result.support)

    @property
    def caution(self) -> str | None:
        """Why the numbers are too good, if the images were not kept for testing alone."""
        if self.lost is not None:
            return f"{self.lost}, so all images of the data set were evaluated; {_MIXED}"
        caution = CAUTIONS.get(self.split)
        fitted = " and the temperature" if self.temperature != 1.0 else ""
        return caution and caution.format(chosen=f"{self.chosen}{fitted}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        before = self.uncalibrated
        mean, high = self.chance_ece
        return self.summary() | {
            "ece_by_chance": {"mean": mean, "high": high},
            "temperature": self.temperature,
            "uncalibrated": before and {name: getattr(before, name) for name in ("loss", "ece", "brier")},
            "classes": [result.to_dict() for result in self.classes],
            "confusion": self.confusion.tolist(),
            "skipped": list(self.broken),
            "num_left_out": self.num_left_out,
        }

    def summary(self) -> dict[str, Any]:
        """Return the numbers of the whole set, without those of each class."""
        names = ("split", "num_images", "num_errors", "top1", "interval", "top5", "loss", "ece", "brier")
        return {name: getattr(self, name) for name in names} | {"interval": list(self.interval)}


Pairs = list[tuple[Tensor, Tensor]]
"""Of each batch `logits (N, K)` float32 and `labels (N,)` int64."""


def unshared(pairs: Pairs) -> Pairs:
    """Return the answers as they are: no other process has any."""
    return pairs


@torch.inference_mode()
def predict_logits(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    gather: Callable[[Pairs], Pairs] = unshared,
) -> tuple[Tensor, Tensor]:
    """Run a network over batches in evaluation mode, and put it back into its mode.

    Where several processes share the batches, `gather` puts the answers of all in their order.

    Returns:
        `logits (N, K)` float32 and `labels (N,)` int64, both on the CPU.

    """
    was_training = network.training
    network.eval()
    pairs = gather([(network(images).float(), labels) for images, labels in batches])
    network.train(was_training)
    return torch.cat([logits for logits, _ in pairs]).cpu(), torch.cat([labels for _, labels in pairs]).cpu()


@torch.inference_mode()
def predict_probs(
    network: nn.Module, images: Tensor, device: torch.device, *, temperature: float = 1.0
) -> Tensor:
    """Map `images (N, C, H, W)`, normalised, on the CPU, to `probs (N, K)` float32 on the CPU.

    The network is in evaluation mode, on the device. This is how single images are classified.
    """
    logits = network(images.to(device)).float().cpu()
    return tempered(logits, temperature).softmax(1).float()


def tempered(logits: Tensor, temperature: float) -> Tensor:
    """Return `logits (N, K)` whose softmax is the calibrated probabilities; 1 changes no bit.

    Guo, Pleiss, Sun and Weinberger 2017, equation 9. In double precision no two logits become equal, so that
    no answer changes.
    """
    return logits if temperature == 1.0 else logits.double() / temperature


def top1_and_loss(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Accuracy from 0 to 1 and mean cross-entropy of `logits (N, K)` against `labels (N,)`."""
    top1 = (logits.argmax(1) == labels).double().mean().item()
    return top1, F.cross_entropy(logits, labels).item()


def summarise(
    logits: Tensor,
    labels: Tensor,
    class_names: tuple[str, ...],
    split: str,
    names: tuple[str, ...] | None = None,
) -> Evaluation:
    """Compute all metrics of `logits (N, K)` against `labels (N,)`; without `names` images are numbered."""
    truth, predicted, probs = labels.numpy(), logits.argmax(1).numpy(), logits.softmax(1)
    numbered = tuple(map(str, range(len(truth))))
    answers = Answers(numbered if names is None else names, truth, predicted, probs.float().numpy())
    confusion = confusion_matrix(truth, predicted, len(class_names))
    top1, loss = top1_and_loss(logits, labels)
    best = logits.topk(min(5, len(class_names)), dim=1).indices
    return Evaluation(
        split=split,
        num_images=len(truth),
        num_errors=int((~answers.correct).sum()),
        top1=top1,
        top5=(best == labels[:, None]).any(1).double().mean().item(),
        loss=loss,
        ece=calibration_error(reliability(answers.confidence, answers.correct)),
        brier=brier_score(probs, labels),
        classes=class_results(class_names, confusion),
        confusion=confusion,
        answers=answers,
    )


def calibrated(logits: Tensor, temperature: float, summary: Callable[[Tensor], Evaluation]) -> Evaluation:
    """Compute all metrics of logits divided by a temperature, and of the logits as they are."""
    raw = summary(logits)
    if temperature == 1.0:
        return raw
    scaled = summary(tempered(logits, temperature))
    return replace(scaled, temperature=temperature, uncalibrated=raw)


def brier_score(probs: Tensor, labels: Tensor) -> float:
    """Return the mean over images of Σ (p - y)² over classes, y being 1 for the true class and else 0."""
    true = probs.gather(1, labels[:, None])[:, 0]
    return (probs.square().sum(1) - 2 * true + 1).double().mean().item()
