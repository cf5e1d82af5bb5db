"""`effnet bench`: what it prints, writes and refuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from effnet.benching.results import Benchmark, Row
from effnet.cli.bench import BenchForm, check, show
from effnet.cli.main import main
from effnet.errors import EffnetError
from effnet.spec import netspec
from effnet.spec.cost import cost
from effnet.spec.families import QUICK_CIFAR, get_spec
from effnet.spec.scale import scale

Capture = pytest.CaptureFixture[str]
CONDITIONS = {"cpu": "A processor", "threads": 1, "accelerator": None, "device": "cpu"}


def row(network: str, program: str, *turns: float, failure: str = "") -> Row:
    spec = get_spec(network)
    peak = 300_000_000 if turns else None
    return Row(
        network, spec.resolution, 1000, cost(spec), program, 4, tuple((turn,) for turn in turns),
        1.0, peak, 1e-6, failure,
    )  # fmt: skip


RESULT = Benchmark(
    "infer",
    (
        row("b0", "effnet torch", 0.02, 0.02),
        row("b0", "timm eager", 0.04, 0.05),
        row("b0", "timm compiled", failure="RuntimeError: no compiler"),
    ),
    CONDITIONS,
)


def shown(capsys: Capture, result: Benchmark = RESULT) -> list[str]:
    show(result, BenchForm())
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_a_row_has_costs_times_throughput_and_speed(capsys: Capture) -> None:
    title, _, first, second, third, *rest = shown(capsys)
    assert title == "prediction of 4 images on A processor with 1 thread"
    assert first == "b0 effnet torch 224 5.29 M 386 M 6.75 M 300 20 20–20 200 × 1.00 1.00–1.00"
    assert second.endswith("300 45 42.5–47.5 88.89 × 0.45 0.40–0.50")
    assert third.endswith("– RuntimeError: no compiler")
    assert "Logits of one network differ by at most 1e-06 of what other images change." in rest


def test_a_contender_without_a_result_fails_the_command() -> None:
    with pytest.raises(EffnetError, match="without a result: b0, timm compiled: RuntimeError") as caught:
        check(RESULT)
    assert caught.value.exit_code == 1


def test_a_signal_ends_with_its_own_code() -> None:
    with pytest.raises(EffnetError, match="stopped early") as caught:
        check(Benchmark("infer", (), CONDITIONS, stopped=2))
    assert caught.value.exit_code == 130


def test_json_is_all_of_it_and_a_page_is_written(tmp_path: Path, capsys: Capture) -> None:
    netspec.save(get_spec(scale(QUICK_CIFAR, -6), resolution=8), tmp_path / "tiny.json")
    flags = ["--batch", "1", "2", "--rounds", "1", "--seconds", "0", "--threads", "1", "--device", "cpu"]
    out = tmp_path / "out"
    assert main(["bench", str(tmp_path / "tiny.json"), *flags, "--out", str(out), "--json"]) == 0
    printed = capsys.readouterr()
    data = json.loads(printed.out)
    assert printed.err == ""
    assert [found["batch"] for found in data["rows"]] == [1, 2]
    assert data == json.loads((out / "bench.json").read_text())
    assert "data:image/png" in (out / "bench.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["b9"], "unknown network 'b9'"),
        (["--train", "--infer"], "--train and --infer exclude each other"),
        (["--against", "keras"], "keras"),
        (["--batch", "0"], "batch.0 = 0"),
        (["--rounds", "none"], "none"),
        (["--table4", "--batch", "2"], "--table4 times one image on one core; leave --batch out"),
        (["--roundz", "3"], "perhaps you meant --rounds"),
    ],
)
def test_wrong_use_is_one_line(arguments: list[str], message: str, capsys: Capture) -> None:
    assert main(["bench", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err.splitlines()[-1]


@pytest.mark.parametrize("name", ["missing.safetensors", "missing.onnx"])
def test_a_missing_file_is_named(name: str, capsys: Capture) -> None:
    assert main(["bench", name]) == 1
    assert f"{name}: no such file" in capsys.readouterr().err


def test_help_needs_no_torch() -> None:
    code = (
        "import sys\n"
        "from effnet.cli.main import main\n"
        "try:\n    main(['bench', '--help'])\nexcept SystemExit:\n    pass\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--against" in done.stdout
    assert done.stdout.splitlines()[-1] == "False"
