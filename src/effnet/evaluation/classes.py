"""Numbers of each class: precision, recall, F1, and the confusion matrix they come from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.evaluation.significance import wilson_interval


@dataclass(frozen=True)
class ClassResult:
    """Result of one class; `support` is the number of its images."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int

    @property
    def recall_interval(self) -> tuple[float, float]:
        """95 % interval of the recall on images like these; from 0 to 1 without images."""
        return (
            wilson_interval(round(self.recall * self.support), self.support) if self.support else (0.0, 1.0)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**vars(self), "recall_interval": list(self.recall_interval)}


def confusion_matrix(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int
) -> NDArray[np.int64]:
    """Count the images of each true class (row) that were taken for each class (column), `(K, K)`."""
    flat = np.bincount(truth * num_classes + predicted, minlength=num_classes**2)
    return flat.reshape(num_classes, num_classes)


def class_results(class_names: tuple[str, ...], confusion: NDArray[np.int64]) -> tuple[ClassResult, ...]:
    """Compute the numbers of each class; a ratio of nothing is 0. scikit-learn needs 1.6 s to be imported."""
    hits, called, support = confusion.diagonal(), confusion.sum(0), confusion.sum(1)
    ratios = (
        hits / np.maximum(called, 1), hits / np.maximum(support, 1),
        2 * hits / np.maximum(called + support, 1),
    )  # fmt: skip
    rows = zip(class_names, *(ratio.tolist() for ratio in ratios), support.tolist(), strict=True)
    return tuple(ClassResult(*row) for row in rows)
