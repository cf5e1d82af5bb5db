"""The benchmarks measure what they say, and write it down."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import bench_train
import cold_start
import loop_overhead
import paper_claims
import recording
from effnet.benching.machine import cpu_name
from effnet.spec import netspec
from effnet.spec.families import B0_CIFAR
from effnet.spec.scale import scale
from effnet.training.reporter import EpochRecord, StepRecord
from shard_sets import write_folder

ROOT = Path(__file__).parent.parent


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(loop_overhead, "perf_counter", clock)
    return clock


def step_record(step: int) -> StepRecord:
    return StepRecord(0, 1, step, 1000, loss=1.0, top1=0.5, lr=0.1, images_per_second=1.0)


def epoch_record() -> EpochRecord:
    return EpochRecord(0, 9, 0.1, 1.0, 0.5, 1.0, 0.5, None, None, images_per_second=1.0, seconds=1.0)


def referee(clock: Clock, rounds: int = 2) -> loop_overhead.Referee:
    """The bare step takes ten steps a second, and the clock goes on."""

    def bare(seconds: float) -> float:
        clock.now += seconds
        return 10.0

    return loop_overhead.Referee(bare, rounds, seconds=2.0)


def report(to: loop_overhead.Referee, clock: Clock, after: float, step: int) -> None:
    clock.now += after
    to.step(step_record(step))


def test_loop_and_bare_step_take_turns_until_the_last_round(clock: Clock) -> None:
    judge = referee(clock)
    for number in range(5):
        report(judge, clock, after=0.5, step=4 * number)
    assert judge.pairs == [(8.0, 10.0)]
    for number in range(5, 8):
        report(judge, clock, after=0.5, step=4 * number)
    with pytest.raises(loop_overhead.EnoughError):
        report(judge, clock, after=0.5, step=4 * 8)
    assert judge.pairs == [(8.0, 10.0)] * 2


def test_time_between_two_epochs_is_not_the_loops(clock: Clock) -> None:
    judge = referee(clock)
    report(judge, clock, after=0.5, step=0)
    report(judge, clock, after=1.0, step=9)
    judge.epoch(epoch_record())
    report(judge, clock, after=100.0, step=10)
    report(judge, clock, after=1.0, step=19)
    assert judge.pairs == [(9.0, 10.0)]


def test_a_result_is_a_line_of_its_file(tmp_path: Path) -> None:
    for value in (1, 2):
        recording.append("speed", {"value": value, "network": "µ"}, tmp_path / "new")
    lines = (tmp_path / "new" / "speed.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"value": v, "network": "µ"} for v in (1, 2)]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only a git checkout has a commit")
def test_a_result_says_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/speed.py", "--fast"])
    stamp = recording.stamp()
    assert stamp["command"] == "python benchmarks/speed.py --fast"
    head = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    assert head.stdout.startswith(stamp["commit"].rstrip("+"))
    assert cpu_name()


def results(script: str, *arguments: str, folder: Path) -> list[dict[str, Any]]:
    """Run a benchmark and return the lines that it wrote."""
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / f"{script}.py"),
        *arguments,
        "--results",
        str(folder),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    path = folder / f"{script}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_the_papers_claims_are_computed_from_what_it_prints() -> None:
    assert round(paper_claims.PARAMS.quotient, 1) == paper_claims.PARAMS.factor
    assert round(paper_claims.LATENCY.quotient, 1) == paper_claims.LATENCY.factor
    table = paper_claims.lines(66_347_960, [2.0, 4.0])
    assert table[2].split()[2:4] == ["66,347,960", "8.40"]
    assert "3.00 s ± 1.41" in table[4]


@pytest.mark.slow
def test_the_latency_of_b7_is_measured(tmp_path: Path) -> None:
    (row,) = results("paper_claims", "--runs", "1", folder=tmp_path)
    assert (row["network"], row["params"], len(row["seconds"])) == ("b7", 66_347_960, 1)
    assert row["environment"]["threads"] == 1


@pytest.mark.slow
def test_the_training_step_is_measured_beside_timms(tmp_path: Path) -> None:
    spec = replace(scale(B0_CIFAR, -6), stages=B0_CIFAR.stages[:2], name="tiny")
    netspec.save(spec, tmp_path / "tiny.json")
    names = ["ours", "timm-channels_last"]
    flags = ["--model", str(tmp_path / "tiny.json"), "--batch", "4", "--rounds", "2", "--seconds", "0.1"]
    rows = results("train_step", *flags, "--only", *names, "--precision", "float32", folder=tmp_path)
    assert [row["contender"] for row in rows] == names
    for row in rows:
        assert (row["network"], row["batch_size"], len(row["rounds"])) == ("tiny", 4, 2)
        assert min(row["rounds"]) <= row["images_per_second"] <= max(row["rounds"])
        assert row["matrix_gflops"]["product-float32"] * 1e9 > 6 * row["macs"] * max(row["rounds"])
        assert row["images_in_10_minutes"][0] < 600 * row["images_per_second"]


def test_how_much_faster_ours_is_is_told_round_by_round() -> None:
    turns = {"ours": [1.0, 2.0, 4.0], "timm-compiled": [2.0, 2.0, 12.0], "timm-eager": [5.0, 5.0, 5.0]}
    found = bench_train.summary(turns, batch=8)
    assert found["timm-compiled"] == {"images_per_second": 4.0, "ratio": 2.0, "lowest": 1.0, "highest": 3.0}
    assert bench_train.best_of(found) == "timm-compiled"


@pytest.mark.slow
def test_the_quick_benchmark_takes_turns_with_timm(tmp_path: Path) -> None:
    spec = replace(scale(B0_CIFAR, -6), stages=B0_CIFAR.stages[:2], name="tiny")
    netspec.save(spec, tmp_path / "tiny.json")
    flags = ["--model", str(tmp_path / "tiny.json"), "--batch", "4", "--within", "0", "--record"]
    caches = ["--caches", str(tmp_path / "caches")]
    (row,) = results("bench_train", *flags, *caches, "--only", "timm-channels_last", folder=tmp_path)
    assert {name: len(seconds) for name, seconds in row["turns"].items()} == {
        "ours": bench_train.LEAST_ROUNDS,
        "timm-channels_last": bench_train.LEAST_ROUNDS,
    }
    assert row["summary"] == bench_train.summary(row["turns"], 4)


def test_time_inside_a_watched_call_is_not_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([(0.0, 0.0), (1.0, 0.5), (5.0, 1.0)])
    monkeypatch.setattr(cold_start, "now", lambda: next(ticks))
    watch = cold_start.Watch(0.0)
    inner = watch.over(lambda: 3, "step")
    assert watch.over(inner, "data")() == 3
    assert (watch.spent["data"], watch.spent["step"]) == ((5.0, 1.0), (0.0, 0.0))


@pytest.mark.slow
def test_the_first_step_is_reached_and_its_phases_are_all_the_time() -> None:
    seconds = cold_start.measured(["digits"])
    for kind in (0, 1):
        parts = sum(seconds[phase][kind] for phase in cold_start.PHASES if phase != "total")
        assert parts == pytest.approx(seconds["total"][kind])
    assert min(seconds[phase][1] for phase in cold_start.PHASES) > 0


@pytest.mark.slow
def test_the_loop_is_measured_beside_the_bare_step(tmp_path: Path) -> None:
    flags = ["digits", "--rounds", "2", "--seconds", "0.5", "--resolution", "8"]
    (row,) = results("loop_overhead", *flags, folder=tmp_path)
    rates = row["images_per_second"]
    assert len(row["ratios"]) == len(rates["loop"]) == 2
    assert row["ratios"][0] == pytest.approx(rates["loop"][0] / rates["bare"][0], rel=1e-2)
    assert min(row["ratios"]) > 0.3


@pytest.mark.slow
def test_the_evaluation_is_measured_beside_the_bare_passes(tmp_path: Path) -> None:
    flags = ["--model", "b0-cifar", "--phi", "-8", "--resolution", "8", "--images", "100", "--rounds", "2"]
    (row,) = results("evaluate", *flags, folder=tmp_path)
    seconds = row["seconds"]
    assert (row["images"], len(row["ratios"])) == (100, 2)
    assert row["ratios"][0] == pytest.approx(seconds["evaluation"][0] / seconds["bare"][0], rel=0.1)


@pytest.mark.slow
def test_corruptions_are_measured_beside_the_package(tmp_path: Path) -> None:
    (row,) = results("corruptions", "--images", "2", folder=tmp_path)
    speeds = row["images_per_second"]
    assert len(speeds) == 15
    assert all(len(speed["ours"]) == len(row["severities"]) for speed in speeds.values())
    assert row["seconds_of_75_passes_over_10000_images"] > 0


@pytest.mark.slow
def test_the_model_of_latency_is_judged_by_networks_it_never_saw(tmp_path: Path) -> None:
    script, names = str(ROOT / "benchmarks" / "latency_model.py"), ["b0-cifar-phi-8", "quick-cifar at 96"]
    flags = ["--only", *names, "--seconds", "0.05", "--results", str(tmp_path)]
    subprocess.run([sys.executable, script, *flags], check=True, stdout=subprocess.DEVNULL)
    row = json.loads((tmp_path / "latency-model.jsonl").read_text())
    assert [network["network"] for network in row["networks"]] == names
    assert not set(names) & set(row["learned_from"])
    for network in row["networks"]:
        assert min(network["measured_ms"], network["foretold_ms"], network["by_macs_ms"]) > 0
    assert row["errors"]["foretold"]["median"] <= row["errors"]["foretold"]["largest"]


@pytest.mark.slow
def test_maps_are_measured_beside_the_forward_pass(tmp_path: Path) -> None:
    rows = results("explain", "--only", "quick-cifar", "--batch", "2", "--rounds", "2", folder=tmp_path)
    assert [row["task"] for row in rows] == ["forward", "CAM", "Grad-CAM", "explain", "captum"]
    for row in rows:
        assert row["ratios"][0] == pytest.approx(row["seconds"][0] / rows[0]["seconds"][0], rel=0.1)


@pytest.mark.slow
def test_maps_are_judged_by_planted_objects(tmp_path: Path) -> None:
    flags = ["--only", "near-sighted", "--seeds", "1", "--images", "64", "--epochs", "1"]
    (row,) = results("localisation", *flags, folder=tmp_path)
    assert (row["receptive_field"], row["cells"], len(row["trained"])) == (11, 12, 1)
    assert 0 <= row["untrained"][0] <= 1


@pytest.mark.slow
def test_without_a_record_nothing_is_written(tmp_path: Path) -> None:
    flags = ["digits", "--rounds", "1", "--seconds", "0.1", "--resolution", "8", "--no-record"]
    assert results("loop_overhead", *flags, folder=tmp_path) == []


@pytest.mark.slow
def test_programs_that_predict_are_measured_side_by_side(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    names = ["ours", "onnxruntime, timm's export", "timm eager", "ours, int8"]
    flags = ["--side", "32", "--batch", "1", "3", "--rounds", "2", "--seconds", "0", "--threads", "1"]
    rows = results("inference", *flags, "--only", *names, folder=tmp_path)
    assert [(row["batch"], row["program"]) for row in rows] == [(n, name) for n in (1, 3) for name in names]
    for row in rows:
        assert min(row["rounds"]) <= row["milliseconds"] <= max(row["rounds"])
        assert row["difference"] <= 1e-4 or row["program"] == "ours, int8"


@pytest.mark.slow
def test_shards_are_measured_beside_the_folder(tmp_path: Path) -> None:
    images = write_folder(tmp_path / "images", 40)
    flags = ["--rounds", "2", "--workers", "1", "--shard-mb", "0.05"]
    (row,) = results("shards", str(images), *flags, folder=tmp_path / "results")
    assert (row["images"], row["shards"], len(row["images_per_second"])) == (40, 3, 5)
    assert all(len(speeds) == 2 and min(speeds) > 0 for speeds in row["images_per_second"].values())
