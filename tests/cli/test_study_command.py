"""`effnet study` on the command line: the plan, the question, the result, and what is refused."""

import io
import json
import os
import select
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import sleep

import pytest

from chromium import Browser
from effnet.cli.confirm import confirm
from effnet.cli.main import main
from effnet.cli.settings import peek
from effnet.cli.study import StudyForm
from effnet.errors import EffnetError, UsageError
from effnet.spec import netspec
from effnet.spec.families import QUICK_CIFAR

FLAGS = ("--epochs", "1", "--batch-size", "256", "--resolution", "12", "--device", "cpu")
SMALL = ("--arms", "width", "compound", "--phis", "0", "1", "--seeds", "1", *FLAGS)

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("base") / "tiny.json"
    netspec.save(replace(QUICK_CIFAR, name="tiny", stages=QUICK_CIFAR.stages[:2], resolution=12), path)
    return str(path)


@pytest.fixture(scope="module")
def folder(base: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that is done."""
    out = tmp_path_factory.mktemp("study") / "out"
    assert main(["study", "digits", "--base", base, "--out", str(out), "--yes", *SMALL]) == 0
    return out


def test_the_page_reads_well_everywhere(browser: Browser, folder: Path) -> None:
    assert browser.flaws(folder / "study.html") == []


def test_plan_and_table_are_printed(folder: Path, base: str, capsys: Capture) -> None:
    arguments = ["study", "digits", "--base", base, "--out", str(folder), "--tolerance", "0", *SMALL]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert "warning: rounding leaves width φ = 1" in printed.err
    assert "tiny in 2 ways" in printed.err
    for label in ("base", "width φ = 1", "compound φ = 1"):
        assert label in printed.err
        assert label in printed.out
    assert "no claim" in printed.out
    assert str(folder / "study.html") in printed.out


def test_json_is_one_object_and_nothing_else(folder: Path, base: str, capsys: Capture) -> None:
    assert main(["study", "digits", "--base", base, "--out", str(folder), "--json", *SMALL]) == 0
    printed = capsys.readouterr()
    values = json.loads(printed.out)
    assert values["trials_done"] == values["trials"] == 3
    assert values["command"].startswith("effnet study digits --base")
    assert printed.err == ""


def test_the_page_has_the_command(folder: Path) -> None:
    assert "<code>effnet study digits --base" in (folder / "study.html").read_text(encoding="utf-8")


def test_a_study_that_would_train_needs_a_yes(base: str, tmp_path: Path, capsys: Capture) -> None:
    assert main(["study", "digits", "--base", base, "--out", str(tmp_path / "new"), *SMALL]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    expected = "3 networks × 1 seed = 3 trials; there is no terminal to ask on: add --yes to start"
    assert last == f"effnet: {expected}"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits", "--model", "b0"], "give --base NAME, not --model"),
        (["digits", "--model=b0"], "give --base NAME, not --model"),
        ([], "missing DATA"),
        (["digits", "--base", "b99"], "unknown network 'b99'"),
        (["digits", "--base", "b0", "--resolution", "224", "--phis", "0", "0.1"],
         "phi = 0 and 0.1 are the same network"),
        (["digits", "--base", "b0"], "b0 at 16×16 pixels: that is below its total stride of 32"),
        (["digits", "--base", "b0", "--phis"], "phis"),
        (["digits", "--phis", "0"], "0 is the base itself"),
        (["digits", "--phis", "1", "1"], "phis: 1.0 is given twice"),
        (["digits", "--phis", "99"], "phis"),
        (["digits", "--arms", "hight"], "hight"),
        (["digits", "--seeds", "0"], "seeds = 0: input should be greater than or equal to 1"),
        (["digits", "--stop-after", "0"], "--stop-after 0: must be above 0"),
        (["digits", "--forecast-from", "5"], "nothing is left to predict"),
        (["digits", "--coefficients.alpha", "0.5"], "alpha = 0.5"),
        (["digits", "--epochs", "0"], "epochs = 0"),
        (["digits", "--base", "b0", "--phis", "-7", "--arms", "resolution", "--resolution", "224"],
         "are fewer than the network's total stride"),
    ],
)  # fmt: skip
def test_wrong_use_is_one_line_and_exit_code_2(arguments: list[str], message: str, capsys: Capture) -> None:
    assert main(["study", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    last = printed.err.splitlines()[-1]
    assert last.startswith("effnet: ")
    assert message in last


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "out").write_text("")
    assert main(["study", "digits", "--out", str(tmp_path / "out")]) == 2
    assert "is a file; it takes a folder" in capsys.readouterr().err


def test_trials_without_a_result_end_in_exit_code_1(base: str, tmp_path: Path, capsys: Capture) -> None:
    wild = ("--optim.lr", "100", "--optim.weight-decay", "1000", "--epochs", "3")
    arguments = ["study", "digits", "--base", base, "--out", str(tmp_path / "out"), "--yes", *SMALL, *wild]
    assert main([*arguments, "--arms", "width", "--phis", "1"]) == 1
    printed = capsys.readouterr()
    assert printed.err.splitlines()[-1].startswith("effnet: without a result: width φ = 1, seed 0")
    assert "0 of 1 trials done" in printed.out


@pytest.mark.slow
def test_a_signal_ends_in_order_and_says_how_to_go_on(base: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "effnet", "study", "digits", "--base", base, "--out", str(out), "--yes"]
    process = subprocess.Popen(
        [*command, *SMALL, "--epochs", "200"], stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "3 trials; about" in line:
            break
    while not list(out.glob("trials/*/training.state")):
        assert process.poll() is None
        sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert "0 of 3 trials are done; run again to go on: effnet study digits" in errors.splitlines()[-1]


@pytest.mark.parametrize(
    "line",
    [
        "--phis 0 1 2 DATA",
        "--arms depth width DATA",
        "--phis -1 0.5 --seeds 3 DATA",
        "--yes DATA",
        "DATA --arms depth",
    ],
)
def test_data_is_found_among_lists(line: str) -> None:
    assert peek(StudyForm, line.split())[0] == "DATA"


class Terminal(io.StringIO):
    """A keyboard that types one line."""

    def isatty(self) -> bool:
        return True


def test_a_yes_starts(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    confirm("about an hour", yes=False)
    assert capsys.readouterr().err == "about an hour. Start? [y/N] "


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_anything_else_does_not(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    with pytest.raises(EffnetError, match="not started; nothing was changed"):
        confirm("about an hour", yes=False)


def test_without_a_terminal_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(UsageError, match="add --yes to start"):
        confirm("about an hour", yes=False)
    confirm("about an hour", yes=True)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_on_a_terminal_the_question_can_be_read_and_answered(base: str, tmp_path: Path) -> None:
    """The bars that came before it must be gone: they hold back a line until it ends."""
    ours, theirs = os.openpty()
    place = ("--base", base, "--out", str(tmp_path / "out"))
    command = [sys.executable, "-m", "effnet", "study", "digits", *place]
    with subprocess.Popen([*command, *SMALL], stdin=theirs, stderr=theirs, stdout=theirs) as process:
        shown = b""
        while b"Start? [y/N] " not in shown:
            assert select.select([ours], [], [], 60.0)[0], shown
            shown += os.read(ours, 4096)
        os.write(ours, b"n\n")
        assert process.wait() == 1
    assert not (tmp_path / "out").exists()
