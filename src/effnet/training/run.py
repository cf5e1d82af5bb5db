"""One training, from a data set's name to a model file: what `effnet train` does."""

from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from effnet import config as configuration
from effnet import modelfile
from effnet.config import TrainConfig
from effnet.data.augment import Augment
from effnet.data.datasets import DataSet, Samples, open_dataset
from effnet.data.loaders import EvalLoader, Pixels, TrainLoader, read_pixels
from effnet.data.splits import Splits, split
from effnet.device import pick_device, to_device
from effnet.errors import UsageError
from effnet.evaluation import report
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.metrics import Evaluation
from effnet.imaging.preprocess import Preprocess
from effnet.modelfile import ModelHeader
from effnet.network.model import ConvNet
from effnet.spec.netspec import NetSpec
from effnet.training.loop import Best, Trainer
from effnet.training.record import MetricsLog, environment
from effnet.training.reporter import EpochRecord, Reporter, Silent, StepRecord
from effnet.training.setup import build_preprocess, build_spec, default_recipe

MODEL_FILE = "model.safetensors"
FORECAST_AFTER = 5.0  # seconds
LONG_HOURS = 1.0


@dataclass(frozen=True)
class TrainResult:
    """What a training leaves: a folder with the model file, the record of the run and pictures."""

    folder: Path
    classifier: Classifier
    best: Best
    evaluation: Evaluation
    """On the test part, read once, at the end; on the validation part when there is no test part."""
    seconds: float

    @property
    def model_path(self) -> Path:
        """The model file."""
        return self.folder / MODEL_FILE

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "model": str(self.model_path),
            "seconds": round(self.seconds, 1),
            "best_epoch": self.best.epoch,
            "averaged_weights": self.best.averaged,
            "val_top1": self.best.val_top1,
            "result": self.evaluation.to_dict(),
        }


def train(
    data: str | Path,
    *,
    out: str | Path | None = None,
    recipe: str | None = None,
    overwrite: bool = False,
    reporter: Reporter | None = None,
    **settings: Any,
) -> TrainResult:
    """Train a network on a data set and write a model file.

    Args:
        data: a name (`digits`) or a folder of images.
        out: folder for the results; `runs/<name of the data>` when not given.
        recipe: name or `.toml` path of the recipe to start from; chosen by the data when not given.
        overwrite: replace a finished run in `out`.
        reporter: told of the progress; without one nothing is printed.
        settings: fields of the recipe, nested ones as dicts: `epochs=5, optim={"lr": 0.1}`.

    Raises:
        UsageError: unknown name or key, bad value, or `out` already holds a run.
        DataError: the data cannot be used; names the folder or the images.

    """
    dataset = open_dataset(data)
    chosen = configuration.load_recipe(recipe or default_recipe(dataset))
    config = configuration.override(chosen, settings)
    return run(dataset, config, run_folder(dataset, out, overwrite), reporter or Silent())


def run_folder(dataset: DataSet, out: str | Path | None, overwrite: bool) -> Path:
    """Return the folder of a run; never one that already holds a run, unless told so."""
    folder = Path(out) if out is not None else Path("runs") / dataset.name
    if (folder / MODEL_FILE).exists() and not overwrite:
        raise UsageError(f"{folder} already holds a run; choose another --out, or --overwrite to replace it")
    return folder


def run(dataset: DataSet, config: TrainConfig, folder: Path, reporter: Reporter) -> TrainResult:
    """Train with a finished configuration; see `train`."""
    started = perf_counter()
    spec = build_spec(config)
    preprocess = build_preprocess(config, spec)
    device = pick_device(config.device)
    splits = split(dataset, config.data, config.seed)
    log = MetricsLog(folder)
    announce(reporter, dataset, spec, splits)

    train_pixels = _read(splits.train, "train", preprocess, config, reporter).to(device)
    val_pixels = _read(splits.val, "val", preprocess, config, reporter).to(device)
    loader = TrainLoader(train_pixels, Augment(config.augment, preprocess), config.batch_size, config.seed)
    torch.manual_seed(config.seed)
    network = to_device(ConvNet(spec, len(dataset.class_names)), device)
    trainer = Trainer(network, loader, EvalLoader(val_pixels, preprocess, config.batch_size), config)

    def on_epoch(record: EpochRecord) -> None:
        log.append(record)
        reporter.epoch(record)

    best = trainer.fit(Forecast(reporter).step, on_epoch)
    network.load_state_dict(best.weights)
    header = describe(dataset, config, (spec, preprocess), splits)
    save_model(folder / MODEL_FILE, header, best)  # whatever happens to the test part, the weights are safe
    classifier = Classifier(header, network, device)
    evaluation = classifier.evaluate(dataset, max_broken=config.data.max_broken)
    result = TrainResult(folder, classifier, best, evaluation, perf_counter() - started)
    write_results(result, log, dataset)
    return result


def save_model(path: Path, header: ModelHeader, best: Best) -> None:
    """Write the model file with the best weights."""
    modelfile.save(path, header, {name: tensor.numpy() for name, tensor in best.weights.items()})


class Forecast:
    """Passes steps on, and says once how long the training will take if that is long."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.started = perf_counter()
        self.first_step: int | None = None

    def step(self, record: StepRecord) -> None:
        """Pass a record on; after a few seconds, judge by the steps since the first one."""
        self.reporter.step(record)
        if self.first_step is None:  # what came before it is warming up
            self.first_step, self.started = record.step, perf_counter()
        elapsed, done = perf_counter() - self.started, record.step - self.first_step
        if self.started < float("inf") and elapsed > FORECAST_AFTER and done > 0:
            self._warn((record.total_steps - record.step) * elapsed / done / 3600)
            self.started = float("inf")  # once is enough

    def _warn(self, hours: float) -> None:
        if hours > LONG_HOURS:
            self.reporter.message(
                f"warning: this will take about {hours:.1f} hours here; for less, take fewer --epochs or a "
                f"smaller network: each unit of --phi below 0 about halves its cost"
            )


def announce(reporter: Reporter, dataset: DataSet, spec: NetSpec, splits: Splits) -> None:
    """Say what is about to happen, and warn where experience says it will disappoint."""
    test = f"{len(splits.test):,} to test" if splits.test else "no test part"
    reporter.message(
        f"{dataset.name}: {len(dataset.class_names)} classes, {len(splits.train):,} images to train on, "
        f"{len(splits.val):,} to choose by, {test}"
    )
    reporter.message(f"network {spec.name} at {spec.resolution}×{spec.resolution} pixels")
    if spec.feature_size < 3 and spec.total_stride > 8:
        reporter.message(
            f"warning: the last feature map has only {spec.feature_size}×{spec.feature_size} cells "
            f"(total stride {spec.total_stride}); for small images take a -cifar network"
        )


def _read(
    samples: Samples, part: str, preprocess: Preprocess, config: TrainConfig, reporter: Reporter
) -> Pixels:
    """Decode a part of the data; training images keep the border that random crops need."""
    pixels = read_pixels(
        samples,
        preprocess,
        side=preprocess.resized_short_side if part == "train" else preprocess.resolution,
        max_broken=config.data.max_broken,
        on_read=lambda done, total: reporter.reading(part, done, total),
    )
    for problem in pixels.broken:
        reporter.message(f"skipped: {problem}")
    return pixels


def describe(
    dataset: DataSet, config: TrainConfig, built: tuple[NetSpec, Preprocess], splits: Splits
) -> ModelHeader:
    """Build the header of the model file, without results."""
    spec, preprocess = built
    training = {
        "data": dataset.name,
        "num_images": {"train": len(splits.train), "val": len(splits.val)},
        "config": configuration.to_dict(config),
        "environment": environment(pick_device(config.device)),
    }
    return ModelHeader(spec, preprocess, dataset.class_names, training, split=splits.drawn)


def write_results(result: TrainResult, log: MetricsLog, dataset: DataSet) -> None:
    """Write the metrics into the model file, then the pictures."""
    metrics = {
        "val": {"top1": result.best.val_top1, "loss": result.best.val_loss, "epoch": result.best.epoch},
        result.evaluation.split: result.evaluation.summary(),
        "seconds": round(result.seconds, 1),
    }
    save_model(result.model_path, replace(result.classifier.header, metrics=metrics), result.best)
    report.draw_curves([record.to_dict() for record in log.records], result.folder / "curves.png")
    report.draw_confusion(result.evaluation, result.folder / "confusion.png")
    report.draw_examples(result.classifier, dataset, result.folder)
