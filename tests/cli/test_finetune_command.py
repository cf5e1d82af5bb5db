"""`effnet train --from`, `--probe`, `--folds`, `--teacher` on the command line."""

import json
from pathlib import Path

import pytest

from effnet.cli.main import main
from effnet.cli.origin_flags import names_given, value_of
from effnet.cli.settings import peek
from effnet.cli.train import TrainForm
from tiny_origins import DIGITS, write

SMALL = ["--data.max-train", "100", "--data.max-val", "40", "--data.test-fraction", "0.03", "--device", "cpu"]


def train(*flags: object) -> int:
    return main(["train", "digits", *SMALL, *map(str, flags)])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("source") / "source.safetensors", DIGITS[::-1])


def test_settings_and_their_reason_come_before_the_run(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--from", source, "--out", tmp_path / "run", "--epochs", 2) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("1,295 images to learn from: 2 epochs, the classifier alone in the first 1;")
    assert "times 0.9 for each block" in lines[0]
    assert "because enough images for all layers" in lines[0]
    assert any(f"of {source}, its classifier too, the rows in the order" in line for line in lines)
    assert main(["show", str(tmp_path / "run" / "model.safetensors")]) == 0
    assert f"from b0-cifar-phi-8 of {source} (SHA-256 " in capsys.readouterr().out


def test_folds_are_a_table(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--from", source, "--probe", "--folds", 2, "--out", tmp_path / "run") == 0
    shown = capsys.readouterr().out
    assert "fold  images  errors" in shown
    assert "the model file is of all training images" in shown
    assert "a logistic regression with C = " in shown


def test_a_probe_is_json(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--from", source, "--probe", "--json", "--out", tmp_path / "run") == 0
    assert json.loads(capsys.readouterr().out)["probe"]["num_features"] == 600
    assert main(["show", str(tmp_path / "run" / "model.safetensors")]) == 0
    shown = capsys.readouterr().out
    assert "40 val), the classifier alone, without epochs, seed 0, in " in shown
    assert "epochs of batch" not in shown


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model", "b0"], "--model and --from exclude each other: the network is that of the weights"),
        (["--phi", "1"], "--phi and --from exclude each other"),
        (["--coefficients.alpha", "1.1"], "--coefficients and --from exclude each other"),
        (["--max-params", "5M"], "--max-params 5e+06 and --from exclude each other"),
        (["--folds", "1"], "--folds 1: there must be at least 2"),
        (
            ["--finetune.freeze", "stage9"],
            "unknown part of b0-cifar-phi-8 in finetune.freeze 'stage9'; known: stage",
        ),
        (["--finetune.layer-decay", "1.5"], "finetune.layer_decay = 1.5: "),
        (["--finetune.head-epochs", "-1"], "finetune.head_epochs = -1: "),
        (["--distill.weight", "0"], "distill.weight = 0.0: "),
        (["--data.fold", "7/5"], "data.fold = '7/5': the last of 5 folds is 5/5"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line(
    flags: list[str], message: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--from", source, "--out", tmp_path / "run", *flags) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("effnet: ")]
    assert len(errors) == 1
    assert message in errors[0]


def test_a_probe_and_a_revision_need_something_to_be_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--probe") == 2
    assert "--probe needs --from MODEL" in capsys.readouterr().err
    assert train("--revision", "main") == 2
    assert "--revision needs --from or --teacher" in capsys.readouterr().err


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--from", tmp_path / "none.safetensors") == 1
    assert "none.safetensors: no such file" in capsys.readouterr().err


def test_resume_takes_no_origin(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--resume", str(tmp_path), "--from", str(source)]) == 2
    assert "takes no others" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    ["--from m.safetensors DATA", "--probe DATA --from=m", "--folds 5 DATA", "--teacher=t DATA --probe"],
)
def test_data_is_found_beside_the_flags(line: str) -> None:
    assert peek(TrainForm, line.split())[0] == "DATA"


@pytest.mark.parametrize(
    ("line", "value"),
    [("--from a", "a"), ("--from=a", "a"), ("--from a --from=b", "b"), ("--fr a", None), ("--from", None)],
)
def test_a_value_is_found_before_flags_are_parsed(line: str, value: str | None) -> None:
    assert value_of("--from", line.split()) == value


def test_names_of_flags_are_found() -> None:
    assert names_given(["DATA", "--optim.lr", "1", "--model=b0", "-x"]) == {"optim", "model"}
