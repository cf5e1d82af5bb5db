"""Test-time augmentation: several views of an image, and the mean of what a network says of them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from time import perf_counter
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from effnet.evaluation.classifier import Classifier
from effnet.evaluation.comparison.result import Contrast
from effnet.evaluation.metrics import Evaluation, tempered
from effnet.evaluation.opened import Opened
from effnet.evaluation.robustness.combined import contrast, mean_of
from effnet.evaluation.robustness.follow import Follow, Part

SHIFT = 1 / 16
"""Of the side: 2 pixels of 32, 14 of 224."""

View = Callable[[Tensor], Tensor]
"""Maps images `(N, C, S, S)` uint8 to images of the same kind."""

ViewsName = Literal["flip", "shifts", "flip-shifts"]


def same(images: Tensor) -> Tensor:
    """Return the images as they are."""
    return images


def mirrored(images: Tensor) -> Tensor:
    """Mirror left and right."""
    return images.flip(-1)


def shifted(images: Tensor, down: int, right: int) -> Tensor:
    """Move images by so many times a sixteenth of their side, -1 to 1; the border is continued."""
    side = images.shape[-1]
    step = max(1, round(SHIFT * side))
    padded = F.pad(images.float(), (step, step, step, step), mode="replicate").to(images.dtype)
    top, left = step * (1 - down), step * (1 - right)
    return padded[..., top : top + side, left : left + side]


def both(images: Tensor, first: View, second: View) -> Tensor:
    """Apply one view after the other."""
    return second(first(images))


FLIP: tuple[View, ...] = (same, mirrored)
SHIFTS: tuple[View, ...] = (same, *(partial(shifted, down=d, right=r) for d in (-1, 1) for r in (-1, 1)))

VIEWS: dict[ViewsName, tuple[View, ...]] = {
    "flip": FLIP,
    "shifts": SHIFTS,
    "flip-shifts": tuple(partial(both, first=one, second=other) for one, other in product(SHIFTS, FLIP)),
}
"""The first view is the image itself."""


@dataclass(frozen=True)
class Augmented:
    """A network that looks at each image several times."""

    name: ViewsName
    evaluation: Evaluation
    """Of the mean of the probabilities."""
    contrast: Contrast
    """With one look."""
    milliseconds: float
    """For one image, all views together."""

    @property
    def num_views(self) -> int:
        """How often each image is computed."""
        return len(VIEWS[self.name])

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "views": self.name,
            "num_views": self.num_views,
            **self.evaluation.summary(),
            "against_one_view": self.contrast.to_dict(),
            "milliseconds": self.milliseconds,
            "milliseconds_of_one_view": self.milliseconds / self.num_views,
        }


def measure_views(
    classifier: Classifier, opened: Opened, single: Evaluation, *, name: ViewsName, follow: Follow
) -> Augmented:
    """Measure a network on the mean of views.

    Args:
        classifier: the network.
        opened: the images.
        single: what the network says of the images themselves.
        name: which views.
        follow: hears how it goes on.

    """
    views = VIEWS[name][1:]  # the first is the image itself
    parts = [Part(follow, f"view {k} of {len(views)}", k - 1, len(views)) for k in range(1, len(views) + 1)]
    started = perf_counter()
    others = [
        probs_of(classifier, replace(opened, on_measured=part), view)
        for part, view in zip(parts, views, strict=True)
    ]
    spent = (perf_counter() - started) / len(views) * len(VIEWS[name])
    combined = mean_of(single, [single.answers.probs, *others])
    pair = contrast(combined, single, (f"{len(VIEWS[name])} views", "one view"))
    return Augmented(name, combined, pair, 1e3 * spent / combined.num_images)


def probs_of(classifier: Classifier, opened: Opened, view: View) -> NDArray[np.float32]:
    """Return what a network says of a view of the images: `probs (N, K)`."""

    def change(images: Tensor, places: NDArray[np.int64]) -> Tensor:
        return view(images)

    logits, _ = classifier.logits(opened, change)
    probs: NDArray[np.float32] = tempered(logits, classifier.header.temperature).softmax(1).float().numpy()
    return probs
