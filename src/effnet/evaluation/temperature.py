"""The temperature that makes probabilities mean what they say, fitted on validation images and kept."""

from dataclasses import asdict, dataclass, replace
from math import exp, log
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from effnet import modelfile
from effnet.data.datasets import DataSet, open_dataset
from effnet.data.splits import find_parts
from effnet.errors import DataError, UsageError
from effnet.evaluation.calibration import calibration_error, reliability
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.metrics import brier_score, tempered
from effnet.evaluation.opened import ReadOptions
from effnet.evaluation.significance import Z95
from effnet.modelfile import ModelHeader
from effnet.shipped.catalogue import is_packaged

PART = "val"
LOWEST, HIGHEST = 0.01, 100.0
NUM_FOLDS = 5


@dataclass(frozen=True)
class Scores:
    """How good probabilities are."""

    loss: float
    """Mean cross-entropy in nats, which the temperature makes as low as it can."""
    ece: float
    brier: float


@dataclass(frozen=True)
class Calibration:
    """A temperature, and what it does to the validation images."""

    temperature: float
    num_images: int
    before: Scores
    after: Scores
    """On images that the temperature was not fitted on, in turns: five-fold; where `is_crossed` is false on
    the very images that it was fitted on."""
    is_crossed: bool
    gain: float
    """Cross-entropy in nats that the temperature saves on the images it was fitted on, 0 or more."""

    @property
    def is_significant(self) -> bool:
        """Whether the gain is more than the luck of these images: a likelihood-ratio test at 5 %."""
        return 2 * self.num_images * self.gain > Z95**2

    @property
    def is_at_limit(self) -> bool:
        """Whether the best temperature may lie outside the range that is tried."""
        return not 1.01 * LOWEST < self.temperature < 0.99 * HIGHEST

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"part": PART, **asdict(self), "is_significant": self.is_significant}


def calibrate(
    classifier: Classifier, data: str | Path | DataSet, **options: Unpack[ReadOptions]
) -> tuple[Classifier, Calibration]:
    """Fit the temperature on the validation images, and write it into the model file.

    Args:
        classifier: the network; what it was calibrated to before does not count.
        data: name or folder with a validation part: one of its own, or the one that was drawn from it when
            the model was trained. No test image is read.
        options: how images are read.

    Returns:
        The calibrated classifier, and how the temperature was found.

    Raises:
        UsageError: there is no validation part, or it cannot be told any more; or the model file is one that
            comes with the package.
        DataError: the network is right on all validation images, so that no temperature is the best.
        EffnetError: the model file cannot be written.

    """
    check_writable(classifier)
    dataset = data if isinstance(data, DataSet) else open_dataset(data)
    check_part(classifier, dataset)
    with classifier.opened(dataset, split=PART, **options) as opened:
        calibration = fit(*classifier.logits(opened))
    if classifier.path is not None:
        stored, weights = modelfile.load_stored(classifier.path)
        modelfile.save(classifier.path, with_temperature(stored, calibration), weights)
    header = with_temperature(classifier.header, calibration)
    return Classifier(header, classifier.network, classifier.device, classifier.path), calibration


def with_temperature(header: ModelHeader, calibration: Calibration) -> ModelHeader:
    """Write a temperature, and how it was found, into what a model file says."""
    metrics = {**header.metrics, "calibration": calibration.to_dict()}
    return replace(header, temperature=calibration.temperature, metrics=metrics)


def check_writable(classifier: Classifier) -> None:
    """Refuse to write into a model file of the package.

    Raises:
        UsageError: it is one.

    """
    if classifier.path is not None and is_packaged(classifier.path):
        name = classifier.path.stem
        raise UsageError(
            f"--calibrate writes into the model file, and {name} is one of the package: make a copy with "
            f"effnet import {name} --out mine.safetensors, and calibrate that"
        )


def check_part(classifier: Classifier, dataset: DataSet) -> None:
    """Refuse a data set without validation images.

    Raises:
        UsageError: it has none; says why and what to do.

    """
    if PART in find_parts(dataset, classifier.drawn):
        return
    lost = classifier.drawn.lost(dataset, [PART])
    reason = "none was drawn from it for this model" if lost is None else lost
    raise UsageError(
        f"{dataset.name} has no validation part ({reason}); a temperature is fitted on images that are "
        f"neither learned from nor tested on: take the data that the model was trained on, with its images "
        f"unchanged, or a folder with train/ and val/"
    )


def fit(logits: Tensor, labels: Tensor) -> Calibration:
    """Find the temperature for `logits (N, K)` and `labels (N,)`, and measure what it does.

    Raises:
        DataError: no temperature is the best.

    """
    logits = logits.double()
    check_outputs(logits, labels)
    temperature = fit_temperature(logits, labels)
    fitted = tempered(logits, temperature)
    crossed = cross_fitted(logits, labels)
    before = score(logits, labels)
    return Calibration(
        temperature=temperature,
        num_images=len(labels),
        before=before,
        after=score(fitted if crossed is None else crossed, labels),
        is_crossed=crossed is not None,
        gain=max(0.0, before.loss - F.cross_entropy(fitted, labels).item()),
    )


def check_outputs(logits: Tensor, labels: Tensor) -> None:
    """Refuse outputs for which no temperature is the best.

    Raises:
        DataError: they are not finite, or all right.

    """
    if not torch.isfinite(logits).all():
        raise DataError("cannot calibrate: outputs of the network are not finite numbers")
    if is_all_right(logits, labels):
        raise DataError(
            f"cannot calibrate: the network is right on all {len(labels)} validation images, and nothing "
            f"tells how often it would be wrong; hold more images out in training (--data.val-fraction)"
        )


def is_all_right(logits: Tensor, labels: Tensor) -> bool:
    """Tell whether the true class is above all others everywhere: the surer, the better the loss."""
    return bool((logits.argmax(1) == labels).all())


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature from 0.01 to 100 with the lowest mean cross-entropy.

    It has one minimum, being convex in 1/T: Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural
    Networks, ICML 2017, section 4.2.
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda exponent: F.cross_entropy(logits / exp(exponent), labels).item(),
        bounds=(log(LOWEST), log(HIGHEST)),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return exp(float(found.x))


def cross_fitted(logits: Tensor, labels: Tensor) -> Tensor | None:
    """Divide each fifth of the logits by the temperature that the other four fifths ask for.

    None where some of them ask for none, being all right.
    """
    folds, result = np.arange(len(labels)) % NUM_FOLDS, torch.empty_like(logits)
    for fold in range(NUM_FOLDS):
        inside = torch.from_numpy(folds == fold)
        others = logits[~inside], labels[~inside]
        if is_all_right(*others):
            return None
        result[inside] = tempered(logits[inside], fit_temperature(*others))
    return result


def score(logits: Tensor, labels: Tensor) -> Scores:
    """Measure the probabilities that are the softmax of `logits (N, K)` against `labels (N,)`."""
    probs = logits.softmax(1)
    confidence, predicted = probs.max(1)
    bins = reliability(confidence.numpy(), (predicted == labels).numpy())
    loss = F.cross_entropy(logits, labels).item()
    return Scores(loss, calibration_error(bins), brier_score(probs, labels))
