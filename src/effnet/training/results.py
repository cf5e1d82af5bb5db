"""What a training leaves behind: the model file, the record of the run, pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from effnet import config as configuration
from effnet import modelfile
from effnet.data.datasets import DataSet
from effnet.data.hub_library import is_remote
from effnet.data.sharded.remote import is_url
from effnet.device import environment
from effnet.evaluation import report
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.metrics import Evaluation
from effnet.modelfile import ModelHeader
from effnet.training.folder import MODEL_FILE
from effnet.training.folds import CrossValidation
from effnet.training.kept import Best
from effnet.training.loop import Trainer
from effnet.training.parts import Parts
from effnet.training.regression import Regression


@dataclass(frozen=True)
class TrainResult:
    """The outcome of a training."""

    folder: Path
    classifier: Classifier
    """As `effnet.load` returns it from the model file."""
    best: Best
    evaluation: Evaluation
    """On the test part, read once, at the end; on the validation part when there is no test part."""
    seconds: float
    regression: Regression | None = None
    """What `--probe` found; None where a network was trained."""
    folds: CrossValidation | None = None
    """What `--folds` found before this training."""

    @property
    def model_path(self) -> Path:
        """The model file."""
        return self.folder / MODEL_FILE

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "model": str(self.model_path),
            "seconds": round(self.seconds, 1),
            **self.kept,
            "val_top1": self.best.val_top1,
            "val_interval": list(self.best.val_interval),
            "result": self.evaluation.to_dict(),
            **({} if self.folds is None else {"folds": self.folds.to_dict()}),
        }

    @property
    def kept(self) -> dict[str, Any]:
        """Which weights were kept, as JSON values."""
        if self.regression is not None:
            return {"probe": self.regression.to_dict()}
        return {"best_epoch": self.best.epoch, "averaged_weights": self.best.averaged}


def describe(parts: Parts, trainer: Trainer) -> ModelHeader:
    """Build the header of the model file, without results; the configuration is that of the end."""
    sources = {"train": trainer.train.pixels, "val": trainer.val.pixels}
    counts = {part: len(pixels.names) for part, pixels in sources.items()}
    return header_of(parts, record_of(replace(parts, config=trainer.config), counts))


def header_of(parts: Parts, training: Mapping[str, Any]) -> ModelHeader:
    """Return the header of a model file with a training record."""
    names = parts.dataset.class_names
    return ModelHeader(parts.spec, parts.preprocess, names, training, split=parts.splits.drawn)


def record_of(parts: Parts, counts: Mapping[str, int]) -> dict[str, Any]:
    """Return the training record of a model file; `counts` are the images of each part that were read."""
    record = {
        "data": parts.dataset.name,
        "fingerprint": parts.dataset.fingerprint(),
        "num_images": dict(counts),
        "config": configuration.to_dict(parts.config),
        "environment": environment(parts.device),
    }
    if is_remote(parts.dataset.source) or is_url(parts.dataset.source):
        record["source"] = parts.dataset.source  # with its revision
    if parts.sizing:
        record["sizing"] = dict(parts.sizing)
    return {**record, **parts.ancestry}


def save_model(path: Path, header: ModelHeader, best: Best) -> None:
    """Write the model file with the best weights."""
    modelfile.save(path, header, {name: tensor.numpy() for name, tensor in best.weights.items()})


def metrics_of(trainer: Trainer, seconds: float, evaluation: Evaluation | None) -> dict[str, Any]:
    """Return what was measured: of the epoch kept, in training; of the part tested, if it was, at the end."""
    best, records = trainer.best, trainer.records
    assert best is not None  # a finished training has at least one epoch
    tested = {} if evaluation is None else {evaluation.split: evaluation.summary()}
    return {
        **tested,
        "chosen": {"epoch": best.epoch, "top1": best.val_top1, "loss": best.val_loss},
        "epochs": len(records),
        "steps": records[-1].step,
        "skipped_steps": trainer.guard.skipped,
        "seconds": round(seconds, 1),
    }


def draw_pictures(result: TrainResult, dataset: DataSet) -> None:
    """Draw what was measured at the end, and some images with their answers."""
    report.draw_confusion(result.evaluation, result.folder / "confusion.png")
    report.draw_examples(result.classifier, dataset, result.folder)
