"""Accuracy at other resolutions: which sides, never below the stride, kept like any pass."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import effnet
from effnet.data.datasets import open_dataset
from effnet.evaluation.classifier import Classifier, load
from effnet.evaluation.robustness.passes import Pass, run_pass
from effnet.evaluation.robustness.resolutions import Resolutions, measure_resolutions, sides
from effnet.spec.cost import cost
from tiny_models import HEADER, SPEC, always, folder, write

CLASSES = ("ant", "bee", "fly")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EFFNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def own_pass(classifier: Classifier, data: Path) -> Pass:
    with classifier.opened(data) as opened:
        return run_pass(classifier, opened)


def measure(classifier: Classifier, data: Path, told: list[str] | None = None) -> Resolutions:
    heard = [] if told is None else told
    return measure_resolutions(
        classifier, open_dataset(data), own_pass(classifier, data),
        follow=lambda title, done, total: heard.append(title), say=lambda text: None,
    )  # fmt: skip


def test_sides_are_half_to_one_and_a_half_times_the_own() -> None:
    assert sides(32, 8) == ([16, 20, 24, 28, 32, 36, 40, 48], [])
    assert sides(224, 32) == ([112, 140, 168, 196, 224, 252, 280, 336], [])


def test_sides_below_the_stride_are_left_out() -> None:
    assert sides(40, 32) == ([35, 40, 45, 50, 60], [20, 25, 30])


@given(st.integers(1, 1000), st.sampled_from([1, 2, 4, 8, 16, 32]))
def test_the_own_side_is_always_measured(resolution: int, stride: int) -> None:
    measured, left_out = sides(resolution, stride)
    assert resolution in measured
    assert all(side >= stride for side in measured if side != resolution)
    assert all(side < stride for side in left_out)


def test_each_side_is_measured_at_its_cost(tmp_path: Path) -> None:
    data, told = folder(tmp_path / "data", *CLASSES, images=2), list[str]()
    classifier = load(write(tmp_path / "model.safetensors"), device="cpu")
    found = measure(classifier, data, told)
    expected, left_out = sides(HEADER.preprocess.resolution, SPEC.total_stride)
    assert [point.side for point in found.points] == expected
    assert list(found.left_out) == left_out
    assert [point.macs for point in found.points] == [cost(SPEC, 3, side).macs for side in expected]
    assert [point.cells for point in found.points] == [side / SPEC.total_stride for side in expected]
    assert all(point.measured.num_images == 6 for point in found.points)
    assert dict.fromkeys(told) == dict.fromkeys(
        f"{side}×{side} pixels" for side in expected if side != found.side
    )


def test_a_network_that_never_changes_its_mind_is_best_at_the_smallest(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", *CLASSES)
    classifier = load(write(tmp_path / "model.safetensors", *always("ant", *CLASSES)), device="cpu")
    found = measure(classifier, data)
    assert {point.measured.num_errors for point in found.points} == {2}
    assert found.best == found.points[0]
    assert found.own.side == found.side
    assert found.to_dict()["points"][0].keys() >= {"side", "cells", "macs", "top1", "interval"}


def test_one_call_opens_and_measures(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", *CLASSES, images=3)
    classifier = load(write(tmp_path / "model.safetensors"), device="cpu")
    found = effnet.resolutions(classifier, data, max_images=3)
    assert {point.measured.num_images for point in found.points} == {3}


def test_what_was_measured_is_kept(tmp_path: Path, cache: Path) -> None:
    data = folder(tmp_path / "data", *CLASSES)
    classifier = load(write(tmp_path / "model.safetensors"), device="cpu")
    first = measure(classifier, data)
    kept = list((cache / "measured").rglob("*.json"))
    assert len(kept) == len(first.points) - 1
    told: list[str] = []
    assert measure(classifier, data, told).to_dict() == first.to_dict()
    assert told == []
