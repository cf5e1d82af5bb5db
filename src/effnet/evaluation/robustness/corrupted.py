"""Accuracy under the 15 common corruptions at 5 severities (Hendrycks and Dietterich, ICLR 2019)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from effnet.data.loaders import Transform
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.corruptions.catalogue import CORRUPTIONS, corrupt
from effnet.evaluation.corruptions.severities import NUM_SEVERITIES, PUBLISHED, RULE
from effnet.evaluation.opened import Opened
from effnet.evaluation.robustness.follow import Follow, Part
from effnet.evaluation.robustness.passes import Pass, Store, run_pass
from effnet.evaluation.significance import Z95

Condition = tuple[str, int]
"""Corruption and severity."""

SEVERITIES = range(1, NUM_SEVERITIES + 1)
CONDITIONS: tuple[Condition, ...] = tuple((name, severity) for name in CORRUPTIONS for severity in SEVERITIES)

CAVEATS = (
    "images are corrupted after they were resized and cropped to the model's input; the published ones are "
    "224×224 pixels and saved as JPEG (ImageNet-C), or 32×32 (CIFAR-10-C)",
    "what is drawn at random is drawn anew, not taken from the published images",
    "mean corruption errors on ImageNet-C in the literature (mCE) are divided by AlexNet's errors, which "
    "hold for ImageNet alone; these are not",
)
"""Why no number can be set beside published ones without a second look."""


@dataclass(frozen=True)
class Settings:
    """How corruptions are measured."""

    seed: int
    store: Store

    def label(self, condition: Condition) -> str:
        """Name a condition in the store."""
        name, severity = condition
        return f"{name}-{severity}-seed-{self.seed}"

    @property
    def num_kept(self) -> int:
        """How many conditions there are in the store."""
        folder = self.store.folder
        return 0 if folder is None else sum((folder / f"{self.label(c)}.json").exists() for c in CONDITIONS)


@dataclass(frozen=True, eq=False)
class Robustness:
    """A network on clean and on corrupted images."""

    clean: Pass
    cells: Mapping[str, tuple[Pass, ...]]
    """Of each corruption, by severity from 1 to 5."""
    side: int
    """Of the images, in pixels."""
    seed: int

    def mean_top1(self, name: str) -> float:
        """Return the mean accuracy under a corruption over its severities."""
        return float(np.mean([each.top1 for each in self.cells[name]]))

    @property
    def top1(self) -> float:
        """Mean corruption accuracy: over all corruptions and severities, 0 to 1."""
        return float(self._shares().mean())

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the mean corruption accuracy on images like these."""
        low, high = _mean_interval(self._shares())
        return max(0.0, low), min(1.0, high)

    @property
    def error(self) -> float:
        """Mean corruption error, not divided by that of any other network, 0 to 1."""
        return 1.0 - self.top1

    @property
    def lost(self) -> float:
        """Mean corruption error relative to clean: how much accuracy corruptions cost, -1 to 1."""
        return self.clean.top1 - self.top1

    @property
    def lost_interval(self) -> tuple[float, float]:
        """95 % interval of what corruptions cost on images like these; paired by image."""
        return _mean_interval(self.clean.correct - self._shares())

    @property
    def caveats(self) -> tuple[str, ...]:
        """What is not comparable with published numbers, in general and for this size."""
        is_published = self.side in {each.side for each in PUBLISHED.values()}
        return CAVEATS if is_published else (*CAVEATS, RULE)

    def _shares(self) -> NDArray[np.float64]:
        """Return for each image the share of all conditions in which the network is right, `(N,)`."""
        every = np.array([each.correct for row in self.cells.values() for each in row], dtype=np.float64)
        shares: NDArray[np.float64] = every.mean(axis=0)
        return shares

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "clean_top1": self.clean.top1,
            "mean_corruption_top1": self.top1,
            "interval": list(self.interval),
            "mean_corruption_error": self.error,
            "lost": self.lost,
            "lost_interval": list(self.lost_interval),
            "num_images": self.clean.num_images,
            "side": self.side,
            "seed": self.seed,
            "corruptions": {name: self._corruption_to_dict(name) for name in self.cells},
            "not_comparable": list(self.caveats),
        }

    def _corruption_to_dict(self, name: str) -> dict[str, Any]:
        corruption = CORRUPTIONS[name]
        return {
            "family": corruption.family,
            "top1": self.mean_top1(name),
            "lost": self.clean.top1 - self.mean_top1(name),
            "severities": [each.to_dict() for each in self.cells[name]],
            "differs": corruption.caveat or None,
        }


def measure_robustness(
    classifier: Classifier, opened: Opened, clean: Pass, *, settings: Settings, follow: Follow
) -> Robustness:
    """Measure a network on images under each corruption; what is in the store already is not done again.

    Args:
        classifier: the network.
        opened: the images.
        clean: what it says of them uncorrupted.
        settings: seed, and where passes are kept as soon as they are done.
        follow: hears how it goes on.

    Raises:
        UsageError: the images are smaller than 8 pixels.

    """
    store, keys, count = settings.store, image_keys(opened.names), clean.num_images
    found = {c: made for c in CONDITIONS if (made := store.find(settings.label(c), count)) is not None}
    missing = [condition for condition in CONDITIONS if condition not in found]
    for number, condition in enumerate(missing):
        name, severity = condition
        part = Part(
            follow, f"{CORRUPTIONS[name].title}, {severity} of {NUM_SEVERITIES}", number, len(missing)
        )
        watched = replace(opened, on_measured=part)
        made = run_pass(classifier, watched, corrupting(name, severity, settings.seed, keys))
        store.keep(settings.label(condition), made)
        found[condition] = made
    cells = {name: tuple(found[name, severity] for severity in SEVERITIES) for name in CORRUPTIONS}
    return Robustness(clean, cells, opened.preprocess.resolution, settings.seed)


def corrupting(name: str, severity: int, seed: int, keys: NDArray[np.uint64]) -> Transform:
    """Return what corrupts the images of a batch, given their places."""

    def change(images: Tensor, places: NDArray[np.int64]) -> Tensor:
        return corrupt(images, name, severity, seed=seed, indices=keys[places])

    return change


def image_keys(names: tuple[str, ...]) -> NDArray[np.uint64]:
    """Number images by their names, `(N,)`: an image has the same number in whatever part it is measured."""
    digests = (blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest() for name in names)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def _mean_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % interval of a mean over images; normal approximation."""
    mean = float(values.mean())
    half = Z95 * float(values.std(ddof=1)) / sqrt(len(values)) if len(values) > 1 else float("inf")
    return mean - half, mean + half
