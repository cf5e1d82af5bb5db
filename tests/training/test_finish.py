"""The end of a training: what it leaves behind, and what it does where the part to test is unreadable."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import effnet
from effnet.cli.main import main
from effnet.errors import DataError
from effnet.evaluation.record import read_record
from effnet.modelfile import ModelHeader
from effnet.training import state as states
from effnet.training.results import TrainResult

SETTINGS: dict[str, Any] = {
    "recipe": "digits",
    "phi": -8.0,
    "resolution": 8,
    "epochs": 2,
    "batch_size": 8,
    "device": "cpu",
}
LONG = "猫" * 80  # 240 bytes, and a name may have 255


def draw(root: Path, *, unreadable: str) -> Path:
    """Write six images of two classes into each part; those of which the path contains a text are empty."""
    for number, part in enumerate(("train", "val", "test")):
        for place in (f"{part}/{label}/{LONG}{index}" for label in (LONG, "b") for index in range(6)):
            path = root / f"{place}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(noise).save(path)
            if unreadable in f"{place}.png":
                path.write_bytes(b"")
    return root


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """A training on images with long names, one of them unreadable."""
    folder = tmp_path_factory.mktemp("finish")
    data = draw(folder / "data", unreadable=f"train/b/{LONG}3.png")
    return effnet.train(data, out=folder / "run", **SETTINGS)


def test_long_names_end_no_training(result: TrainResult) -> None:
    assert len(list((result.folder / "examples").glob("*.png"))) == 2
    assert not states.exists(result.folder)


def test_the_classifier_returned_is_that_of_the_model_file(result: TrainResult) -> None:
    loaded = effnet.load(result.model_path)
    assert (result.classifier.header, result.classifier.path) == (loaded.header, loaded.path)
    report = effnet.write_report(
        result.evaluation,
        result.folder / "report",
        classifier=result.classifier,
        data=result.folder / "../data",
    )
    assert (report.parent / "curves.png").exists()


def test_only_images_learned_from_are_counted(result: TrainResult) -> None:
    assert result.classifier.header.training["num_images"] == {"train": 11, "val": 12}


def test_a_model_file_of_before_finds_its_record(result: TrainResult) -> None:
    header, chosen = result.classifier.header, result.classifier.header.metrics["chosen"]
    old = ModelHeader(header.spec, header.preprocess, header.class_names, metrics={"val": chosen})
    assert len(read_record(old, result.model_path)) == len(read_record(header, result.model_path)) == 2


def test_show_says_which_epoch_was_kept(result: TrainResult, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(result.model_path)]) == 0
    kept = f"kept epoch {result.best.epoch + 1}, in training top1 {result.best.val_top1:.4g}"
    assert kept in capsys.readouterr().out


def test_an_unreadable_test_part_leaves_a_finished_training(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(DataError, match=r"cannot be read.*; the trained weights are in .*model\.safetensors"):
        effnet.train(draw(tmp_path / "data", unreadable="test/"), out=folder, **SETTINGS)
    metrics = effnet.load(folder / "model.safetensors").header.metrics
    assert set(metrics) == {"chosen", "epochs", "steps", "skipped_steps", "seconds"}
    assert (folder / "curves.png").exists()
    assert not states.exists(folder)
