"""Coefficients in a file: written, read back, used by `effnet scale`; bad files are one line."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effnet.cli.main import main
from effnet.errors import UsageError
from effnet.spec.coefficients import load, save
from effnet.spec.scale import Coefficients

FOUND = Coefficients(1.4, 1.05, 1.1)
coefficients = st.floats(1.0, 4.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save(FOUND, tmp_path / "found.json", {"base": "b0", "val_top1": 0.9})
    return tmp_path / "found.json"


@given(alpha=coefficients, beta=coefficients, gamma=coefficients)
def test_coefficients_are_read_back_exactly(
    alpha: float, beta: float, gamma: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    save(Coefficients(alpha, beta, gamma), path, {})
    assert load(path) == Coefficients(alpha, beta, gamma)


def test_the_file_says_how_they_were_found(path: Path) -> None:
    assert json.loads(path.read_text())["about"] == {"base": "b0", "val_top1": 0.9}


def test_scale_takes_the_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scale", "b0", "--phi", "2", "--coefficients", str(path), "--json"]) == 0
    by_file = capsys.readouterr().out
    flags = ["--alpha", "1.4", "--beta", "1.05", "--gamma", "1.1"]
    assert main(["scale", "b0", "--phi", "2", *flags, "--json"]) == 0
    assert capsys.readouterr().out == by_file


def test_scale_explains_with_the_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scale", "b4", "--explain", "--coefficients", str(path), "--json"]) == 0
    depth = json.loads(capsys.readouterr().out)["dimensions"][0]
    assert depth["formula"] == pytest.approx(1.4**3.5)


def test_scale_refuses_a_file_beside_a_flag(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scale", "b0", "--phi", "1", "--coefficients", str(path), "--beta", "1.2"]) == 2
    assert "--coefficients brings alpha, beta and gamma" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot read coefficients"),
        ("[]", "not a file of coefficients"),
        ('{"alpha": 1.2}', "not a file of coefficients"),
        ('{"effnet_coefficients": 1, "alpha": 1.2}', "beta and gamma missing"),
        (
            '{"effnet_coefficients": 1, "alpha": 0.9, "beta": 1, "gamma": 1}',
            "alpha = 0.9: input should be gr",
        ),
        (
            '{"effnet_coefficients": 1, "alpha": "1.2", "beta": 1, "gamma": 1}',
            "alpha = '1.2': input should be",
        ),
        ('{"effnet_coefficients": 1, "alpha": NaN, "beta": 1, "gamma": 1}', "alpha"),
    ],
)
def test_a_bad_file_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(UsageError) as raised:
        load(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.json: no such file"):
        load(tmp_path / "gone.json")
