"""One training, from a data set's name to a model file: what `effnet train` does."""

from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from effnet import config as configuration
from effnet.config import TrainConfig
from effnet.data.augment import Augment
from effnet.data.datasets import DataSet, Samples, open_dataset
from effnet.data.loaders import LOADERS, EvalLoader
from effnet.data.mixing import Mix
from effnet.data.pixels import PixelFormat, PixelSource, Reading, skipped
from effnet.data.splits import Splits, absent_classes, split
from effnet.data.storage import open_pixels
from effnet.data.stream import released
from effnet.device import kept_memory, pick_device, to_device
from effnet.errors import DataError, some
from effnet.evaluation.classifier import Classifier
from effnet.imaging.preprocess import Preprocess
from effnet.network.model import ConvNet
from effnet.spec import netspec
from effnet.spec.netspec import NetSpec
from effnet.training import state as states
from effnet.training.compute import announce_compute, choose
from effnet.training.duration import decode_seconds, limit
from effnet.training.duration import describe as describe_limit
from effnet.training.folder import MODEL_FILE, locked, run_folder
from effnet.training.forecast import Forecast
from effnet.training.interrupt import Checkpointer, Interrupts
from effnet.training.loop import Trainer
from effnet.training.memory import MemoryGuard
from effnet.training.record import MetricsLog
from effnet.training.reporter import EpochRecord, Reporter, Silent
from effnet.training.results import TrainResult, describe, save_model, write_results
from effnet.training.setup import build_preprocess, build_spec, check, default_recipe
from effnet.training.snapshot import restore
from effnet.training.state import State


def train(
    data: str | Path,
    /,  # so that `data` among the settings is the recipe's part of that name
    *,
    out: str | Path | None = None,
    recipe: str | None = None,
    overwrite: bool = False,
    reporter: Reporter | None = None,
    **settings: Any,
) -> TrainResult:
    """Train a network on a data set and write a model file.

    Args:
        data: a name (`digits`, `cifar10`, `cifar100`) or a folder of images.
        out: folder for the results; `runs/<name of the data>` when not given.
        recipe: name or `.toml` path of the recipe to start from; chosen by the data when not given.
        overwrite: replace a run in `out`.
        reporter: told of the progress; without one nothing is printed.
        settings: fields of the recipe, nested ones as dicts: `epochs=5, data={"storage": "stream"}`.

    Raises:
        UsageError: unknown name or key, bad value, or `out` already holds a run.
        DataError: the data cannot be used; names the folder or the images.
        InterruptedTrainingError: stopped by a signal; `resume` goes on exactly there.

    """
    listener = reporter or Silent()
    dataset = open_dataset(data, on_download=listener.downloading)
    chosen = configuration.load_recipe(recipe or default_recipe(dataset))
    config = configuration.override(chosen, settings)
    return run(dataset, config, run_folder(dataset, out, overwrite), listener)


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


@dataclass(frozen=True)
class Parts:
    """The values that a training is made of."""

    dataset: DataSet
    config: TrainConfig
    spec: NetSpec
    preprocess: Preprocess
    splits: Splits
    device: torch.device


def run(
    dataset: DataSet, config: TrainConfig, folder: Path, reporter: Reporter, state: State | None = None
) -> TrainResult:
    """Train with a finished configuration, from the start or from a state."""
    started = perf_counter() - (0.0 if state is None else state.info["seconds"])
    spec = build_spec(config) if state is None else netspec.from_dict(state.info["spec"])
    check(config)
    preprocess, splits = build_preprocess(config, spec), split(dataset, config.data, config.seed)
    parts = Parts(dataset, config, spec, preprocess, splits, pick_device(config.device))
    with locked(folder), kept_memory(parts.device):
        if state is None:
            states.remove(folder)  # `overwrite` was said, or there is none
        announce(reporter, parts, state)
        trainer = build_trainer(parts, reporter)
        announce_compute(reporter, trainer.compute, None if state is None else state.info.get("compute"))
        with released(trainer.train.pixels, trainer.val.pixels), MemoryGuard(trainer, folder) as guard:
            parts = replace(parts, config=guard.prepare(reporter, may_choose=state is None))
            if state is not None:
                restore(trainer, state)
            elif config.max_minutes is not None:
                read_seconds = decode_seconds(splits.val, PixelFormat(preprocess, spec.resolution))
                num_test = len(splits.test or splits.val)
                limit(trainer, started, config.max_minutes, num_test=num_test, read_seconds=read_seconds)
                reporter.message(describe_limit(trainer.horizon, config.max_minutes))
            fit(trainer, parts, folder, reporter, started)
        result = finish(trainer, parts, folder, reporter, started)
        states.remove(folder)
        return result


def announce(reporter: Reporter, parts: Parts, state: State | None) -> None:
    """Say what is about to happen, and warn where experience says it will disappoint."""
    spec, splits, dataset = parts.spec, parts.splits, parts.dataset
    test = f"{len(splits.test):,} to test" if splits.test else "no test part"
    reporter.message(
        f"{dataset.name}: {len(dataset.class_names)} classes, {len(splits.train):,} images to train on, "
        f"{len(splits.val):,} to choose by, {test}"
    )
    reporter.message(
        f"network {spec.name} at {spec.resolution}×{spec.resolution} pixels on {parts.device.type}"
    )
    if state is not None:
        reporter.message(f"going on after step {state.info['step']}")
    for part, names in absent_classes(splits, dataset.class_names).items():
        reporter.message(f"warning: {part} has no images of {some(names)}: how well they do will not be seen")
    if spec.feature_size < 3 and spec.total_stride > 8:
        reporter.message(
            f"warning: the last feature map has only {spec.feature_size}×{spec.feature_size} cells "
            f"(total stride {spec.total_stride}); for small images take a -cifar network"
        )


def build_trainer(parts: Parts, reporter: Reporter) -> Trainer:
    """Read the images and build the network."""
    config, preprocess, device = parts.config, parts.preprocess, parts.device
    train_pixels = read(parts.splits.train, "train", parts, reporter)
    val_pixels = read(parts.splits.val, "val", parts, reporter)
    build_loader = LOADERS[config.data.balance]
    num_classes = len(parts.dataset.class_names)
    augment, mix = Augment(config.augment, preprocess), Mix(config.augment, num_classes)
    loader = build_loader(train_pixels, augment, mix, config.batch_size, config.seed)
    torch.manual_seed(config.seed)
    network = to_device(ConvNet(parts.spec, num_classes, checkpoint_stages=config.checkpoint_stages), device)
    trainer = Trainer(network, loader, EvalLoader(val_pixels, preprocess, config.batch_size), config)
    trainer.compute_by(choose(config, device))
    trainer.unread = left_out(parts.splits.train, train_pixels) + left_out(parts.splits.val, val_pixels)
    return trainer


def left_out(samples: Samples, pixels: PixelSource) -> tuple[str, ...]:
    """Return the names of the images that could not be read; in a stream they show themselves later."""
    return tuple(sorted(set(samples.names) - set(pixels.names)))


def read(samples: Samples, part: str, parts: Parts, reporter: Reporter) -> PixelSource:
    """Bring a part of the data within reach; training images keep the border that random crops need."""
    preprocess = parts.preprocess
    side = preprocess.resized_short_side if part == "train" else preprocess.resolution
    reading = Reading(
        parts.config.data,
        parts.device,
        on_read=lambda done, total: reporter.reading(part, done, total),
        say=reporter.message,
    )
    return open_pixels(samples, PixelFormat(preprocess, side), reading)


def fit(trainer: Trainer, parts: Parts, folder: Path, reporter: Reporter, started: float) -> None:
    """Run the loop, saving states; `started` is when the run began, less the time before a resume."""
    about = {
        "config": configuration.to_dict(parts.config),
        "source": parts.dataset.source,
        "fingerprint": parts.dataset.fingerprint(),
        "spec": netspec.to_dict(parts.spec),
    }
    log = MetricsLog(folder, trainer.records)

    def on_epoch(record: EpochRecord) -> None:
        log.append(record)
        reporter.epoch(record)

    with Interrupts() as interrupts:
        checkpointer = Checkpointer(
            trainer, folder, interrupts, lambda: {**about, "seconds": perf_counter() - started}
        )
        trainer.fit(Forecast(reporter).step, on_epoch, checkpoint=checkpointer)
        checkpointer.heed()


def finish(trainer: Trainer, parts: Parts, folder: Path, reporter: Reporter, started: float) -> TrainResult:
    """Save the best weights, then read the test part for the first and only time."""
    best = trainer.best
    assert best is not None  # a finished training has at least one epoch
    header = describe(parts.dataset, parts.config, (parts.spec, parts.preprocess), parts.splits)
    save_model(folder / MODEL_FILE, header, best)  # whatever happens to the test part, the weights are safe
    network = ConvNet(parts.spec, len(parts.dataset.class_names))
    network.load_state_dict(best.weights)
    classifier = Classifier(header, network, parts.device)
    named = set(map(skipped, trainer.val.pixels.broken))  # it may be the part tested
    evaluation = classifier.evaluate(
        parts.dataset, say=lambda text: None if text in named else reporter.message(text)
    )
    result = TrainResult(folder, classifier, best, evaluation, perf_counter() - started)
    write_results(result, trainer.records, parts.dataset)
    return result
