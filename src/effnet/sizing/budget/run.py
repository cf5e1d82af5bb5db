"""Budget: the largest network of a base's family that keeps all limits, measured here (paper §4, step 2)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from effnet.config import load_recipe, override
from effnet.data.datasets import open_dataset
from effnet.errors import UsageError, key_of, unknown_name
from effnet.sizing.budget.latency import conditions
from effnet.sizing.budget.limits import LIMIT_NAMES, Limits, at_least_one, read_limits
from effnet.sizing.budget.question import Question, answer
from effnet.sizing.budget.sized import Sized
from effnet.sizing.budget.training_time import TrainingTime
from effnet.spec.families import get_spec, usual_classes
from effnet.spec.netspec import NetSpec, first_problem
from effnet.spec.scale import PAPER, Coefficients
from effnet.training.reporter import Reporter, Silent
from effnet.training.setup import default_recipe, spec_changes


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Terms:
    """What a budget is asked for, beside the limits."""

    coefficients: Coefficients = PAPER
    """How one unit of φ is shared out."""
    resolution: int | None = None
    """Side of the images, fixed; when not given, it scales with φ."""
    classes: int | None = None
    """Outputs of the classifier; those of the data, else 1000, or 10 for networks of small images."""
    batch: int = 1
    """Images that are predicted at once."""
    device: str = "auto"
    """Where to predict: auto, cpu, cuda, mps."""
    runtime: str = "torch"
    """What predicts: torch, as `effnet predict` does, or onnxruntime."""
    data: str | Path | None = None
    """Data set to train on, by name or folder: its classes and channels count; a training can be timed."""
    recipe: str | Path | None = None
    """Recipe of that training; the one that fits the data when not given."""


_ADAPTER = TypeAdapter(Terms)


def budget(network: str | NetSpec = "b0", *, reporter: Reporter | None = None, **settings: Any) -> Sized:
    """Find the largest φ whose network keeps all limits, as measured on this machine.

    Args:
        network: the base: a name, a spec file (`.json`), or a spec.
        reporter: told of the progress; without one nothing is printed.
        settings: limits, at least one: `max_params`, `max_macs`, `max_activations`, `max_latency_ms`,
            `max_memory_mb`, `max_train_minutes`, as numbers or texts such as `"5M"`; and fields of `Terms`.

    Raises:
        UsageError: unknown name or key, bad value, no limit, or one that cannot be measured here.
        EffnetError: not even the smallest network keeps the limits; says what it costs.

    """
    limits = read_limits({name: value for name, value in settings.items() if name in LIMIT_NAMES})
    terms = read_terms({name: value for name, value in settings.items() if name not in LIMIT_NAMES})
    listener = reporter or Silent()
    return answer(ask(get_spec(network), limits, terms, listener), listener, around=True)


def read_terms(values: Mapping[str, Any]) -> Terms:
    """Check what is given beside the limits.

    Raises:
        UsageError: unknown key or bad value.

    """
    try:
        return _ADAPTER.validate_python(dict(values))
    except ValidationError as error:
        problem = error.errors()[0]
        if problem["type"] == "unexpected_keyword_argument":
            known = (*LIMIT_NAMES, *Terms.__dataclass_fields__)
            raise unknown_name("setting of a budget", key_of(problem), known) from None
        raise UsageError(first_problem(error)) from None


def ask(base: NetSpec, limits: Limits, terms: Terms, reporter: Reporter) -> Question:
    """Put the question together, with what follows from the data.

    Raises:
        UsageError: terms that exclude each other, or are not available here.

    """
    at_least_one(limits)
    fixed = {} if terms.resolution is None else {"resolution": terms.resolution}
    if terms.data is None:
        if terms.recipe is not None:
            raise UsageError(f"--recipe {terms.recipe}: a recipe trains on images; add --data DATA")
        classes = usual_classes(base) if terms.classes is None else terms.classes
        given = conditions(terms.device, terms.runtime, terms.batch, classes)
        return Question(base, terms.coefficients, fixed, limits, given)
    dataset = open_dataset(terms.data, on_download=reporter.downloading)
    config = override(load_recipe(terms.recipe or default_recipe(dataset)), {"device": terms.device})
    if terms.classes not in (None, len(dataset.class_names)):
        raise UsageError(
            f"--classes {terms.classes}: {dataset.name} has {len(dataset.class_names)}; leave it out"
        )
    given = conditions(terms.device, terms.runtime, terms.batch, len(dataset.class_names))
    time = None if limits.max_train_minutes is None else TrainingTime(dataset, config)
    return Question(base, terms.coefficients, spec_changes(config) | fixed, limits, given, time)
