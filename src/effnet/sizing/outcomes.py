"""An outcome as a study keeps it: all that ranking and page need, small enough for any database."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from effnet.config import TrainConfig
from effnet.sizing.trial import Outcome, packed, unpacked
from effnet.spec.netspec import NetSpec

OUTCOME, CURVE = "outcome", "curve"
IN_CURVE = ("epoch", "val_top1", "ema_val_top1", "train_loss")
MAX_POINTS = 300  # MySQL keeps 64 kB of a value

_KEPT = ("key", "val_top1", "val_loss", "steps", "seconds", "environment")


def to_attrs(outcome: Outcome) -> dict[str, Any]:
    """Return what is written down with a trial, in JSON values."""
    content = {name: getattr(outcome, name) for name in _KEPT}
    return {OUTCOME: content | packed(outcome.correct), CURVE: thinned(outcome.curve)}


def from_attrs(attrs: Mapping[str, Any], spec: NetSpec, config: TrainConfig) -> Outcome:
    """Return the outcome that was written down; network and configuration are those of the search."""
    curve = tuple(dict(zip(IN_CURVE, point, strict=True)) for point in attrs[CURVE])
    return Outcome(spec=spec, config=config, curve=curve, **unpacked(attrs[OUTCOME]))


def thinned(curve: tuple[dict[str, Any], ...]) -> list[list[Any]]:
    """Return the epochs of a curve, evenly thinned where there are very many; the last one stays."""
    kept = np.unique(np.linspace(0, len(curve) - 1, min(len(curve), MAX_POINTS)).round().astype(np.int64))
    return [[_rounded(curve[index][name]) for name in IN_CURVE] for index in kept]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
