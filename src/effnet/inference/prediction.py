"""What a network says of images: probabilities, and the classes that have most of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.errors import EffnetError, UsageError

Classes = tuple[tuple[str, float], ...]
"""Names and probabilities, the most probable class first."""


@dataclass(frozen=True)
class Prediction:
    """What a network says of one image: the most probable classes first, as (name, probability)."""

    image: str
    classes: Classes

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        classes = [{"name": name, "probability": probability} for name, probability in self.classes]
        return {"image": self.image, "classes": classes}


def softmax(logits: NDArray[Any], temperature: float = 1.0) -> NDArray[np.float32]:
    """Map `logits (N, K)` to `probs (N, K)`: the softmax of logits / temperature.

    In double precision no two logits become equal by the division, so that no answer changes.

    Raises:
        EffnetError: a logit is no finite number.

    """
    if not np.isfinite(logits).all():
        raise EffnetError("the network answers with what is no finite number: its file is damaged")
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    probs: NDArray[np.float32] = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return probs


def top_classes(probs: NDArray[np.float32], class_names: Sequence[str], top: int) -> Classes:
    """Return the `top` most probable classes, at most all, of one image's `probs (K,)`.

    Of classes that are equally probable the first one comes first.
    """
    best = np.argsort(-probs, kind="stable")[:top]
    return tuple((class_names[place], float(probs[place])) for place in best)


def check_top(top: int) -> None:
    """Check how many classes are asked for.

    Raises:
        UsageError: less than 1.

    """
    if top < 1:
        raise UsageError(f"top = {top}: must be at least 1")
