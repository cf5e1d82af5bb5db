"""What a study found, of what is done so far: accuracies, differences and their sureness, forecasts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import fmean
from typing import Any

from effnet.sizing.study.arms import Network, line
from effnet.sizing.study.contrasts import Contrast, contrasts
from effnet.sizing.study.law import Law, Point, Prediction, fit
from effnet.sizing.study.rows import Row
from effnet.sizing.study.setup import Study
from effnet.sizing.trial import Outcome


@dataclass(frozen=True)
class Case:
    """A network that was foreseen, and what came of it."""

    network: Network
    prediction: Prediction
    outcome: float | None
    """Its error over all seeds; None until they are all done."""

    @property
    def is_inside(self) -> bool | None:
        """Whether the outcome lies in the interval."""
        if self.outcome is None:
            return None
        return self.prediction.low <= self.outcome <= self.prediction.high

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        foreseen = {"arm": self.network.arm, "phi": self.network.phi, **vars(self.prediction)}
        return {**foreseen, "outcome": self.outcome, "is_inside": self.is_inside}


@dataclass(frozen=True)
class Findings:
    """What a study found so far."""

    rows: tuple[Row, ...]
    """In the order of Table 7."""
    contrasts: tuple[Contrast, ...]
    law: Law | None
    """None without a forecast, and until the networks it is made from are all trained."""
    cases: tuple[Case, ...]

    @property
    def known_cases(self) -> list[Case]:
        """The cases whose outcome is known."""
        return [case for case in self.cases if case.outcome is not None]

    @property
    def num_inside(self) -> int:
        """How many known outcomes lie in their intervals."""
        return sum(case.is_inside is True for case in self.cases)

    @property
    def mean_factor(self) -> float | None:
        """Typical factor between the errors foreseen and found, at least 1; None before any is known."""
        known = [abs(log(case.prediction.error / case.outcome)) for case in self.cases if case.outcome]
        return exp(fmean(known)) if known else None

    def line(self, arm: str) -> list[Row]:
        """Return the rows of an arm that have a trial, with the base they start from, the cheapest first."""
        rows = {row.network: row for row in self.rows}
        found = [rows[network] for network in line(tuple(rows), arm)]
        return [row for row in found if row.outcomes]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        law = None if self.law is None else self.law.to_dict()
        return {
            "networks": [row.to_dict() for row in self.rows],
            "contrasts": [contrast.to_dict() for contrast in self.contrasts],
            "law": law,
            "forecasts": [case.to_dict() for case in self.cases],
            "forecasts_known": len(self.known_cases),
            "forecasts_inside": self.num_inside,
        }


def find(study: Study, outcomes: Mapping[str, Outcome]) -> Findings:
    """Draw from the outcomes, by their keys, all that they tell."""
    by_network: dict[Network, list[tuple[int, Outcome]]] = {network: [] for network in study.networks}
    for each in study.assignments:
        if each.trial.key in outcomes:
            by_network[each.network].append((each.seed, outcomes[each.trial.key]))
    rows = tuple(
        Row(network, tuple(outcome for _, outcome in sorted(found, key=lambda pair: pair[0])))
        for network, found in by_network.items()
    )
    law = _law(study, rows)
    return Findings(rows, contrasts(rows, study.question.arms[-1]), law, _cases(study, rows, law))


def _is_complete(row: Row, study: Study) -> bool:
    return len(row.outcomes) == study.question.seeds


def _law(study: Study, rows: Sequence[Row]) -> Law | None:
    fitted = [row for row in rows if study.is_fitted(row.network)]
    if study.question.forecast_from is None or not all(_is_complete(row, study) for row in fitted):
        return None
    points = [Point(row.network.arm, row.network.cost.macs, row.error, row.answers) for row in fitted]
    base_macs = next(row.network.target / 2**row.network.phi for row in rows)
    return fit(points, base_macs)


def _cases(study: Study, rows: Sequence[Row], law: Law | None) -> tuple[Case, ...]:
    if law is None:
        return ()
    return tuple(
        Case(
            row.network,
            law.predict(row.network.arm, row.network.cost.macs),
            row.error if _is_complete(row, study) else None,
        )
        for row in rows
        if not study.is_fitted(row.network)
    )
