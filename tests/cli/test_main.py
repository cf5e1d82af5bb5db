"""The command line's manners: exit codes, one-line errors, help."""

import subprocess
import sys
from pathlib import Path

import pytest

from effnet import __version__
from effnet.cli.main import COMMANDS, main


def test_no_arguments_print_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed for name in COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"effnet {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert f"usage: effnet {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "unknown command 'trian'; known: train,"),
        (["--loud"], "unknown option '--loud'"),
        (["scale", "b0"], "needs --phi"),
        (["scale", "b0", "--phi", "one"], "--phi"),
        (["scale", "b0", "--phi", "99"], "phi = 99.0: must be a number between -12 and 12"),
        (["scale", "b0", "--phi", "1", "--alpha", "0.9"], "alpha = 0.9: input should be greater than"),
        (["scale", "b0", "--phi", "1", "--gama", "1.2"], "perhaps you meant --gamma"),
        (["scale", "b0", "--phi", "1", "--out", "net.txt"], "must end in .json"),
        (["scale", "b0", "--phi", "1", "--classes", "0"], "must be at least 1"),
        (["scale", "b4", "--explain", "--phi", "2"], "leave --phi out"),
        (["scale", "b0", "--phi", "12", "--alpha", "4"], "b0 at phi = 12: repeats = 16777216"),
        (["scale", "resnet", "--explain"], "--explain takes an official network"),
        (["scale", "b8", "--phi", "1"], "unknown network 'b8'; known: b"),
        (["scale"], "missing BASE"),
        (["show", "b00"], "unknown network or recipe 'b00'; known: b0,"),
        (["show", "missing.json"], "missing.json: no such file"),
        (["show", "b0", "--classes", "0"], "must be at least 1"),
        (["train"], "missing DATA"),
        (["train", "--resume"], "missing value for argument '--resume'"),
        (["train", "digits", "--resume", "runs/digits", "--epochs", "9"], "takes no others"),
        (["train", "digit"], "unknown data set 'digit'; known: digits"),
        (["train", "digits", "--recipe", "digts"], "unknown recipe 'digts'; known: digits,"),
        (["train", "digits", "--epochs", "0"], "epochs = 0: input should be greater than or equal to 1"),
        (["train", "digits", "--optim.lr", "-1"], "lr = -1.0: input should be greater than 0"),
        (["train", "digits", "--optim.name", "sdg"], "'sdg' for --optim.name; known: adamw, rmsprop, sgd"),
        (["evaluate", "m", "digits", "--tta", "x"], "'x' for --tta; known: flip, flip-shifts, shifts (see"),
        (["train", "digits", "--model", "b99"], "unknown network 'b99'"),
        (["train", "digits", "--input.channels", "3"], "input.channels = 3 needs that many"),
        (["train", "digits", "--input.std", "0"], "input: std (0.0,) must be positive"),
    ],
)  # fmt: skip
def test_wrong_use_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    last = printed.err.splitlines()[-1]
    assert last.startswith("effnet: ")
    assert message in last


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "missing.safetensors"], "missing.safetensors: no such file"),
        (["evaluate", "missing.safetensors", "digits"], "missing.safetensors: no such file"),
        (["train", "--resume", "missing"], "missing holds no unfinished training (training.state)"),
        (["predict", "missing.safetensors", "photo.jpg"], "missing.safetensors: no such file"),
    ],
)
def test_failure_is_one_line_and_exit_code_1(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    assert capsys.readouterr().err == f"effnet: {message}\n"


def test_debug_shows_the_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "effnet", "show", "b00", "--debug"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" in done.stderr
    assert "UsageError" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["predict", "model.safetensors", "photo.jpg"], "train"),
        (["export", "model.safetensors", "--out", "model.onnx"], "export"),  # which needs onnx too
    ],
)
def test_a_missing_extra_is_named(arguments: list[str], extra: str) -> None:
    code = (
        "import sys\n"
        "sys.modules['torch'] = None  # as if it were not installed\n"
        "from effnet.cli.main import main\n"
        f"sys.exit(main({arguments!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        done.stderr == f"effnet: this command needs torch; install it with: pip install 'effnet[{extra}]'\n"
    )


def test_a_closed_pipe_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m effnet show b0 --json | head -n 1",
        shell=True, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "{\n"
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_under_the_output_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "effnet", "show"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "effnet: cannot write the output: No space left on device\n"
