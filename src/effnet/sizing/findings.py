"""What a study found, of what is done so far: accuracies, differences and their sureness, forecasts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import fmean, stdev
from typing import Any

from effnet.sizing.arms import BASE, Network, line
from effnet.sizing.law import Law, Point, Prediction, fit, share_wrong
from effnet.sizing.statistics import CONFIDENCE, Comparison, compare, holm
from effnet.sizing.study_setup import Study
from effnet.sizing.trial import Outcome

ALPHA = 1 - CONFIDENCE


@dataclass(frozen=True)
class Row:
    """A network and its finished trials, in the order of their seeds."""

    network: Network
    outcomes: tuple[Outcome, ...]

    @property
    def accuracies(self) -> list[float]:
        """Validation accuracy of each seed."""
        return [outcome.val_top1 for outcome in self.outcomes]

    @property
    def mean(self) -> float | None:
        """Mean over the seeds that are done; None before the first."""
        return fmean(self.accuracies) if self.outcomes else None

    @property
    def spread(self) -> float | None:
        """Standard deviation over the seeds; None with fewer than two."""
        return stdev(self.accuracies) if len(self.outcomes) > 1 else None

    @property
    def error(self) -> float:
        """Share of wrong answers over all seeds, as `share_wrong` counts it."""
        right = sum(int(outcome.correct.sum()) for outcome in self.outcomes)
        return share_wrong(self.answers - right, self.answers)

    @property
    def answers(self) -> int:
        """Validation images that were answered, over all seeds."""
        return sum(len(outcome.correct) for outcome in self.outcomes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        network, by = self.network, self.network.factors
        return {
            "arm": network.arm,
            "phi": network.phi,
            "exponent": network.exponent,
            "factors": {"depth": by.depth, "width": by.width, "resolution": by.resolution},
            "name": network.spec.name,
            "resolution": network.spec.resolution,
            "blocks": network.spec.num_blocks,
            "params": network.cost.params,
            "macs": network.cost.macs,
            "activations": network.cost.activations,
            "target_macs": network.target,
            "deviation": network.deviation,
            "val_top1": self.mean,
            "spread": self.spread,
            "trials": [
                {
                    "seed": outcome.config.seed,
                    "key": outcome.key,
                    "val_top1": outcome.val_top1,
                    "val_loss": outcome.val_loss,
                    "num_val": len(outcome.correct),
                    "steps": outcome.steps,
                    "seconds": outcome.seconds,
                }
                for outcome in self.outcomes
            ],
        }


@dataclass(frozen=True)
class Contrast:
    """Two arms at the same φ: how much better the one is that the others are compared with."""

    first: Network
    second: Network
    comparison: Comparison | None
    """First minus second; None with fewer than two common seeds."""
    p_value: float | None
    """The larger of those over seeds and over images, after Holm's correction over all contrasts."""

    @property
    def is_significant(self) -> bool:
        """Whether a claim is made."""
        return self.p_value is not None and self.p_value < ALPHA

    @property
    def verdict(self) -> str:
        """Say in a few words what may be claimed."""
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


def contrasts(rows: Sequence[Row], reference: str) -> tuple[Contrast, ...]:
    """Compare the arm `reference` with every other one at each φ; p-values are corrected over all of them."""
    by_place = {(row.network.arm, row.network.phi): row for row in rows}
    pairs = [
        (by_place[reference, row.network.phi], row)
        for row in rows
        if row.network.arm not in (BASE, reference)
    ]
    found = [compare(first.outcomes, second.outcomes) for first, second in pairs]
    corrected = iter(holm([comparison.claim_p_value for comparison in found if comparison is not None]))
    return tuple(
        Contrast(first.network, second.network, comparison, None if comparison is None else next(corrected))
        for (first, second), comparison in zip(pairs, found, strict=True)
    )


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
