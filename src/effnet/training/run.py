"""One training, from a data set's name to a model file: what `effnet train` does."""

from dataclasses import replace
from pathlib import Path
from time import perf_counter

from effnet import config as configuration
from effnet.config import TrainConfig
from effnet.data.datasets import DataSet, open_dataset
from effnet.data.pixels import skipped
from effnet.device import kept_memory
from effnet.errors import DataError
from effnet.evaluation.classifier import Classifier
from effnet.network.model import ConvNet
from effnet.spec import netspec
from effnet.training import state as states
from effnet.training.fitting import Job, fit
from effnet.training.folder import MODEL_FILE, locked
from effnet.training.loop import Trainer
from effnet.training.parts import Parts, assemble
from effnet.training.reporter import Reporter, Silent
from effnet.training.results import TrainResult, describe, save_model, write_results
from effnet.training.state import State


def resume(folder: str | Path, *, reporter: Reporter | None = None) -> TrainResult:
    """Go on with an interrupted training exactly where its last state was saved.

    On a CPU, weights and metrics come out bit for bit as if it had never stopped.

    Raises:
        StateError: the folder holds no unfinished training, or both saved states are damaged.
        DataError: the data set is not the one that the training began with, or other images are unreadable.

    """
    place, listener = Path(folder), reporter or Silent()
    state, problem = states.load(place)
    if problem is not None:
        listener.message(f"warning: {problem}")
    config = configuration.from_dict(state.info["config"], origin=f"state in {place}")
    dataset = open_dataset(state.info["source"], on_download=listener.downloading)
    if dataset.fingerprint() != state.info["fingerprint"]:
        raise DataError(
            f"{state.info['source']} has other images or classes than when the training in {place} began; "
            f"bring the old ones back, or train anew with another --out"
        )
    return run(dataset, config, place, listener, state)


def run(
    dataset: DataSet, config: TrainConfig, folder: Path, reporter: Reporter, state: State | None = None
) -> TrainResult:
    """Train with a finished configuration, from the start or from a state."""
    started = perf_counter()
    if state is None:
        return run_parts(assemble(dataset, config), folder, reporter, started)
    parts = assemble(dataset, config, netspec.from_dict(state.info["spec"]))
    parts = replace(parts, sizing=state.info.get("sizing", {}))
    return run_parts(parts, folder, reporter, started - state.info["seconds"], state)


def run_parts(
    parts: Parts, folder: Path, reporter: Reporter, started: float, state: State | None = None
) -> TrainResult:
    """Train what was put together, from the start or from a state; `started` is as in `Job`."""
    num_test = len(parts.splits.test or parts.splits.val)
    job = Job(parts, folder, reporter, started, num_test)
    with locked(folder), kept_memory(parts.device):
        if state is None:
            states.remove(folder)  # `overwrite` was said, or there is none
        trainer = fit(job, state)
        result = finish(trainer, job)
        states.remove(folder)
        return result


def finish(trainer: Trainer, job: Job) -> TrainResult:
    """Save the best weights, then read the test part for the first and only time."""
    best, parts, reporter = trainer.best, job.parts, job.reporter
    assert best is not None  # a finished training has at least one epoch
    header = describe(parts, trainer.config)
    save_model(job.folder / MODEL_FILE, header, best)  # whatever becomes of the test part, weights are safe
    network = ConvNet(parts.spec, len(parts.dataset.class_names))
    network.load_state_dict(best.weights)
    classifier = Classifier(header, network, parts.device)
    named = set(map(skipped, trainer.val.pixels.broken))  # it may be the part tested
    evaluation = classifier.evaluate(
        parts.dataset, say=lambda text: None if text in named else reporter.message(text)
    )
    result = TrainResult(job.folder, classifier, best, evaluation, perf_counter() - job.started)
    write_results(result, trainer.records, parts.dataset)
    return result
