"""Timing: which runs count, and under which conditions networks are run."""

from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import pytest
import torch
from exact_machine import CONDITIONS, Machine, exact_seconds

from effnet.errors import UsageError
from effnet.sizing.budget.latency import (
    MAX_READY,
    Conditions,
    Timer,
    conditions,
    exported,
    onnxruntime_run,
    torch_run,
)
from effnet.sizing.budget.timing import Latency, Run, summarise, times, warm_up
from effnet.spec.families import B0_CIFAR
from effnet.spec.netspec import NetSpec
from effnet.spec.scale import scale

SMALL, LARGE = scale(B0_CIFAR, -8), scale(B0_CIFAR, -5)
MISSING = "mps" if torch.cuda.is_available() else "cuda"


def test_a_latency_is_the_median_with_its_quarters() -> None:
    assert summarise([5.0, 1.0, 2.0, 4.0, 3.0]) == Latency(3.0, 2.0, 4.0, num_runs=5)
    assert summarise([5.0, 1.0, 2.0, 4.0, 3.0]).spread == pytest.approx(2 / 3)


def test_runs_are_timed_until_the_time_is_over() -> None:
    machine = Machine()
    taken = times(machine.prepare(LARGE), 10.5 * exact_seconds(LARGE), machine.clock)
    assert taken == pytest.approx([exact_seconds(LARGE)] * 11)


def test_a_slow_network_is_run_once_at_least() -> None:
    machine = Machine()
    assert len(times(machine.prepare(LARGE), 0.0, machine.clock)) == 1


def test_warming_up_takes_runs_and_time() -> None:
    machine = Machine()
    warm_up(machine.prepare(SMALL), machine.clock)
    assert 0.05 <= machine.now < 0.06


def slow_at_first(spec: NetSpec) -> Iterator[float]:
    return chain([1000.0, 1000.0], repeat(1.0))


def test_slow_first_runs_do_not_count() -> None:
    timer = Machine(slow_at_first).timer()
    timer.measure([SMALL], 0.01, rounds=2)
    assert timer.latency(SMALL).high == pytest.approx(exact_seconds(SMALL))


def test_networks_take_turns() -> None:
    machine, order = Machine(), list[str]()

    def prepare(spec: NetSpec) -> Run:
        run = machine.prepare(spec)

        def told() -> None:
            order.append(spec.name)
            run()

        return told

    timer = Timer(prepare, machine.clock)
    for spec in (SMALL, LARGE):
        timer.run_of(spec)
    order.clear()
    timer.measure([SMALL, LARGE], 0.0, rounds=3)
    assert order == [SMALL.name, LARGE.name] * 3
    assert timer.latency(SMALL).num_runs == 3


def test_a_network_is_built_once_while_it_is_used() -> None:
    machine = Machine()
    timer = machine.timer()
    for _ in range(3):
        timer.measure([SMALL, LARGE], 0.0, rounds=2)
    assert machine.built == [SMALL, LARGE]


def test_of_many_networks_only_the_last_ones_stay_in_memory() -> None:
    timer = Machine().timer()
    specs = [scale(B0_CIFAR, phi) for phi in range(-9, -1)]
    timer.measure(specs, 0.0, rounds=1)
    assert list(timer.ready) == specs[-MAX_READY:]
    assert len(timer.taken) == len(specs)


def test_torch_predicts_as_the_classifier_does(tmp_path: Path) -> None:
    probs = torch_run(SMALL, CONDITIONS, tmp_path)()
    assert isinstance(probs, torch.Tensor)
    assert probs.shape == (1, 10)
    assert probs.sum() == pytest.approx(1.0)
    assert list(tmp_path.iterdir()) == []


def test_onnxruntime_predicts_a_batch_and_a_network_is_exported_once(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    three = Conditions(torch.device("cpu"), "onnxruntime", 3, 10)
    (logits,) = onnxruntime_run(SMALL, three, tmp_path)()
    assert logits.shape == (3, 10)
    assert np.isfinite(logits).all()
    (path,) = tmp_path.iterdir()
    changed = path.stat().st_mtime_ns
    assert exported(SMALL, three, tmp_path) == path
    assert path.stat().st_mtime_ns == changed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((MISSING, "torch", 1, 10), f"device '{MISSING}' is not available here"),
        (("cpu", "tensorrt", 1, 10), "unknown runtime 'tensorrt'; known: torch, onnxruntime"),
        (("cpu", "torch", 0, 10), "--batch 0: must be from 1 to 65536"),
        (("cpu", "torch", 1, 0), "--classes 0: must be from 1 to 65536"),
    ],
)
def test_conditions_that_are_not_there_are_refused(
    arguments: tuple[str, str, int, int], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        conditions(*arguments)


def test_onnxruntime_takes_no_other_device() -> None:
    pytest.importorskip("onnxruntime")
    assert conditions("auto", "onnxruntime", 1, 10).device.type == "cpu"
    with pytest.raises(UsageError, match="leave --device cuda out"):
        conditions("cuda", "onnxruntime", 1, 10)


def test_conditions_say_themselves() -> None:
    words = Conditions(torch.device("cpu"), "torch", 8, 10).words()
    assert words.startswith(f"8 images at once, torch on cpu, {torch.get_num_threads()} thread")
