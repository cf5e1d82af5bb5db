"""What a search found: the candidates in order, and how sure one may be of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from statistics import mean, stdev
from typing import Any

from effnet.evaluation.significance import holm
from effnet.sizing.outcomes import from_attrs
from effnet.sizing.search.candidates import Candidate
from effnet.sizing.search.ledger import Job, Ledger
from effnet.sizing.search.plan import Plan
from effnet.sizing.statistics import CONFIDENCE, Comparison, accuracy_interval, compare
from effnet.sizing.trial import Outcome
from effnet.spec.scale import Coefficients

COEFFICIENTS = "coefficients"
EPOCHS = "epochs"
FEW_SEEDS = 3


@dataclass(frozen=True)
class Row:
    """A candidate and what its trainings came to."""

    candidate: Candidate
    outcomes: tuple[Outcome, ...]
    """By seed."""
    score: float
    """Mean of what ranks over the seeds."""
    note: str = ""
    """Why it is not ranked; empty when it was trained with all seeds."""
    behind: Comparison | None = None
    """The best candidate compared with this one; None for the best itself, and where that allows no claim."""
    p_value: float | None = None
    """Of that comparison, for other seeds and images, corrected for the number of comparisons (Holm)."""

    @property
    def mean(self) -> float:
        """Mean validation accuracy over the seeds."""
        return mean(outcome.val_top1 for outcome in self.outcomes)

    @property
    def spread(self) -> float | None:
        """Standard deviation of the validation accuracy over the seeds; None with one seed."""
        return stdev(outcome.val_top1 for outcome in self.outcomes) if len(self.outcomes) > 1 else None

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the mean accuracy; see `accuracy_interval`."""
        return accuracy_interval(self.outcomes)

    @property
    def is_tied(self) -> bool:
        """Whether it cannot be told from the best, as far as a claim is possible."""
        return self.p_value is not None and self.p_value >= 1 - CONFIDENCE

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            **asdict(self.candidate.coefficients),
            "macs": self.candidate.macs,
            "val_top1": [outcome.val_top1 for outcome in self.outcomes],
            "seeds": [outcome.config.seed for outcome in self.outcomes],
            "mean": self.mean if self.outcomes else None,
            "spread": self.spread,
            "interval": self.interval if self.outcomes else None,
            "score": self.score if self.outcomes else None,
            "note": self.note,
            "behind": None if self.behind is None else self.behind.to_dict(),
            "p_value": self.p_value,
        }


@dataclass(frozen=True)
class Ranking:
    """The candidates, the best first, and those that are not ranked."""

    ranked: tuple[Row, ...]
    others: tuple[Row, ...]
    num_seeds: int

    @property
    def best(self) -> Row | None:
        """The best candidate, if one was trained with all seeds."""
        return self.ranked[0] if self.ranked else None

    @property
    def comparison(self) -> Comparison | None:
        """The best compared with the runner-up."""
        return self.ranked[1].behind if len(self.ranked) > 1 else None

    @cached_property
    def ties(self) -> tuple[Row, ...]:
        """Candidates that cannot be told from the best."""
        return tuple(row for row in self.ranked[1:] if row.behind is None or row.is_tied)

    @property
    def verdict(self) -> str:
        """How sure one may be that the best is better than the runner-up."""
        if len(self.ranked) < 2:
            return f"no claim: {len(self.ranked)} of the candidates came to the end with all seeds"
        best, second = self.ranked[:2]
        lead = (
            f"{best.candidate.label} has {signed(best.mean - second.mean)} points on {second.candidate.label}"
        )
        if self.comparison is None:
            return (
                f"no claim: {lead} with one seed, and another seed may turn that round; the same command "
                f"with --seeds {FEW_SEEDS} goes on from here"
            )
        found = self.comparison
        word = "not significant" if second.is_tied else "significant"
        seeds, images = (interval(each) for each in (found.seed_interval, found.image_interval))
        notes = ["two seeds show only large differences"] if found.num_seeds < FEW_SEEDS else []
        if second.is_tied and found.is_significant:
            notes.append(f"by chance one of {len(self.ranked) - 1} comparisons may look so")
        return (
            f"{word}: {lead}; 95 % interval {seeds} over other seeds (p = {found.p_value:.2g}), {images} "
            f"over other images{''.join(f'; {note}' for note in notes)}"
        )

    @property
    def caution(self) -> str:
        """What remains true of any verdict."""
        others, tied = len(self.ranked) - 1, len(self.ties)
        told = f"{tied} of the {others} others cannot be told from it"
        if tied == others:
            told = "none of the others can be told from it"
        elif not tied:
            told = "all others are behind it"
        return (
            f"{told}; the images that ranked {len(self.ranked)} candidates flatter the first, so expect a "
            f"little less of it on new ones"
        )


def signed(difference: float) -> str:
    """Write a difference of accuracies in points."""
    return f"{100 * difference:+.2f}".replace("-", "−")


def interval(bounds: tuple[float, float]) -> str:
    """Write an interval of a difference in points."""
    return f"{signed(bounds[0])} to {signed(bounds[1])}"


def rank(plan: Plan, ledger: Ledger) -> Ranking:
    """Put the candidates in order; each counts with one result for each seed."""
    found: dict[str, Candidate] = {}
    outcomes: dict[str, dict[int, Outcome]] = {}
    notes: dict[str, str] = {}
    for job in plan.agenda.jobs:
        candidate = candidate_of(job, plan, ledger)
        if candidate is None:
            continue
        name, entry = found.setdefault(candidate.name, candidate).name, ledger.result(job)
        outcomes.setdefault(name, {})
        if entry is None:
            notes[name] = notes.get(name) or note_of(job, plan, ledger)
        else:
            config = plan.trial_config(candidate.coefficients, job.seed)
            outcomes[name].setdefault(job.seed, from_attrs(entry.attrs, candidate.spec, config))
    rows = [row_of(plan, found[name], outcomes[name], notes.get(name, "")) for name in found]
    whole = [replace(row, note="") for row in rows if len(row.outcomes) == len(plan.seeds)]
    ranked = sorted(whole, key=lambda row: row.score, reverse=True)  # ties stay in the order of the grid
    others = tuple(row for row in rows if len(row.outcomes) < len(plan.seeds))
    return Ranking((*ranked[:1], *compared(ranked)), others, len(plan.seeds))


def compared(ranked: Sequence[Row]) -> list[Row]:
    """Compare the first candidate with each other one; the more there are, the less one difference says.

    All were trained with the same seeds: either each comparison allows a claim, or none does.
    """
    pairs = [(row, compare(ranked[0].outcomes, row.outcomes)) for row in ranked[1:]]
    found = [(row, comparison) for row, comparison in pairs if comparison is not None]
    if not found:
        return list(ranked[1:])
    corrected = holm([comparison.claim_p_value for _, comparison in found])
    return [
        replace(row, behind=comparison, p_value=p_value)
        for (row, comparison), p_value in zip(found, corrected, strict=True)
    ]


def row_of(plan: Plan, candidate: Candidate, outcomes: Mapping[int, Outcome], note: str) -> Row:
    """Sum up a candidate."""
    ordered = tuple(outcomes[seed] for seed in sorted(outcomes))
    scores = [plan.objective(outcome.val_top1, candidate.macs) for outcome in ordered]
    return Row(candidate, ordered, mean(scores) if scores else 0.0, note)


def candidate_of(job: Job, plan: Plan, ledger: Ledger) -> Candidate | None:
    """Return the candidate of a job: that of the grid, or what was drawn for it; None before it is drawn."""
    known = plan.by_name
    if job.candidate in known:
        return known[job.candidate]
    gate = plan.agenda.gate(job)
    result = ledger.result(gate or job)
    attempts = [result] if result is not None else ledger.of(job)
    drawn = [entry.attrs[COEFFICIENTS] for entry in attempts if COEFFICIENTS in entry.attrs]
    if not drawn:
        return None
    candidate = plan.space.candidate(Coefficients(*drawn[-1]))
    return known.get(candidate.name, candidate)


def note_of(job: Job, plan: Plan, ledger: Ledger) -> str:
    """Say why a job has no result."""
    status, seed = ledger.status(job, plan.agenda), job.seed
    if status == "failed":
        return f"seed {seed}: {ledger.error(job)}"
    if status == "stopped":
        epochs = next((entry.attrs.get(EPOCHS) for entry in ledger.of(job) if entry.state == "pruned"), None)
        return f"stopped after {epochs} of {plan.config.epochs} epochs"
    return f"seed {seed} not trained"
