"""A training whose network is chosen by a budget: `effnet train DATA --max-latency-ms 5`."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from effnet import config as configuration
from effnet.config import TrainConfig
from effnet.data.datasets import DataSet, open_dataset
from effnet.data.splits import split
from effnet.errors import UsageError
from effnet.sizing.budget.latency import conditions
from effnet.sizing.budget.limits import LIMIT_NAMES, MINUTES, Limits, read_limits
from effnet.sizing.budget.question import Question, answer
from effnet.sizing.budget.sized import Sized
from effnet.sizing.budget.training_time import TrainingTime
from effnet.spec.families import get_spec
from effnet.training.begun import begun, free, request
from effnet.training.crossing import Crossing, cross_validate
from effnet.training.folder import run_folder
from effnet.training.group import ALONE
from effnet.training.joining import current
from effnet.training.linear_probe import run_probe
from effnet.training.order import ORDER_NAMES, Order, Undertaking, defaults, undertake
from effnet.training.origins import build_on, leak
from effnet.training.parts import Parts
from effnet.training.reporter import Reporter, Silent
from effnet.training.results import TrainResult
from effnet.training.resuming import go_on
from effnet.training.run import run_parts
from effnet.training.setup import spec_changes


def train(
    data: str | Path,
    /,
    *,
    out: str | Path | None = None,
    recipe: str | Path | None = None,
    overwrite: bool = False,
    reporter: Reporter | None = None,
    **settings: Any,
) -> TrainResult:
    """Train a network on a data set and write a model file.

    It seeds torch's global random generator: one training at a time in a process, or none is repeatable.

    Args:
        data: a name (`digits`, `cifar10`, `cifar100`) or a folder of images.
        out: folder for the results; `runs/<name of the data>` when not given.
        recipe: name or `.toml` path of the recipe to start from; chosen by the data when not given.
        overwrite: replace a run in `out`.
        reporter: told of the progress; without one nothing is printed.
        settings: fields of the recipe, nested ones as dicts: `epochs=5, data={"storage": "stream"}`;
            limits as `budget` takes them, `max_latency_ms=5`: they choose φ; and what `Order` has:
            `source="model.safetensors"` to begin with its weights (`--from`), `teacher`, `probe`, `folds`.

    Raises:
        UsageError: unknown name or key, bad value, or `out` already holds a run.
        DataError: the data cannot be used; names the folder or the images.
        EffnetError: not even the smallest network keeps the limits.
        InterruptedTrainingError: stopped by a signal; `resume` goes on exactly there.

    """
    limits = read_limits(taken(settings, LIMIT_NAMES))
    if "phi" in settings:
        refuse_phi(limits)
    asked = undertake(Order(**taken(settings, ORDER_NAMES)), settings, limits.words())
    listener = reporter or Silent()
    dataset = open_dataset(data, on_download=listener.downloading)
    _, chosen = defaults(dataset, None if recipe is None else str(recipe), asked.origins.source)
    config = configuration.override(chosen, settings)
    training = Training(dataset, config, limits, asked, overwrite)
    return run(training, run_folder(dataset, out, overwrite), listener)


def taken(settings: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Take settings of these names out of others."""
    return {name: settings.pop(name) for name in names if name in settings}


@dataclass(frozen=True)
class Training:
    """All that decides a training."""

    dataset: DataSet
    config: TrainConfig
    limits: Limits
    asked: Undertaking
    overwrite: bool = False
    """Whether a training that the folder holds is replaced, even if it is this one."""

    @property
    def request(self) -> dict[str, Any]:
        """What is asked for, to be told from what another command asks for."""
        limits = self.limits.to_dict()
        return request(self.dataset.source, self.config, self.asked.order, limits)


def run(training: Training, folder: Path, reporter: Reporter) -> TrainResult:
    """Train as configured, after a cross-validation if that was asked for; go on if it was begun before."""
    started, order, asked = perf_counter(), training.asked.order, training.request
    refuse_alone(training)
    if not training.overwrite and current().from_first(lambda: begun(folder, asked)):
        reporter.message(f"{folder} holds this training, begun before: going on with it")
        return go_on(folder, reporter, free(training.config))
    parts = replace(prepare(training, reporter), asked=asked)
    warn(parts, training.asked, reporter)
    if order.folds is not None:
        source = training.asked.origins.source
        crossing = Crossing(parts, order.folds, order.probe, folder, reporter)
        return cross_validate(crossing, None if source is None else source.classifier.path)
    return (run_probe if order.probe else run_parts)(parts, folder, reporter, started)


def refuse_alone(training: Training) -> None:
    """Refuse what one process does alone, if there are several.

    Raises:
        UsageError: cross-validation, a probe, or limits that are measured.

    """
    order = training.asked.order
    measured = [kind.flag for kind in training.limits.given if kind.measured]
    alone = [
        *(["--folds (train one with --data.fold 1/5, …)"] if order.folds is not None else []),
        *(["--probe"] if order.probe else []),
        *(f"{flag} (effnet budget finds the network)" for flag in measured),
    ]
    if alone and current() is not ALONE:
        raise UsageError(f"{alone[0]} and several processes exclude each other: it takes one process")


def warn(parts: Parts, asked: Undertaking, reporter: Reporter) -> None:
    """Say where results will be too good: the model to build on has seen what is held out now."""
    leaks = [parts]
    if asked.order.folds is not None:
        data = replace(parts.config.data, fold=f"1/{asked.order.folds}")
        leaks.append(replace(parts, splits=split(parts.dataset, data, parts.config.seed)))
    found = [text for each in leaks if (text := leak(each, asked.origins)) is not None]
    for text in found[:1]:
        reporter.message(text)


def prepare(training: Training, reporter: Reporter) -> Parts:
    """Put together a training of the configured network or, with limits, of the largest one of its family."""
    dataset, config, limits = training.dataset, training.config, training.limits
    if not limits.given:
        return build_on(dataset, config, training.asked.origins)
    sized = size(dataset, config, limits, reporter)
    reporter.message(sized.words())
    parts = build_on(dataset, replace(config, phi=sized.phi), training.asked.origins)
    return replace(parts, sizing=sized.record())


def refuse_phi(limits: Limits) -> None:
    """Refuse limits beside a φ that was asked for; one that the recipe has gives way to them.

    Raises:
        UsageError: there are limits.

    """
    if limits.given:
        raise UsageError(f"--phi and {limits.words()} exclude each other: the limits choose phi")


def size(dataset: DataSet, config: TrainConfig, limits: Limits, reporter: Reporter) -> Sized:
    """Find the largest network of the configuration's family that keeps the limits, for one image at a time.

    Raises:
        UsageError: the limits contradict the configuration.
        EffnetError: not even the smallest network keeps the limits.

    """
    minutes, most = limits.max_train_minutes, config.max_minutes
    if minutes is not None and most is not None and minutes > most:
        raise UsageError(
            f"{MINUTES.flag} {minutes:g} and max_minutes = {most:g} contradict each other: the training "
            f"would be cut before its end; leave one out"
        )
    question = Question(
        base=get_spec(config.model),
        coefficients=config.coefficients,
        changes=spec_changes(config),
        limits=limits,
        conditions=conditions(config.device, "torch", 1, len(dataset.class_names)),
        training=None if minutes is None else TrainingTime(dataset, config),
    )
    return answer(question, reporter, around=False)
