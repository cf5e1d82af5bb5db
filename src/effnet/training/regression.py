"""Logistic regression on the features of a network, and the classifier that it is."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from effnet.errors import DataError

# Inverse strengths of regularisation that are tried; Kornblith et al. 2019 take 45 from 1e-6 to 1e5.
STRENGTHS = tuple(10.0 ** (half / 2) for half in range(-8, 5))
MAX_ITERATIONS = 2000
ROUNDING = 1e-5  # of a feature's mean: float32 has seven digits, and sums over a network leave fewer
BALANCED = {"none": None, "weights": "balanced", "sampling": "balanced"}
"""What `data.balance` is to a regression."""

Features = tuple[Tensor, Tensor]
"""Pooled `features (N, D)` float32 and `labels (N,)` int64, on the CPU."""


@dataclass(frozen=True)
class Regression:
    """What was chosen, and how it does on the validation images."""

    C: float
    """Inverse strength of the regularisation, for standardised features."""
    num_features: int
    top1: float
    loss: float
    converged: bool

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Linear:
    """A classifier on features as they are: `weight (K, D)` and `bias (K,)`."""

    weight: Tensor
    bias: Tensor

    def logits(self, features: Tensor) -> Tensor:
        """Map `features (N, D)` to `logits (N, K)`."""
        return F.linear(features, self.weight, self.bias)


def choose(
    train: Features, val: Features, class_names: Sequence[str], balance: str
) -> tuple[Regression, Linear]:
    """Fit regressions of all strengths to training features, and return the best on the validation ones.

    The best has the highest accuracy and, among equals, the lowest loss.

    Raises:
        DataError: a class has no image to learn from.

    """
    from sklearn.linear_model import LogisticRegression

    check_classes(train[1], class_names)
    mean, scale = standard(train[0])
    features = ((train[0] - mean) / scale).numpy()
    weights = BALANCED[balance]
    model = LogisticRegression(max_iter=MAX_ITERATIONS, warm_start=True, class_weight=weights)
    tried = []
    for strength in STRENGTHS:
        converged = fit(model.set_params(C=strength), features, train[1].numpy())
        linear = unfolded(model.coef_, model.intercept_, mean, scale)
        top1, loss = judged(linear, val)
        tried.append((Regression(strength, features.shape[1], top1, loss, converged), linear))
    return max(tried, key=lambda pair: (pair[0].top1, -pair[0].loss))


def fit(model: Any, features: NDArray[np.float32], labels: NDArray[np.int64]) -> bool:
    """Fit a regression from where it stands; return whether it came to its end."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(features, labels)
    for warning in caught:
        if not issubclass(warning.category, ConvergenceWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)


def standard(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation `(D,)` of each feature; 1 for one that rounding alone varies."""
    mean, scale = features.mean(0), features.std(0, correction=0)
    return mean, torch.where(scale > ROUNDING * mean.abs(), scale, torch.ones_like(scale))


def unfolded(coefficients: NDArray[Any], intercept: NDArray[Any], mean: Tensor, scale: Tensor) -> Linear:
    """Return the classifier of features as they are, for coefficients of standardised ones.

    Of two classes there is one row, z; as two logits that is -z / 2 and z / 2, whose softmax is the same.
    """
    weight, bias = torch.from_numpy(coefficients).double(), torch.from_numpy(intercept).double()
    if len(weight) == 1:
        weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
    own = weight / scale.double()
    return Linear(own.float(), (bias - own @ mean.double()).float())


def judged(linear: Linear, val: Features) -> tuple[float, float]:
    """Return accuracy and loss on features."""
    logits = linear.logits(val[0])
    return (logits.argmax(1) == val[1]).float().mean().item(), F.cross_entropy(logits, val[1]).item()


def check_classes(labels: Tensor, class_names: Sequence[str]) -> None:
    """Make sure that there is an image of each class.

    Raises:
        DataError: there is none of a class, such as where none can be read.

    """
    counts = torch.bincount(labels, minlength=len(class_names))
    for name, count in zip(class_names, counts.tolist(), strict=True):
        if count == 0:
            raise DataError(f"class {name!r} has no readable image to learn from")
