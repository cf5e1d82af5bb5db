"""The arms of a study against each other: how much better one is, and whether that may be claimed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from effnet.evaluation.significance import holm
from effnet.sizing.statistics import CONFIDENCE, Comparison, compare
from effnet.sizing.study.arms import BASE, Network
from effnet.sizing.study.rows import Row
from effnet.spec.solve import shape

ALPHA = 1 - CONFIDENCE


@dataclass(frozen=True)
class Contrast:
    """Two arms at the same φ: how much better the one is that the others are compared with."""

    first: Network
    second: Network
    comparison: Comparison | None
    """First minus second; None with fewer than two common seeds, and for one network in both arms."""
    p_value: float | None
    """The larger of those over seeds and over images, after Holm's correction over all contrasts."""

    @property
    def is_same(self) -> bool:
        """Whether rounding made one network of both arms."""
        return shape(self.first.spec) == shape(self.second.spec)

    @property
    def is_significant(self) -> bool:
        """Whether a claim is made."""
        return self.p_value is not None and self.p_value < ALPHA

    @property
    def verdict(self) -> str:
        """Say in a few words what may be claimed."""
        if self.is_same:
            return "the same network"
        if self.comparison is None:
            return "no claim"
        if not self.is_significant:
            return "not told apart"
        return f"{(self.first if self.comparison.difference > 0 else self.second).arm} is better"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        comparison = None if self.comparison is None else self.comparison.to_dict()
        return {
            "phi": self.first.phi,
            "first": self.first.arm,
            "second": self.second.arm,
            "comparison": comparison,
            "p_value_holm": self.p_value,
            "verdict": self.verdict,
        }


def contrasts(rows: Sequence[Row], reference: str) -> tuple[Contrast, ...]:
    """Compare the arm `reference` with every other one at each φ; p-values are corrected over all of them."""
    by_place = {(row.network.arm, row.network.phi): row for row in rows}
    pairs = [
        (by_place[reference, row.network.phi], row)
        for row in rows
        if row.network.arm not in (BASE, reference)
    ]
    plain = [
        Contrast(first.network, second.network, _compare(first, second), None) for first, second in pairs
    ]
    corrected = iter(holm([c.comparison.claim_p_value for c in plain if c.comparison is not None]))
    return tuple(
        each if each.comparison is None else replace(each, p_value=next(corrected)) for each in plain
    )


def _compare(first: Row, second: Row) -> Comparison | None:
    if shape(first.network.spec) == shape(second.network.spec):
        return None
    return compare(first.outcomes, second.outcomes)
