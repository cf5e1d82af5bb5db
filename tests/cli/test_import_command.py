"""`effnet import` as it is used: what it prints, and that bad input is one line."""

import json
import sys
from pathlib import Path

import pytest
import torch

from effnet.cli.main import main
from effnet.layouts.catalogue import LAYOUTS
from effnet.modelfile import load_header
from effnet.spec.families import get_spec

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "lite0.pth"
    shapes = LAYOUTS["timm"].shapes(get_spec("lite0"), 1000)
    torch.save({f"module.{name}": torch.ones(shape) * 0.1 for name, shape in shapes.items()}, path)
    return path


def test_it_says_what_it_understood_and_what_comes_next(
    weights: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "m.safetensors"
    assert main(["import", str(weights), "--out", str(out), "--variant", "tf"]) == 0
    printed = capsys.readouterr().out
    assert "m.safetensors: lite0, 4.65 M parameters, 385 M MACs, 1000 classes" in printed
    assert "lite0 as timm has it, variant tf" in printed
    assert "without the 'module.' before each name" in printed
    assert "same padding, BN eps 0.001; short side to 256 (bicubic), middle 224×224, RGB" in printed
    assert f"Try: effnet predict {out} PHOTO" in printed
    assert load_header(out).class_names[0] == "tench"


def test_changes_are_printed_and_recorded(weights: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "m.safetensors"
    flags = ["--variant", "tf", "--num-classes", "3", "--channels", "1", "--resolution", "96", "--json"]
    assert main(["import", str(weights), "--out", str(out), *flags]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["imported"]["changes"] == [
        "a new, untrained head with 3 outputs",
        "the stem adapted from 3 channels to 1",
        "96 pixels instead of 224",
    ]
    assert (printed["num_classes"], printed["preprocess"]["resolution"]) == (3, 96)


def test_show_says_where_a_model_came_from(weights: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "m.safetensors"
    assert main(["import", str(weights), "--out", str(out), "--variant", "tf"]) == 0
    capsys.readouterr()
    assert main(["show", str(out)]) == 0
    assert "imported from lite0.pth (timm, variant tf)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ([], "choose with --variant: timm"),
        (["--variant", "tf", "--classes", "none.txt"], "none.txt: No such file"),
        (["--variant", "tf", "--network", "b9"], "unknown network 'b9'"),
        (["--variant", "tf", "--channels", "0"], "channels = 0"),
        (["--revision", "main"], "revisions are of names on the hub"),
    ],
    ids=str,
)
def test_bad_input_is_one_line(
    args: list[str], problem: str, weights: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["import", str(weights), "--out", str(tmp_path / "m.safetensors"), *args]) == 2
    error = capsys.readouterr().err
    assert problem in error
    assert error.count("\n") == 1
    assert not (tmp_path / "m.safetensors").exists()


def test_a_missing_extra_is_named(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert main(["import", "timm/x", "--out", str(tmp_path / "m.safetensors")]) == 1
    assert "pip install 'effnet[hub]'" in capsys.readouterr().err
