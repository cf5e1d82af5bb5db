"""`effnet budget` and the limits of `effnet train`: what they print, write and refuse."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from effnet.cli.budget import BudgetForm, show
from effnet.cli.main import main
from effnet.cli.output import big
from effnet.cli.settings import peek
from effnet.cli.train import TrainForm
from effnet.sizing.budget.limits import LATENCY, Kind, Limits
from effnet.sizing.budget.sized import Row, Sized
from effnet.sizing.budget.timing import Latency
from effnet.spec.cost import cost
from effnet.spec.families import get_spec
from effnet.spec.netspec import from_dict, load
from effnet.spec.scale import PAPER, Coefficients, scale

Capture = pytest.CaptureFixture[str]


def row(
    phi: float, milliseconds: float, *, breaks: tuple[Kind, ...] = (), memory: float | None = 300.0
) -> Row:
    spec = scale("b0-cifar", phi)
    latency = Latency(milliseconds / 1e3, milliseconds / 1.1e3, milliseconds / 0.9e3, num_runs=9)
    costs = asdict(cost(spec, 10)) | {"latency_ms": milliseconds, "memory_mb": memory, "train_minutes": None}
    return Row(phi, spec, costs, latency, breaks)


ROWS = (row(-1.0, 4.0, memory=None), row(0.0, 8.0), row(0.5, 12.0, breaks=(LATENCY,)))
SIZED = Sized(
    base=get_spec("b0-cifar"),
    coefficients=PAPER,
    limits=Limits(max_latency_ms=10),
    chosen=ROWS[1],
    following=ROWS[2],
    table=ROWS,
    conditions={"runtime": "torch", "batch": 2, "device": "cpu"},
)


def shown(capsys: Capture, sized: Sized = SIZED, **form: Any) -> list[str]:
    show(sized, BudgetForm("b0-cifar", **form))
    return capsys.readouterr().out.splitlines()


def test_the_chosen_network_is_marked_in_the_table_and_others_say_what_they_break(capsys: Capture) -> None:
    title, _, *rows = shown(capsys)
    assert title == "b0-cifar, batches of 2, torch on cpu"
    assert [line.startswith("→") for line in rows[:3]] == [False, True, False]
    counted = cost(ROWS[0].spec, 10)
    counts = f"{big(counted.params)} {big(counted.macs)} {big(counted.activations)}"
    assert rows[0].split() == f"-1 28 {counts} 4 3.636–4.444 500 – –".split()
    assert rows[2].split()[-1] == "latency"


def test_the_binding_limit_is_said(capsys: Capture) -> None:
    assert (
        "8 ms a batch, 300 MB of memory; --max-latency-ms 10 binds: the next larger network, φ = 0.5, "
        "takes 12 ms a batch"
    ) in "\n".join(shown(capsys))


def test_at_the_end_of_phi_no_limit_binds(capsys: Capture) -> None:
    assert "no limit binds: φ ends at 0" in shown(capsys, replace(SIZED, following=None))[-2]


def test_a_file_that_was_written_is_named_for_training(capsys: Capture) -> None:
    assert shown(capsys, out=Path("small.json"))[-1].endswith("effnet train DATA --model small.json")


def test_json_is_all_of_it_and_the_file_is_what_was_chosen(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "small.json"
    arguments = ["budget", "b0-cifar", "--max-params", "250k", "--beta", "1.2", "--out", str(path), "--json"]
    assert main([*arguments, "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    data = json.loads(printed.out)
    assert printed.err == ""
    assert from_dict(data["spec"]) == scale("b0-cifar", data["phi"], Coefficients(beta=1.2)) == load(path)
    assert data["limits"] == {"max_params": 250_000}
    assert data["binding"] == ["max_params"]
    assert data["phi"] in [row["phi"] for row in data["table"]]


def test_json_has_no_infinite_numbers() -> None:
    endless = replace(ROWS[2], costs={**ROWS[2].costs, "train_minutes": float("inf")})
    assert json.dumps(replace(SIZED, table=(endless,)).to_dict(), allow_nan=False)


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
    assert line.startswith(
        "effnet: --max-params 1000 cannot be reached: the smallest network, φ = -11.98 at 40×40 pixels"
    )


@pytest.mark.parametrize("line", ["--max-latency-ms 5 DATA", "--max-params=5M DATA", "DATA --max-macs 1G"])
def test_data_is_found_beside_limits(line: str) -> None:
    assert peek(TrainForm, line.split())[0] == "DATA"


def test_a_resumed_training_takes_no_limits(tmp_path: Path, capsys: Capture) -> None:
    assert main(["train", "--resume", str(tmp_path), "--max-params", "5M"]) == 2
    assert "takes no others" in capsys.readouterr().err


def test_phi_and_limits_exclude_each_other(capsys: Capture) -> None:
    assert main(["train", "digits", "--phi", "-3", "--max-params", "5M"]) == 2
    assert "--phi and --max-params 5e+06 exclude each other" in capsys.readouterr().err


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
