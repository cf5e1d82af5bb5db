"""What a training leaves behind: the model file, the record of the run, pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effnet import config as configuration
from effnet import modelfile
from effnet.data.datasets import DataSet
from effnet.data.hub_library import is_remote
from effnet.device import environment
from effnet.evaluation import report
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.metrics import Evaluation
from effnet.modelfile import ModelHeader
from effnet.training.folder import MODEL_FILE
from effnet.training.kept import Best
from effnet.training.loop import Trainer
from effnet.training.parts import Parts


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
            "val_interval": list(self.best.val_interval),
            "result": self.evaluation.to_dict(),
        }


def describe(parts: Parts, trainer: Trainer) -> ModelHeader:
    """Build the header of the model file, without results; the configuration is that of the end."""
    dataset = parts.dataset
    sources = {"train": trainer.train.pixels, "val": trainer.val.pixels}
    training = {
        "data": dataset.name,
        "fingerprint": dataset.fingerprint(),
        "num_images": {part: len(pixels.names) for part, pixels in sources.items()},
        "config": configuration.to_dict(trainer.config),
        "environment": environment(parts.device),
    }
    if is_remote(dataset.source):
        training["source"] = dataset.source  # with its revision
    if parts.sizing:
        training["sizing"] = dict(parts.sizing)
    return ModelHeader(parts.spec, parts.preprocess, dataset.class_names, training, split=parts.splits.drawn)


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
        "seconds": round(seconds, 1),
    }


def draw_pictures(result: TrainResult, dataset: DataSet) -> None:
    """Draw what was measured at the end, and some images with their answers."""
    report.draw_confusion(result.evaluation, result.folder / "confusion.png")
    report.draw_examples(result.classifier, dataset, result.folder)
