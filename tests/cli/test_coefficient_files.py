"""Coefficients from the file of a search, wherever a command scales."""

import json
from pathlib import Path

import pytest

from effnet.cli.main import main
from effnet.spec import coefficients as files
from effnet.spec.cost import cost
from effnet.spec.families import B0
from effnet.spec.scale import Coefficients, scale

Capture = pytest.CaptureFixture[str]
FOUND = Coefficients(alpha=1.4, beta=1.0, gamma=1.2)


@pytest.fixture
def file(tmp_path: Path) -> str:
    files.save(FOUND, tmp_path / "coefficients.json", {})
    return str(tmp_path / "coefficients.json")


def test_scale_takes_a_file(file: str, capsys: Capture) -> None:
    assert main(["scale", "b0", "--phi", "1", "--coefficients", file, "--json"]) == 0
    assert (
        json.loads(capsys.readouterr().out)["after"]["spec"]["resolution"] == scale(B0, 1, FOUND).resolution
    )


def test_budget_takes_a_file(file: str, capsys: Capture) -> None:
    limit = cost(scale(B0, 2, FOUND)).macs
    assert main(["budget", "b0", "--max-macs", str(limit), "--coefficients", file, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["phi"] == pytest.approx(2, abs=0.3)


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        (["scale", "b0", "--phi", "1"], "--alpha"),
        (["budget", "b0", "--max-macs", "1G"], "--alpha"),
        (["study", "digits"], "--coefficients.alpha"),
    ],
)
def test_a_file_and_a_number_contradict(command: list[str], flag: str, file: str, capsys: Capture) -> None:
    assert main([*command, "--coefficients", file, flag, "1.3"]) == 2
    assert "--coefficients brings alpha, beta and gamma; leave --" in capsys.readouterr().err


def test_study_takes_a_file(tmp_path: Path, capsys: Capture) -> None:
    missing = str(tmp_path / "none.json")
    assert main(["study", "digits", "--coefficients", missing]) == 2
    assert f"{missing}: no such file" in capsys.readouterr().err
