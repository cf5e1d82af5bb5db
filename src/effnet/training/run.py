"""One training, from a data set's name to a model file: what `effnet train` does."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from types import MappingProxyType
from typing import Any

from effnet import config as configuration
from effnet.config import TrainConfig
from effnet.data.broken import skipped
from effnet.data.datasets import DataSet, open_dataset
from effnet.device import kept_memory
from effnet.errors import DataError
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.metrics import Evaluation
from effnet.evaluation.report import draw_curves
from effnet.modelfile import ModelHeader
from effnet.network.model import ConvNet
from effnet.spec import netspec
from effnet.training import state as states
from effnet.training.fitting import Job, fit
from effnet.training.folder import MODEL_FILE, locked
from effnet.training.joining import current, shared
from effnet.training.loop import Trainer
from effnet.training.origins import describe as describe_origins
from effnet.training.origins import keep_teacher, kept_teacher
from effnet.training.parts import Parts, assemble
from effnet.training.reporter import Reporter, Silent
from effnet.training.results import TrainResult, describe, draw_pictures, metrics_of, save_model
from effnet.training.state import State

NOTHING: Mapping[str, Any] = MappingProxyType({})


def resume(
    folder: str | Path, *, reporter: Reporter | None = None, changed: Mapping[str, Any] = NOTHING
) -> TrainResult:
    """Go on with an interrupted training exactly where its last state was saved, with `changed` settings.

    On a CPU, weights and metrics come out bit for bit as if it had never stopped.

    Raises:
        StateError: the folder holds no unfinished training, or both saved states are damaged.
        DataError: the data set is not the one that the training began with, or other images are unreadable.

    """
    place, listener = Path(folder), reporter or Silent()
    state, problem = current().from_first(lambda: states.load(place))
    if problem is not None:
        listener.message(f"warning: {problem}")
    config = configuration.from_dict({**state.info["config"], **changed}, origin=f"state in {place}")
    dataset = open_dataset(state.info["source"], on_download=listener.downloading)
    check_same_data(dataset, state.info, place)
    return go_on(dataset, config, place, listener, state)


def check_same_data(dataset: DataSet, info: Mapping[str, Any], place: Path) -> None:
    """Make sure that a data set is the one that a run began with; `info` is what the run wrote of it.

    Raises:
        DataError: it has other images or classes.

    """
    if dataset.fingerprint() != info["fingerprint"]:
        raise DataError(
            f"{info['source']} has other images or classes than when the training in {place} began; "
            f"bring the old ones back, or train anew with another --out"
        )


def go_on(
    dataset: DataSet, config: TrainConfig, folder: Path, reporter: Reporter, state: State
) -> TrainResult:
    """Train from a state; it may come from another number of processes."""
    started, info = perf_counter(), state.info
    ancestry = info.get("ancestry", {})
    parts = assemble(dataset, config, netspec.from_dict(info["spec"]))
    teacher = kept_teacher(ancestry, folder)
    parts = replace(parts, sizing=info.get("sizing", {}), ancestry=ancestry, teacher=teacher)
    parts = replace(parts, asked=info.get("asked", {}))
    return run_parts(parts, folder, reporter, started - info["seconds"], state)


def run_parts(
    parts: Parts, folder: Path, reporter: Reporter, started: float, state: State | None = None
) -> TrainResult:
    """Train what was put together, from the start or from a state; `started` is as in `Job`.

    Where several processes share it, the first one does all that is not the loop itself.
    """
    parts = shared(parts)
    group, num_test = parts.group, len(parts.splits.test or parts.splits.val)
    job = Job(parts, folder, reporter, started, num_test)
    with locked(folder) if group.is_first else nullcontext(), kept_memory(parts.device):
        if group.is_first and state is None:
            states.remove(folder)  # `overwrite` was said, or there is none
            keep_teacher(parts.teacher, folder)
        elif group.is_first:
            states.set_damaged_aside(folder)
        for line in describe_origins(parts.ancestry, parts.spec):
            reporter.message(line)
        with group.watched():
            trainer = fit(job, state)
        group.dismiss()
        return finish(trainer, job)


def finish(trainer: Trainer, job: Job) -> TrainResult:
    """Save the best weights, then read the test part for the first and only time.

    Raises:
        DataError: too many images of the part to test are unreadable. The training is finished all the same.

    """
    best, parts, path = trainer.best, job.parts, job.folder / MODEL_FILE
    assert best is not None  # a finished training has at least one epoch
    header = describe(parts, trainer)
    save_model(path, header, best)  # whatever becomes of the test part, weights are safe
    network = ConvNet(parts.spec, len(parts.dataset.class_names))
    network.load_state_dict(best.weights)
    try:
        evaluation = evaluate(Classifier(header, network, parts.device), trainer, job)
    except DataError as error:
        write_results(trainer, job, header, None)
        states.remove(job.folder)
        raise type(error)(
            f"{error}; the trained weights are in {path}: measure them with effnet evaluate"
        ) from error
    header, seconds = write_results(trainer, job, header, evaluation)
    classifier = Classifier(header, network, parts.device, path)
    result = TrainResult(job.folder, classifier, best, evaluation, seconds)
    draw_pictures(result, parts.dataset)
    states.remove(job.folder)
    return result


def evaluate(classifier: Classifier, trainer: Trainer, job: Job) -> Evaluation:
    """Evaluate what was trained; images that were named as unreadable before are not named again."""
    named = set(map(skipped, trainer.val.pixels.broken))  # it may be the part tested
    return classifier.evaluate(
        job.parts.dataset, say=lambda text: None if text in named else job.reporter.message(text)
    )


def write_results(
    trainer: Trainer, job: Job, header: ModelHeader, evaluation: Evaluation | None
) -> tuple[ModelHeader, float]:
    """Write the metrics into the model file, and the curves; return the final header and the time taken."""
    assert trainer.best is not None
    seconds = perf_counter() - job.started
    final = replace(header, metrics=metrics_of(trainer, seconds, evaluation))
    save_model(job.folder / MODEL_FILE, final, trainer.best)
    draw_curves([record.to_dict() for record in trainer.records], job.folder / "curves.png")
    return final, seconds
