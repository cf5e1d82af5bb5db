"""Numbers of a classifier: top-1, top-5, loss, per class, confusion matrix."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class ClassResult:
    """Result of one class; `support` is the number of its images."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


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
    classes: tuple[ClassResult, ...]
    confusion: NDArray[np.int64]
    """`(K, K)`: row is the true class, column the predicted one."""
    broken: tuple[str, ...] = ()
    """One message per image that could not be read and was skipped."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        summary = self.summary()
        classes = [vars(result) for result in self.classes]
        matrix = self.confusion.tolist()
        return summary | {"classes": classes, "confusion": matrix, "skipped": list(self.broken)}

    def summary(self) -> dict[str, Any]:
        """Return the numbers of the whole set, without those of each class."""
        names = ("split", "num_images", "num_errors", "top1", "top5", "loss")
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


def top1_and_loss(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Accuracy from 0 to 1 and mean cross-entropy of `logits (N, K)` against `labels (N,)`."""
    top1 = (logits.argmax(1) == labels).double().mean().item()
    return top1, F.cross_entropy(logits, labels).item()


def summarise(logits: Tensor, labels: Tensor, class_names: tuple[str, ...], split: str) -> Evaluation:
    """Compute all metrics of `logits (N, K)` against `labels (N,)`."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    predicted, indices = logits.argmax(1).numpy(), np.arange(len(class_names))
    truth = labels.numpy()
    scores = precision_recall_fscore_support(truth, predicted, labels=indices, zero_division=0.0)
    top1, loss = top1_and_loss(logits, labels)
    best = logits.topk(min(5, len(class_names)), dim=1).indices
    return Evaluation(
        split=split,
        num_images=len(truth),
        num_errors=int((predicted != truth).sum()),
        top1=top1,
        top5=(best == labels[:, None]).any(1).double().mean().item(),
        loss=loss,
        classes=tuple(
            ClassResult(name, float(p), float(r), float(f1), int(n))
            for name, p, r, f1, n in zip(class_names, *scores, strict=True)
        ),
        confusion=confusion_matrix(truth, predicted, labels=indices),
    )
