"""From images to a model file to answers, on the command line and in Python."""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import effnet
from effnet.cli.main import main
from effnet.data.datasets import open_digits
from effnet.errors import UsageError
from effnet.evaluation.classifier import Classifier

ROOT = Path(__file__).parents[1]
QUICK = ("--epochs", "3", "--resolution", "8", "--batch-size", "64")
RESULTS = {"model.safetensors", "metrics.jsonl", "curves.png", "confusion.png", "examples.png", "examples"}


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Any:
    capsys.readouterr()
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "digits"
    assert main(["train", "digits", "--out", str(folder), *QUICK]) == 0
    return folder


@pytest.fixture(scope="module")
def digits_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """500 digits as PNG files, one folder per class."""
    root = tmp_path_factory.mktemp("data") / "my digits"
    dataset = open_digits()
    samples = dataset.parts["all"]
    for name, label in list(zip(samples.names, samples.labels, strict=True))[:500]:
        path = root / f"class {dataset.class_names[label]}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        samples.read(name).save(path)
    return root


def split_copy(source: Path, root: Path, held_out: str) -> Path:
    """Copy a folder of classes; every fifth image goes into the part `held_out`, the others into `train`."""
    for path in sorted(source.rglob("*.png")):
        part = held_out if int(path.stem) % 5 == 0 else "train"
        target = root / part / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return root


def test_training_leaves_model_record_and_pictures(digits_run: Path) -> None:
    assert {path.name for path in digits_run.iterdir() if path.name != ".lock"} == RESULTS
    lines = (digits_run / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [0, 1, 2]
    assert len(list((digits_run / "examples").iterdir())) == 3


def test_training_learns(digits_run: Path) -> None:
    metrics = effnet.load(digits_run / "model.safetensors").header.metrics
    assert metrics["test"]["top1"] > 0.5  # chance is 0.1; three short epochs


def test_evaluate_measures_the_images_that_training_never_saw(
    digits_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = digits_run / "model.safetensors"
    result = run_json(capsys, "evaluate", model, "digits")
    recorded = effnet.load(model).header.metrics["test"]
    assert (result["split"], result["num_images"]) == ("test", 359)
    assert {key: result[key] for key in recorded} == recorded
    assert np.sum(result["confusion"]) == 359
    assert np.trace(result["confusion"]) == 359 - result["num_errors"]


def test_predict_answers_with_class_names(digits_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, examples = digits_run / "model.safetensors", digits_run / "examples"
    result = run_json(capsys, "predict", model, examples, "--top", "3")
    assert len(result["predictions"]) == 3
    for prediction in result["predictions"]:
        probabilities = [c["probability"] for c in prediction["classes"]]
        assert probabilities == sorted(probabilities, reverse=True)
        assert 0.0 < sum(probabilities) <= 1.0 + 1e-6


def test_the_model_file_alone_is_enough(
    digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = shutil.copy(digits_run / "model.safetensors", tmp_path / "only.safetensors")
    image = next((digits_run / "examples").iterdir())
    there = run_json(capsys, "predict", digits_run / "model.safetensors", image)
    here = run_json(capsys, "predict", moved, image)
    assert here["predictions"] == there["predictions"]


def test_python_and_command_line_agree(digits_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = digits_run / "model.safetensors"
    classifier = effnet.load(model)
    assert isinstance(classifier, Classifier)
    result = classifier.evaluate("digits")
    assert result.to_dict() == run_json(capsys, "evaluate", model, "digits")
    answers = classifier.predict(digits_run / "examples")
    printed = run_json(capsys, "predict", model, digits_run / "examples")["predictions"]
    assert [answer.to_dict() for answer in answers] == printed


def test_show_prints_the_training_record(digits_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(digits_run / "model.safetensors")]) == 0
    text = capsys.readouterr().out
    assert "trained on digits (1,295 train, 143 val), 3 epochs of batch 64" in text
    assert "classes 10: 0, 1, 2" in text


def test_the_same_seed_gives_the_same_bits(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"epochs": 1, "resolution": 8, "seed": 5}
    first = effnet.train("digits", out=tmp_path / "a", **settings)
    second = effnet.train("digits", out=tmp_path / "b", **settings)
    assert first.evaluation.loss == second.evaluation.loss
    for name, tensor in first.best.weights.items():
        assert tensor.equal(second.best.weights[name]), name


def test_a_finished_run_is_not_overwritten(digits_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (digits_run / "model.safetensors").read_bytes()
    assert main(["train", "digits", "--out", str(digits_run)]) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert (digits_run / "model.safetensors").read_bytes() == before


def test_unknown_setting_in_python_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown key 'optim.lrr'; known: optim\.lr,"):
        effnet.train("digits", out=tmp_path, optim={"lrr": 1.0})


def test_train_on_a_folder_of_classes(
    digits_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--phi", "-8", "--epochs", "2", "--batch-size", "25", "--resolution", "8")
    trained = run_json(capsys, "train", digits_folder, "--out", tmp_path / "run", *arguments)
    assert trained["result"]["split"] == "test"
    assert trained["result"]["num_images"] == 100
    again = run_json(capsys, "evaluate", trained["model"], digits_folder)
    assert again == trained["result"]
    assert [c["name"] for c in again["classes"]] == [f"class {digit}" for digit in range(10)]


def test_train_on_a_folder_with_its_own_split(
    digits_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = split_copy(digits_folder, tmp_path / "split", "test")
    arguments = ("--phi", "-8", "--epochs", "1", "--resolution", "8")
    trained = run_json(capsys, "train", root, "--out", tmp_path / "run", *arguments)
    assert (trained["result"]["split"], trained["result"]["num_images"]) == ("test", 100)
    header = effnet.load(trained["model"]).header
    assert len(header.split["val"]) == 39  # a tenth of each class, rounded
    assert "test" not in header.split


def test_training_with_validation_alone_records_both_roles(digits_folder: Path, tmp_path: Path) -> None:
    root = split_copy(digits_folder, tmp_path / "split", "val")
    result = effnet.train(root, out=tmp_path / "run", phi=-8.0, epochs=1, resolution=8)
    metrics = effnet.load(result.model_path).header.metrics
    assert metrics["val"] == result.evaluation.summary()
    assert metrics["chosen"] == {"epoch": 0, "top1": result.best.val_top1, "loss": result.best.val_loss}


def test_names_in_brackets_are_printed_whole(
    digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "IMG [edited] [bold].png"
    shutil.copy(next((digits_run / "examples").iterdir()), image)
    assert main(["predict", str(digits_run / "model.safetensors"), str(image)]) == 0
    assert "IMG [edited] [bold].png" in capsys.readouterr().out


def test_one_unreadable_image_never_ends_a_run(digits_folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "one broken"
    shutil.copytree(digits_folder, root)
    victims = [sorted(root.rglob("*.png"))[0]]
    victims[0].write_bytes(b"")
    result = effnet.train(root, out=tmp_path / "run", phi=-8.0, epochs=1, resolution=8)
    assert result.evaluation.num_images in (99, 100)


def test_the_test_part_changes_nothing_but_the_result(digits_folder: Path, tmp_path: Path) -> None:
    """Training with every test image blackened gives the same bits."""
    roots = [split_copy(digits_folder, tmp_path / name, "test") for name in ("clean", "black")]
    for path in (roots[1] / "test").rglob("*.png"):
        Image.new("L", (8, 8)).save(path)
    settings: dict[str, Any] = {"phi": -8.0, "epochs": 2, "resolution": 8}
    clean, black = (effnet.train(root, out=tmp_path / f"run {root.name}", **settings) for root in roots)
    assert all(tensor.equal(black.best.weights[name]) for name, tensor in clean.best.weights.items())
    assert clean.evaluation.loss != black.evaluation.loss


def test_unreadable_images_are_named_and_few_are_skipped(
    digits_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "broken"
    shutil.copytree(digits_folder, root)
    for victim in sorted(root.rglob("*.png"))[::50]:
        victim.write_bytes(b"")
    arguments = ["train", str(root), "--out", str(tmp_path / "run"), "--phi", "-8", "--epochs", "1"]
    assert main([*arguments, "--resolution", "8"]) == 1
    error = capsys.readouterr().err
    assert "may be skipped (data.max_broken)" in error
    assert "empty file" in error
    assert main([*arguments, "--resolution", "8", "--data.max-broken", "0.05"]) == 0
    assert "skipped: " in capsys.readouterr().err


def test_wheel_works_in_a_fresh_environment(tmp_path: Path) -> None:
    """Build the wheel, install it elsewhere with the documented constraints, train on digits there."""
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    command = [
        str(python),
        "-m",
        "pip",
        "install",
        "-q",
        "-c",
        str(ROOT / "constraints.txt"),
        f"{wheel}[train]",
    ]
    subprocess.run(command, check=True, capture_output=True)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    effnet_command = [str(tmp_path / "env" / "bin" / "effnet"), "train", "digits", "--json", *QUICK]
    done = subprocess.run(
        effnet_command, check=True, capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert json.loads(done.stdout)["result"]["num_images"] == 359
    assert {path.name for path in (tmp_path / "runs" / "digits").iterdir()} >= RESULTS
