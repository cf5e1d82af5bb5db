"""The benchmark: who takes part, who is out and why, and what is said of those that had turns."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import effnet
from chromium import Browser
from effnet.benching import run as benching
from effnet.benching.contest import Contest, Rules, batches, difference
from effnet.benching.page import write_bench
from effnet.benching.process import StoppedError
from effnet.benching.programs import Build, Contender, Images, Logits, Program
from effnet.benching.results import Benchmark, Row
from effnet.benching.subjects import neighbours
from effnet.benching.table4 import MODELS, TABLE_4, ask, compare, lines
from effnet.benching.terms import Terms
from effnet.errors import MissingExtraError, UsageError
from effnet.spec.cost import cost
from effnet.spec.families import NETWORKS, QUICK_CIFAR, get_spec
from effnet.spec.netspec import NetSpec
from effnet.spec.scale import scale

TINY: NetSpec = get_spec(scale(QUICK_CIFAR, -6), resolution=8, name="tiny")
SETTINGS: dict[str, Any] = {"device": "cpu", "threads": 1, "batch": [2], "rounds": 2, "seconds": 0.0}


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)

    def working(self, what: str, done: int, total: int) -> None:
        assert 0 <= done <= total


@contextmanager
def linear(ready: object, *, factor: float = 1.0) -> Iterator[Program]:
    """A network whose logits are the means of channels."""

    def answer(images: Images) -> Logits:
        logits: Logits = factor * images.mean((2, 3))
        return logits

    yield Program(lambda: None, answer)


@contextmanager
def broken(ready: object) -> Iterator[Program]:
    raise ValueError("no such layer\nand more")
    yield


@contextmanager
def dying(ready: object) -> Iterator[Program]:
    """Starts, and is gone in its first turn, as when memory runs out."""
    runs = iter(range(5))

    def run() -> None:
        if next(runs, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    yield Program(run, lambda images: images.mean((2, 3)))


@contextmanager
def talking(ready: object) -> Iterator[Program]:
    print("a library says something")
    os.write(2, b"and the last thing it says\n")
    os._exit(3)
    yield


def contender(program: str, build: Build, *, is_exact: bool = True) -> Contender:
    return Contender("net", program, build, (2, 3, 4, 4), is_exact=is_exact)


def contest(*contenders: Contender, is_stopped: Any = lambda: False) -> Contest:
    return Contest(contenders, Rules(rounds=2, seconds=0.0), Heard(), is_stopped)


def test_contenders_take_turns_and_one_that_computes_something_else_is_out() -> None:
    made = contest(
        contender("first", linear),
        contender("same", partial(linear, factor=1 + 1e-5)),
        contender("other", partial(linear, factor=1.1)),
        contender("rounded", partial(linear, factor=1.1), is_exact=False),
    )
    made.run()
    first, same, other, rounded = made.entries
    assert [len(entry.turns) for entry in (first, same, rounded)] == [2, 2, 2]
    assert (first.difference, other.turns) == (0.0, [])
    assert same.difference == pytest.approx(1e-5, rel=1.0)
    assert other.failure.startswith("computes something else: logits differ by ")
    assert rounded.difference is not None
    assert rounded.difference > 0.05
    assert not rounded.failure


def test_what_fails_is_out_with_its_reason_and_the_others_go_on() -> None:
    made = contest(
        contender("broken", broken), contender("dying", dying), contender("talking", talking),
        contender("well", linear),
    )  # fmt: skip
    made.run()
    reasons = [entry.failure for entry in made.entries]
    assert reasons[0] == "ValueError: no such layer"
    assert reasons[1] == "its process ended with SIGKILL, as when memory runs out"
    assert reasons[2] == "its process ended with exit code 3: and the last thing it says"
    assert reasons[3] == ""
    assert len(made.entries[3].turns) == 2
    assert [line.partition(": ")[0] for line in made.listener.lines if "warning" in line]  # type: ignore[attr-defined]


def test_a_wish_to_stop_ends_all_processes_and_keeps_what_is_known() -> None:
    wishes = iter([False] * 3)
    made = contest(contender("first", linear), is_stopped=lambda: next(wishes, True))
    with pytest.raises(StoppedError):
        made.run()
    assert made.entries[0].turns == []


def test_a_difference_is_a_share_of_what_other_images_change() -> None:
    one, other = (np.array([values], np.float32) for values in ((0.0, 4.0), (2.0, 4.0)))
    assert difference((one, other), (one, other)) == 0.0
    assert difference((one + 0.5, other), (one, other)) == 0.25


def test_batches_to_ask_about_are_the_same_each_time_and_differ() -> None:
    (one, other), again = batches((2, 3, 4, 4)), batches((2, 3, 4, 4))
    assert np.array_equal(one, again[0])
    assert not np.allclose(one, other)


@pytest.fixture(scope="module")
def result() -> Benchmark:
    """Two networks in torch and onnxruntime, with timm's."""
    pytest.importorskip("onnxruntime")
    peers: dict[str, Any] = {"against": ["timm"], "modes": ["eager"]} if find_spec("timm") else {}
    return effnet.bench(TINY, **SETTINGS, runtime=["torch", "onnxruntime"], **peers)


def test_every_program_on_a_network_is_timed_and_computes_the_same(result: Benchmark) -> None:
    programs = [row.program for row in result.rows]
    assert programs[:2] == ["effnet torch", "effnet onnxruntime"]
    assert "timm eager" in programs or not find_spec("timm")
    assert not result.failures
    for row in result.rows:
        assert (row.network, row.batch, row.cost) == ("tiny", 2, cost(TINY, 10))
        assert len(row.turns) == 2
        assert row.latency is not None
        assert row.latency.low <= row.latency.median <= row.latency.high
        assert row.difference is not None
        assert row.difference < 1e-3


def test_a_process_of_onnxruntime_has_no_torch_in_its_memory(result: Benchmark) -> None:
    torch, onnxruntime, *_ = (row.peak_bytes for row in result.rows)
    if torch is None or onnxruntime is None:
        pytest.skip("the system does not say")
    assert onnxruntime < 0.7 * torch


def test_all_of_it_is_json(result: Benchmark, tmp_path: Path) -> None:
    page = write_bench(result, tmp_path, command="effnet bench tiny")
    data = json.loads((tmp_path / "bench.json").read_text())
    assert data == json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert data["rows"][0]["params"] == cost(TINY, 10).params
    assert data["conditions"]["threads"] == 1
    text = page.read_text()
    assert "effnet bench tiny" in text
    assert "http:" not in text.replace("http://www.w3.org", "")
    assert text.count("data:image/png") == 2


def test_the_page_reads_well_everywhere(browser: Browser, tmp_path: Path) -> None:
    place = {
        "effnet": "0", "torch": "2", "python": "3", "platform": "Linux", "device": "cpu", "accelerator": None,
        "threads": 1, "cpu": "A processor", "versions": {"torch": "2", "timm": None},
        "rounds": 2, "seconds": 0.5,
    }  # fmt: skip
    rows = [timed(name, 0.25, 0.5) for name in MODELS] + [timed("b1", 0.2, program="timm compiled-bf16")]
    failed = replace(timed("b7", program="timm eager"), failure="its process ended with SIGKILL")
    found = replace(benchmark(*rows, failed, table4=True, stopped=2), conditions=place)
    assert browser.flaws(write_bench(found, tmp_path, command="effnet bench --table4")) == []


def test_a_training_step_is_timed_with_the_same_weights_as_a_peer_s() -> None:
    pytest.importorskip("timm")
    found = effnet.bench(TINY, **SETTINGS, train=True, against=["timm"], modes=["channels_last"])
    assert [row.program for row in found.rows] == ["effnet", "timm channels_last"]
    assert not found.failures
    assert found.largest_difference is not None
    assert found.largest_difference < 1e-3


@pytest.mark.slow
def test_torchvision_s_practice_trains_the_same_network() -> None:
    pytest.importorskip("torchvision")
    spec = get_spec("b0", resolution=32, name="b0")
    found = effnet.bench(
        spec, **SETTINGS | {"rounds": 1}, train=True, against=["torchvision"], modes=["eager"]
    )
    assert not found.failures
    assert [len(row.turns) for row in found.rows] == [1, 1]


def test_a_model_file_and_its_export_are_measured_as_they_are(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from effnet.benching.weights import write_random

    write_random(TINY, 3, tmp_path / "own.safetensors")
    effnet.export(tmp_path / "own.safetensors", tmp_path / "own.onnx")
    paths = [tmp_path / name for name in ("own.safetensors", "own.onnx")]
    found = effnet.bench(*paths, **SETTINGS)
    assert [row.network for row in found.rows] == [str(path) for path in paths]
    assert [row.program for row in found.rows] == ["effnet torch", "effnet onnxruntime"]
    assert {row.num_classes for row in found.rows} == {3}
    assert not found.failures
    larger = effnet.bench(paths[0], **SETTINGS | {"rounds": 1}, resolution=16)
    assert larger.rows[0].resolution == 16
    with pytest.raises(UsageError, match="8×8 pixels only"):
        effnet.bench(paths[1], **SETTINGS, resolution=16)
    with pytest.raises(UsageError, match="does not train"):
        effnet.bench(paths[1], **SETTINGS, train=True)
    with pytest.raises(UsageError, match=r"--classes 5: .* has 3"):
        effnet.bench(paths[0], **SETTINGS, classes=5)


def test_a_network_that_a_library_lacks_is_measured_alone() -> None:
    pytest.importorskip("torchvision")
    heard = Heard()
    settings = SETTINGS | {"rounds": 1, "against": ["torchvision"], "modes": ["eager"]}
    found = effnet.bench(TINY, reporter=heard, **settings)
    assert [row.program for row in found.rows] == ["effnet torch"]
    assert any(line.startswith("warning: torchvision has no tiny") for line in heard.lines)


def test_sigint_keeps_what_is_known() -> None:
    class Impatient(Heard):
        def message(self, text: str) -> None:
            if "started" in text:
                signal.raise_signal(signal.SIGINT)

    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals are heard in the main thread")
    found = effnet.bench(TINY, reporter=Impatient(), **SETTINGS)
    assert found.stopped == signal.SIGINT
    assert found.rows[0].start_seconds is not None
    assert found.rows[0].turns == ()


@pytest.mark.parametrize(
    ("models", "settings", "message"),
    [
        (["b99"], {}, "unknown network 'b99'"),
        (["b0", "b0"], {}, "b0 is given twice"),
        ([], {"rounds": 0}, "rounds = 0"),
        ([], {"seconds": -1.0}, "seconds = -1.0"),
        ([], {"batch": [0]}, "batch.0 = 0"),
        ([], {"agains": ["timm"]}, "unknown setting of a benchmark 'agains'; known: against"),
        ([], {"against": ["keras"]}, "'keras'"),
        ([], {"modes": ["eager"]}, "--modes are those of other libraries"),
        ([], {"train": True, "runtime": ["onnxruntime"]}, "--runtime onnxruntime predicts only"),
        ([], {"runtime": ["onnxruntime"], "device": "mps"}, "--runtime onnxruntime computes on the CPU"),
        ([], {"device": "tpu"}, "device 'tpu' is not available"),
        (["b0"], {"table4": True}, "--table4 measures resnet-152, b1, b7; leave MODEL out"),
        ([], {"table4": True, "threads": 2}, "leave --threads out"),
        ([], {"table4": True, "batch": [1, 2]}, "leave --batch out"),
        ([], {"table4": True, "train": True}, "leave --train out"),
        ([], {"table4": True, "device": "cuda"}, "leave --device cuda out"),
    ],
)
def test_wrong_use_is_said_before_anything_starts(
    models: list[str], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        effnet.bench(*models, **settings)
    assert message in str(caught.value)


def test_table_4_may_be_asked_for_with_what_it_is_anyway() -> None:
    terms = ask(Terms(table4=True, threads=1, batch=(1,)), models=0)
    assert (terms.rounds, terms.seconds, terms.threads, terms.batch) == (20, 0.0, 1, (1,))


def test_a_library_that_is_missing_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    from effnet.benching import peers

    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    with pytest.raises(
        MissingExtraError, match="--against timm needs timm; install it with: pip install timm"
    ):
        effnet.bench(TINY, against=["timm"])


def test_without_a_network_b0_and_its_neighbours_in_macs_are_measured() -> None:
    names = neighbours()
    macs = [cost(NETWORKS[name]).macs for name in names]
    assert "b0" in names
    assert len(names) == 5
    assert macs == sorted(macs)
    assert max(macs) < 4 * cost("b0").macs


def test_many_contenders_take_turns_network_by_network() -> None:
    few = [tuple(contender(str(index), linear) for index in range(2))] * 3
    assert [len(group) for group in benching.groups(few)] == [6]
    assert [len(group) for group in benching.groups(few * 3)] == [2] * 9


def timed(network: str, *turns: float, program: str = "effnet torch") -> Row:
    spec = get_spec(network)
    return Row(network, spec.resolution, 1000, cost(spec), program, 1, tuple((turn,) for turn in turns))


def benchmark(*rows: Row, **settings: Any) -> Benchmark:
    return Benchmark("infer", rows, {}, **settings)


def test_a_ratio_is_that_of_rounds() -> None:
    ratio = timed("b0", 1.0, 2.0, 4.0).ratio(timed("b1", 2.0, 2.0, 16.0))
    assert ratio is not None
    assert (ratio.low, ratio.median, ratio.high) == (1.0, 2.0, 4.0)
    assert timed("b0").ratio(timed("b1")) is None


def test_speed_is_beside_the_first_program_on_the_network_or_the_first_row() -> None:
    one, other = timed("b0", 1.0), timed("b1", 1.0)
    peer = timed("b1", 1.0, program="timm eager")
    assert benchmark(one, other).reference(other) is one
    assert benchmark(one, other, peer).reference(peer) is other


def test_table_4_keeps_what_is_published_apart_from_what_is_measured() -> None:
    for line in TABLE_4:
        assert round(line.quotient, 1) == line.factor
    found = benchmark(
        timed("resnet-152", 0.2, 0.4), timed("b1", 0.1, 0.1), timed("b7", 1.0, 2.0), table4=True
    )
    first, second = compare(found)
    assert first.factor == 3.0
    assert first.other_seconds == pytest.approx(0.3)
    assert (second.factor, second.other_seconds, second.network_seconds) == (None, None, 1.5)
    assert set(MODELS) == {row.network for row in found.rows}
    text = [" ".join(line) for line in lines(found)]
    assert text == [
        "published resnet-152 0.554 b1 0.098 5.7×",
        "published GPipe 19 b7 3.1 6.1×",
        "measured, effnet torch resnet-152 0.3 b1 0.1 3.0×",
        "measured, effnet torch GPipe not here b7 1.5 –",
    ]
    assert json.loads(json.dumps(found.to_dict()))["table4"][0]["factor"] == 3.0
