"""The question of a budget as a value, and its answer: which is the largest network within the limits?"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from effnet.device import environment, kept_memory
from effnet.errors import UsageError
from effnet.sizing.budget.calibration import calibrated
from effnet.sizing.budget.latency import RUNTIMES, Conditions, Timer
from effnet.sizing.budget.latency_model import LatencyModel
from effnet.sizing.budget.limits import MEMORY, MINUTES, Limits
from effnet.sizing.budget.measures import Gauges, Measures
from effnet.sizing.budget.memory import can_measure, peak_bytes
from effnet.sizing.budget.sized import Sized
from effnet.sizing.budget.solver import Solver
from effnet.sizing.budget.timing import Run
from effnet.sizing.budget.training_time import TrainingTime
from effnet.spec.cost import cost
from effnet.spec.families import get_spec
from effnet.spec.netspec import NetSpec
from effnet.spec.scale import MAX_PHI, Coefficients, scale
from effnet.spec.solve import Scaled, ladder, shape
from effnet.training.reporter import Reporter

MACS_PER_SECOND = 5e10  # first guess for onnxruntime, whose times follow MACs more closely than torch's


@dataclass(frozen=True)
class Question:
    """Which network is asked for."""

    base: NetSpec
    coefficients: Coefficients
    changes: Mapping[str, Any]
    """Fields of the scaled networks that are fixed, such as the resolution."""
    limits: Limits
    conditions: Conditions
    training: TrainingTime | None = None
    """Times the training that is limited, if it is."""


def answer(question: Question, reporter: Reporter, *, around: bool) -> Sized:
    """Find the largest network that keeps the limits; `around` measures some smaller and larger ones too.

    Raises:
        UsageError: a limit that cannot be measured here, or scaling that changes nothing.
        EffnetError: not even the smallest network keeps the limits.

    """
    check(question)
    given, rungs = question.conditions, family(question)
    reporter.message(
        f"{len(rungs):,} networks from φ = {rungs[0].phi:g} to {rungs[-1].phi:g}; measuring {given.words()}"
    )
    with kept_memory(given.device), TemporaryDirectory() as folder:
        measures = Measures(given, gauges(question, Path(folder), reporter), reporter.message)
        solver = Solver(rungs, question.limits, measures)
        place = solver.solve()
        table = solver.around(place) if around else solver.pair(place)
    above = [row for row in table if row.phi > rungs[place].phi]
    return Sized(
        base=question.base,
        coefficients=question.coefficients,
        limits=question.limits,
        chosen=next(row for row in table if row.phi == rungs[place].phi),
        following=above[0] if above else None,
        table=tuple(table),
        conditions={"runtime": given.runtime, "batch": given.batch, **environment(given.device)},
    )


def check(question: Question) -> None:
    """Refuse limits that cannot be measured.

    Raises:
        UsageError: names the limit.

    """
    limited, given = question.limits.given, question.conditions
    if MINUTES in limited and question.training is None:
        raise UsageError(f"{MINUTES.flag} needs --data DATA: the images that the training would see")
    if MEMORY in limited and not can_measure(given):
        raise UsageError(
            f"{MEMORY.flag}: the memory of {given.device.type} cannot be measured on this system"
        )


def family(question: Question) -> tuple[Scaled, ...]:
    """Return every network that φ makes of the base, smallest first, each with its φ nearest to 0.

    Raises:
        UsageError: they are all the same.

    """
    base, coefficients = question.base, question.coefficients
    rungs = ladder(base, coefficients, high=highest(base, coefficients))
    fixed = (Scaled(rung.phi, get_spec(rung.spec, **question.changes)) for rung in rungs)
    made = tuple(
        min(same, key=lambda rung: abs(rung.phi))
        for _, same in groupby(fixed, key=lambda rung: shape(rung.spec))
    )
    if len(made) == 1:
        raise UsageError(
            f"every φ gives the same network of {base.name}: alpha = {coefficients.alpha:g}, beta = "
            f"{coefficients.beta:g}, gamma = {coefficients.gamma:g} change nothing that is not fixed"
        )
    return made


def highest(base: NetSpec, coefficients: Coefficients) -> float:
    """Return the largest φ, in steps of 0.5, that makes a network within all bounds."""
    phi = MAX_PHI
    while phi > 0:
        try:
            scale(base, phi, coefficients)
        except UsageError:  # too many channels, layers or pixels
            phi -= 0.5
        else:
            break
    return phi


def gauges(question: Question, folder: Path, reporter: Reporter) -> Gauges:
    """Return what measures on this machine; the model of latency is learned when it is first asked.

    Files that a runtime needs are put into `folder`.
    """
    given, training = question.conditions, question.training

    def prepare(spec: NetSpec) -> Run:
        return RUNTIMES[given.runtime](spec, given, folder)

    @cache
    def model() -> LatencyModel:
        return calibrated(given, reporter.message)

    def foretell(spec: NetSpec) -> float:
        if given.runtime == "torch":
            return model().seconds(spec, given.num_classes)
        return cost(spec, given.num_classes).macs * given.batch / MACS_PER_SECOND

    return Gauges(
        timer=Timer(prepare),
        foretell=foretell,
        memory=(lambda spec: peak_bytes(spec, given, folder)) if can_measure(given) else None,
        minutes=None if training is None else training.minutes,
        num_trained=0 if training is None else training.num_trained,
    )
