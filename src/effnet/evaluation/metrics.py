"""Numbers of a classifier: top-1, top-5, loss, calibration error, per class, confusion matrix."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from effnet.evaluation.calibration import calibration_error, reliability

Z95 = 1.959963984540054  # 97.5 % quantile of the normal distribution: 95 % lie within ± Z95

_MIXED = "if the network learned from some of them, expect a lower accuracy on new ones"
CAUTIONS = {
    "train": "these images are what the network learned from; on new images expect a lower accuracy",
    "val": "these images also chose the epoch; on new images expect a slightly lower accuracy",
    "all": f"these are all images of the data set; {_MIXED}",
}


@dataclass(frozen=True)
class ClassResult:
    """Result of one class; `support` is the number of its images."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


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
    classes: tuple[ClassResult, ...]
    confusion: NDArray[np.int64]
    """`(K, K)`: row is the true class, column the predicted one."""
    answers: Answers
    """What the numbers were computed from; not in `to_dict`."""
    broken: tuple[str, ...] = ()
    """One message per image that could not be read and was skipped."""
    lost: str | None = None
    """Why all images were evaluated, though some were held out in training; see `HeldOut`."""

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy on images like these; see `wilson_interval`."""
        return wilson_interval(self.num_images - self.num_errors, self.num_images)

    @property
    def caution(self) -> str | None:
        """Why the numbers are too good, if the images were not kept for testing alone."""
        if self.lost is not None:
            return f"{self.lost}, so all images of the data set were evaluated; {_MIXED}"
        return CAUTIONS.get(self.split)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        summary = self.summary()
        classes = [vars(result) for result in self.classes]
        matrix = self.confusion.tolist()
        return summary | {"classes": classes, "confusion": matrix, "skipped": list(self.broken)}

    def summary(self) -> dict[str, Any]:
        """Return the numbers of the whole set, without those of each class."""
        names = ("split", "num_images", "num_errors", "top1", "top5", "loss", "ece")
        return {name: getattr(self, name) for name in names}


@torch.inference_mode()
def predict_logits(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Run a network over batches in evaluation mode, and put it back into its mode.

    Returns:
        `logits (N, K)` float32 and `labels (N,)` int64, both on the CPU.

    """
    was_training = network.training
    network.eval()
    pairs = [(network(images).float(), labels) for images, labels in batches]
    network.train(was_training)
    return torch.cat([logits for logits, _ in pairs]).cpu(), torch.cat([labels for _, labels in pairs]).cpu()


@torch.inference_mode()
def predict_probs(
    network: nn.Module, images: Tensor, device: torch.device, *, temperature: float = 1.0
) -> Tensor:
    """Map `images (N, C, H, W)`, normalised, on the CPU, to `probs (N, K)` float32 on the CPU.

    The network is in evaluation mode, on the device. This is how single images are classified.
    """
    probs: Tensor = tempered(network(images.to(device)).float(), temperature).softmax(1).cpu()
    return probs


def tempered(logits: Tensor, temperature: float) -> Tensor:
    """Return `logits (N, K)` of which the softmax is the calibrated probabilities.

    A temperature of 1 changes no bit. Guo, Pleiss, Sun and Weinberger 2017, equation 9.
    """
    return logits if temperature == 1.0 else logits / temperature


def top1_and_loss(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Accuracy from 0 to 1 and mean cross-entropy of `logits (N, K)` against `labels (N,)`."""
    top1 = (logits.argmax(1) == labels).double().mean().item()
    return top1, F.cross_entropy(logits, labels).item()


def wilson_interval(successes: int, total: int) -> tuple[float, float]:
    """Return the 95 % score interval of a probability that showed `successes` times in `total` > 0 trials.

    E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 1927. Unlike
    p ± 1.96 √(p(1-p)/n) it stays within 0 and 1, and is no point when there are no errors.
    """
    share, penalty = successes / total, Z95**2 / total
    middle = (share + penalty / 2) / (1 + penalty)
    half = Z95 * math.sqrt((share * (1 - share) + penalty / 4) / total) / (1 + penalty)
    return max(0.0, middle - half), min(1.0, middle + half)


def summarise(
    logits: Tensor,
    labels: Tensor,
    class_names: tuple[str, ...],
    split: str,
    names: tuple[str, ...] | None = None,
) -> Evaluation:
    """Compute all metrics of `logits (N, K)` against `labels (N,)`; without `names` images are numbered."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    truth, predicted = labels.numpy(), logits.argmax(1).numpy()
    numbered = tuple(map(str, range(len(truth))))
    answers = Answers(numbered if names is None else names, truth, predicted, logits.softmax(1).numpy())
    indices = np.arange(len(class_names))
    scores = precision_recall_fscore_support(truth, predicted, labels=indices, zero_division=0.0)
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
        classes=tuple(
            ClassResult(name, float(p), float(r), float(f1), int(n))
            for name, p, r, f1, n in zip(class_names, *scores, strict=True)
        ),
        confusion=confusion_matrix(truth, predicted, labels=indices),
        answers=answers,
    )
