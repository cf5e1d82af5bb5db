"""What a training leaves behind: the model file, the record of the run, pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from effnet import config as configuration
from effnet import modelfile
from effnet.config import TrainConfig
from effnet.data.datasets import DataSet
from effnet.device import environment
from effnet.evaluation import report
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.metrics import Evaluation
from effnet.modelfile import ModelHeader
from effnet.training.folder import MODEL_FILE
from effnet.training.loop import Best
from effnet.training.parts import Parts
from effnet.training.reporter import EpochRecord


@dataclass(frozen=True)
class TrainResult:
    """The outcome of a training."""

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


def describe(parts: Parts, config: TrainConfig) -> ModelHeader:
    """Build the header of the model file, without results; the configuration is that of the end."""
    dataset, splits = parts.dataset, parts.splits
    training = {
        "data": dataset.name,
        "fingerprint": dataset.fingerprint(),
        "num_images": {"train": len(splits.train), "val": len(splits.val)},
        "config": configuration.to_dict(config),
        "environment": environment(parts.device),
    }
    if parts.sizing:
        training["sizing"] = dict(parts.sizing)
    return ModelHeader(parts.spec, parts.preprocess, dataset.class_names, training, split=splits.drawn)


def save_model(path: Path, header: ModelHeader, best: Best) -> None:
    """Write the model file with the best weights."""
    modelfile.save(path, header, {name: tensor.numpy() for name, tensor in best.weights.items()})


def write_results(result: TrainResult, records: Sequence[EpochRecord], dataset: DataSet) -> None:
    """Write the metrics into the model file, then the pictures."""
    best = result.best
    kept = {"top1": best.val_top1, "loss": best.val_loss, "epoch": best.epoch}
    tested = {result.evaluation.split: result.evaluation.summary()}
    metrics: dict[str, Any] = {
        **tested,
        "val": {**tested.get("val", {}), **kept},
        "epochs": len(records),
        "steps": records[-1].step,
        "seconds": round(result.seconds, 1),
    }
    save_model(result.model_path, replace(result.classifier.header, metrics=metrics), best)
    report.draw_curves([record.to_dict() for record in records], result.folder / "curves.png")
    report.draw_confusion(result.evaluation, result.folder / "confusion.png")
    report.draw_examples(result.classifier, dataset, result.folder)
