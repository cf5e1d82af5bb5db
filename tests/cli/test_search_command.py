"""`effnet search` for a person and for a program: what it says before, what it asks, what it prints."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from effnet.cli.main import main
from tiny_search import command

Capture = pytest.CaptureFixture[str]


class Keyboard(io.StringIO):
    """Somebody at a terminal who types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search") / "out"
    folder.mkdir()
    assert main(command(folder, "--yes")) == 0
    return folder


def failed(capsys: Capture, arguments: list[str], code: int = 2) -> str:
    capsys.readouterr()
    assert main(arguments) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err.splitlines()[-1].removeprefix("effnet: ")


def test_the_ranking_is_printed_with_what_may_be_claimed(finished: Path, capsys: Capture) -> None:
    assert main(command(finished)) == 0  # all is done: there is nothing to ask
    printed = capsys.readouterr()
    ranking = json.loads((finished / "ranking.json").read_text())
    best = ranking["best"]
    assert f"best: alpha {best['alpha']:g}, beta {best['beta']:g}, gamma {best['gamma']:g}" in printed.out
    assert ranking["verdict"] in printed.out
    assert printed.out.count("(−") == len(ranking["ranking"]) - 1
    assert f"--coefficients {finished / 'coefficients.json'}" in printed.out
    assert "all trials are done" in printed.err


def test_json_is_one_object(finished: Path, capsys: Capture) -> None:
    assert main(command(finished, "--json")) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert json.loads(printed.out) == json.loads((finished / "ranking.json").read_text())


def test_candidates_trials_and_time_are_said_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("sys.stdin", Keyboard("n\n"))
    assert main(command(tmp_path / "out")) == 1
    printed = capsys.readouterr()
    assert "4 candidates with" in printed.err
    assert "2 seeds each: 8 trials" in printed.err
    assert "hardly any claim" in printed.err
    assert "a trial, " in printed.err
    assert "Start?" in printed.err
    assert printed.err.endswith("not started; nothing was changed\n")
    assert not (tmp_path / "out" / "trials").exists()


def test_without_a_terminal_yes_must_be_said(tmp_path: Path, capsys: Capture) -> None:
    message = failed(capsys, command(tmp_path / "out"))
    assert message == "8 trials are to be done; there is no terminal to ask on: add --yes to start"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search"], "missing DATA"),
        (["search", "digits"], "missing --base NAME, the network to scale"),
        (["search", "digits", "--base", "b00"], "unknown network 'b00'; known: b0, "),
        (["search", "digits", "--base", "b0", "--model=b1"], "a search decides model itself; take --base"),
        (["search", "digits", "--base", "b0", "--coefficients.alpha", "2"], "decides coefficients itself"),
        (["search", "digits", "--base", "b0"], "b0 at 16×16 pixels: that is below its total stride of 32"),
        (["search", "digits", "--base", "quick-cifar", "--phi", "0"], "phi = 0 is the base itself"),
        (["search", "digits", "--base", "quick-cifar", "--step", "0"], "step = 0.0: input should be greater"),
        (["search", "digits", "--base", "quick-cifar", "--cost-tolerance", "0.01"], "nearest misses:"),
        (["search", "digits", "--base", "quick-cifar", "--sampler", "tpe"], "needs --trials N"),
        (["search", "digits", "--base", "quick-cifar", "--trials", "9"], "--trials is for --sampler tpe"),
        (["search", "--halving", "digits", "--base", "quick-cifar", "--epochs", "2"], "needs --epochs 3"),
        (["search", "--yes", "digits", "--base", "quick-cifar", "--storage", "x"], "not the URL"),
    ],
)  # fmt: skip
def test_wrong_use_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in failed(capsys, arguments)


def test_a_folder_inside_the_data_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from PIL import Image

    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (8, 8)).save(tmp_path / "data" / name / f"{number}.png")
    arguments = [
        "search",
        str(tmp_path / "data"),
        "--base",
        "quick-cifar",
        "--out",
        str(tmp_path / "data" / "c"),
    ]
    assert "lies inside the data" in failed(capsys, arguments)


def test_a_missing_extra_is_named() -> None:
    code = (
        "import sys\n"
        "sys.modules['optuna'] = None  # as if it were not installed\n"
        "from effnet.cli.main import main\n"
        "sys.exit(main(['search', 'digits', '--base', 'quick-cifar']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "effnet: this command needs optuna; install it with: pip install 'effnet[search]'\n"
