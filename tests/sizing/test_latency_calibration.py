"""Calibration is done once for a machine and its conditions, and kept."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from exact_machine import CONDITIONS

from effnet.sizing.budget.calibration import calibrated, key_of, run_all
from effnet.sizing.budget.latency import Conditions
from effnet.sizing.budget.latency_model import NUM_CLASSES, LatencyModel
from effnet.sizing.budget.slices import slices
from effnet.spec.families import B0_CIFAR
from effnet.spec.scale import scale

NETWORKS = tuple(scale(B0_CIFAR, -10 + number / 2) for number in range(6))


class Teacher:
    """Learns a model at once, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[Conditions] = []
        self.said: list[str] = []

    def calibrate(self, given: Conditions) -> LatencyModel:
        self.asked.append(given)
        return LatencyModel({"dense": (1e-5, 2.0), "head": (0.0, 1 / 3)}, 0.9, 2.0**20, given.batch)

    def model(self, given: Conditions = CONDITIONS) -> LatencyModel:
        return calibrated(given, self.said.append, self.calibrate)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EFFNET_CACHE", str(tmp_path))
    return tmp_path / "latency"


def test_a_model_is_learned_once_and_then_read() -> None:
    teacher = Teacher()
    assert teacher.model() == teacher.model()
    assert len(teacher.asked) == 1
    assert len(teacher.said) == 1


def test_another_batch_or_number_of_threads_is_learned_anew() -> None:
    teacher, threads = Teacher(), torch.get_num_threads()
    teacher.model()
    teacher.model(replace(CONDITIONS, batch=64))
    torch.set_num_threads(threads + 1)
    try:
        teacher.model()
    finally:
        torch.set_num_threads(threads)
    assert len(teacher.asked) == 3


def test_the_number_of_classes_does_not_matter() -> None:
    assert key_of(CONDITIONS) == key_of(replace(CONDITIONS, num_classes=1000))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": 5}', '{"model": {"rates": {}, "other": 1}}'])
def test_a_damaged_model_is_learned_anew(content: str, cache: Path) -> None:
    teacher = Teacher()
    model = teacher.model()
    (path,) = cache.iterdir()
    path.write_text(content)
    assert teacher.model() == model
    assert len(teacher.asked) == 2


def test_each_network_is_run_and_profiled_slice_by_slice() -> None:
    networks, profiles = run_all(CONDITIONS, NETWORKS[:2])
    assert networks == NETWORKS[:2]
    for spec, found in zip(networks, profiles, strict=True):
        assert len(found.slices) == len(list(slices(spec, NUM_CLASSES)))
        assert min(found.slices) > 0


def test_when_the_time_is_over_the_dear_networks_are_left_out() -> None:
    networks, profiles = run_all(CONDITIONS, NETWORKS, most_seconds=0.0)
    assert networks == NETWORKS[:4]
    assert len(profiles) == 4


def test_a_cache_that_cannot_be_written_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFNET_CACHE", "/dev/null/cache")
    teacher = Teacher()
    assert teacher.model().factor == 0.9
    assert teacher.said[-1].startswith("warning: cannot write /dev/null/cache/latency/")
