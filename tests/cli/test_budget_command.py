"""`effnet budget` and the limits of `effnet train`: what they print, write and refuse."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from effnet.cli.main import main
from effnet.cli.settings import peek
from effnet.cli.train import TrainForm
from effnet.spec.cost import cost
from effnet.spec.netspec import from_dict, load
from effnet.spec.scale import Coefficients, scale

Capture = pytest.CaptureFixture[str]
SMALL = ("budget", "b0-cifar", "--max-params", "40k", "--device", "cpu")


def test_it_prints_the_networks_around_and_which_limit_binds(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "small.json"
    assert main([*SMALL, "--out", str(path)]) == 0
    printed = capsys.readouterr()
    chosen = load(path)
    lines = printed.out.splitlines()
    (row,) = [line for line in lines if line.startswith("→")]
    assert str(chosen.resolution) in row
    assert "--max-params 40000 binds: the next larger network" in printed.out
    assert f"effnet train DATA --model {path}" in printed.out
    assert cost(chosen, 10).params <= 40_000
    assert "networks from φ = -12 to 12" in printed.err


def test_json_is_all_of_it(capsys: Capture) -> None:
    assert main([*SMALL, "--beta", "1.2", "--batch", "2", "--json"]) == 0
    printed = capsys.readouterr()
    data = json.loads(printed.out)
    assert printed.err == ""
    assert from_dict(data["spec"]) == scale("b0-cifar", data["phi"], Coefficients(beta=1.2))
    assert data["limits"] == {"max_params": 40_000}
    assert data["binding"] == ["max_params"]
    assert data["conditions"]["batch"] == 2
    assert data["phi"] in [row["phi"] for row in data["table"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["b0"], "a budget needs at least one limit"),
        (["b0", "--max-latency-ms", "-5"], "--max-latency-ms -5"),
        (["b0", "--max-latency-ms", "0"], "--max-latency-ms 0: must be a finite number above 0"),
        (["b0", "--max-params", "5X"], "--max-params 5X: must be a number such as 5000000, 5e6 or 5M"),
        (["b0", "--max-params", "5M", "--out", "small"], "--out small: the name must end in .json"),
        (["b0", "--max-params", "5M", "--alpha", "0.5"], "alpha = 0.5: "),
        (["b9", "--max-params", "5M"], "unknown network 'b9'"),
        (["b0", "--max-train-minutes", "5"], "--max-train-minutes needs --data DATA"),
        (["b0", "--max-params", "5M", "--runtime", "tflite"], "tflite"),
        (["b0", "--max-latency", "5"], "perhaps you meant --max-latency-ms"),
    ],
)
def test_wrong_use_is_one_line(arguments: list[str], message: str, capsys: Capture) -> None:
    assert main(["budget", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err.splitlines()[-1]


def test_an_unreachable_budget_says_what_the_smallest_network_costs(capsys: Capture) -> None:
    assert main(["budget", "b0", "--max-params", "1k"]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("effnet: --max-params 1000 cannot be reached: the smallest network, φ = -12 at 40×40 pixels")


def test_train_sizes_the_network_and_says_so(tmp_path: Path, capsys: Capture) -> None:
    arguments = ["train", "digits", "--out", str(tmp_path / "run"), "--max-params", "30k", "--max-latency-ms", "1e6"]
    assert main([*arguments, "--epochs", "1", "--resolution", "8", "--device", "cpu"]) == 0
    assert "--max-params 30000 binds" in capsys.readouterr().err
    assert main(["show", str(tmp_path / "run" / "model.safetensors")]) == 0
    printed = capsys.readouterr().out
    assert "the largest within max_params 30000, max_latency_ms 1e+06; measured" in printed


@pytest.mark.parametrize("line", ["--max-latency-ms 5 DATA", "--max-params=5M DATA", "DATA --max-macs 1G"])
def test_data_is_found_beside_limits(line: str) -> None:
    assert peek(TrainForm, line.split())[0] == "DATA"


def test_a_resumed_training_takes_no_limits(tmp_path: Path, capsys: Capture) -> None:
    assert main(["train", "--resume", str(tmp_path), "--max-params", "5M"]) == 2
    assert "takes no others" in capsys.readouterr().err


def test_a_missing_runtime_is_named() -> None:
    code = (
        "import sys\n"
        "sys.modules['onnxruntime'] = None  # as if it were not installed\n"
        "from effnet.cli.main import main\n"
        "sys.exit(main(['budget', 'b0', '--max-latency-ms', '5', '--runtime', 'onnxruntime']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "effnet: --runtime onnxruntime needs onnxruntime; install it with: pip install 'effnet[export]'\n"
    )


def test_help_needs_no_torch() -> None:
    code = (
        "import sys\n"
        "from effnet.cli.main import main\n"
        "try:\n    main(['budget', '--help'])\nexcept SystemExit:\n    pass\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--max-latency-ms" in done.stdout
    assert done.stdout.splitlines()[-1] == "False"
