"""Accuracy under corruption: means, intervals, and a measurement that goes on where it was stopped."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import effnet
from corrupted_scenes import scenes
from effnet.data.datasets import DataSet, Samples
from effnet.errors import UsageError
from effnet.evaluation.classifier import Classifier, load
from effnet.evaluation.corruptions.catalogue import CORRUPTIONS, corrupt
from effnet.evaluation.opened import Opened
from effnet.evaluation.robustness import corrupted
from effnet.evaluation.robustness.corrupted import (
    CONDITIONS,
    Robustness,
    Settings,
    corrupting,
    image_keys,
    measure_robustness,
)
from effnet.evaluation.robustness.follow import ignore
from effnet.evaluation.robustness.passes import Pass, Store, run_pass
from tiny_models import HEADER, write

COUNT = 12


class StoppedError(Exception):
    """Somebody has had enough."""


@pytest.fixture
def data() -> DataSet:
    from PIL import Image

    images = scenes(COUNT, 8).permute(0, 2, 3, 1).numpy()
    names = tuple(f"{index}.png" for index in range(COUNT))
    samples = Samples(names, np.arange(COUNT) % 3, lambda name: Image.fromarray(images[int(name[:-4])]))
    return DataSet("scenes", ("ant", "bee", "fly"), {"test": samples}, source="scenes")


@pytest.fixture
def classifier(tmp_path: Path) -> Classifier:
    return load(write(tmp_path / "model.safetensors", HEADER), device="cpu")


@pytest.fixture
def opened(classifier: Classifier, data: DataSet) -> Iterator[Opened]:
    with classifier.opened(data) as opened:
        yield opened


def settings(folder: Path | None = None, seed: int = 0) -> Settings:
    return Settings(seed, Store(folder, lambda text: None))


def measure(classifier: Classifier, opened: Opened, settings: Settings) -> Robustness:
    clean = run_pass(classifier, opened)
    return measure_robustness(classifier, opened, clean, settings=settings, follow=ignore)


def constant(clean: NDArray[np.bool_], under: NDArray[np.bool_]) -> Robustness:
    """Return the result of a network that says the same under every corruption."""
    row = (Pass(under, 1.0, 0.1),) * 5
    return Robustness(Pass(clean, 0.5, 0.1), dict.fromkeys(CORRUPTIONS, row), 32, 0)


def test_one_call_opens_measures_and_keeps(
    classifier: Classifier, data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EFFNET_CACHE", str(tmp_path / "cache"))
    found = effnet.robustness(classifier, data, seed=3, max_images=6)
    assert (found.seed, found.clean.num_images) == (3, 6)
    assert len(list((tmp_path / "cache" / "measured").rglob("*-seed-3.json"))) == 75


def test_images_are_corrupted_by_their_names(classifier: Classifier, opened: Opened) -> None:
    keys = image_keys(opened.names)
    images, _ = next(iter(opened.pixels.once(COUNT)))
    changed = corrupting("fog", 3, 7, keys)(images[4:6], np.array([4, 5]))
    assert torch.equal(changed, corrupt(images, "fog", 3, seed=7, indices=keys)[4:6])


def test_a_name_has_its_own_number_wherever_it_stands() -> None:
    names = ("a/1.png", "b/2.png", "c/3.png")
    assert image_keys(names)[1:].tolist() == image_keys(names[1:]).tolist()
    assert len(set(image_keys(tuple(map(str, range(1000)))).tolist())) == 1000


def test_the_means_are_over_corruptions_and_severities() -> None:
    clean, under = np.arange(10) < 9, np.arange(10) < 6
    found = constant(clean, under)
    assert found.top1 == pytest.approx(0.6)
    assert found.error == pytest.approx(0.4)
    assert found.lost == pytest.approx(0.3)
    assert found.mean_top1("fog") == pytest.approx(0.6)


def test_what_is_lost_is_paired_by_image() -> None:
    """If corruption takes the same share of every image's answers, other images would lose the same."""
    correct = np.arange(200) % 2 == 0
    found = constant(correct, correct)
    assert found.lost_interval == (0.0, 0.0)
    low, high = found.interval
    assert low == pytest.approx(0.5 - 1.96 * 0.5 / np.sqrt(200), abs=1e-3)
    assert high == pytest.approx(0.5 + 1.96 * 0.5 / np.sqrt(200), abs=1e-3)


def test_what_was_measured_is_not_measured_again(
    classifier: Classifier, opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measure(classifier, opened, settings(tmp_path))
    assert list(first.cells) == list(CORRUPTIONS)
    assert {each.num_images for row in first.cells.values() for each in row} == {COUNT}
    assert settings(tmp_path).num_kept == len(CONDITIONS) == 75
    clean = run_pass(classifier, opened)
    monkeypatch.delattr(corrupted, "run_pass")
    again = measure_robustness(classifier, opened, clean, settings=settings(tmp_path), follow=ignore)
    assert again.to_dict() == first.to_dict()


def test_a_measurement_that_was_stopped_goes_on(
    classifier: Classifier, opened: Opened, tmp_path: Path
) -> None:
    clean = run_pass(classifier, opened)

    def stop(title: str, done: int, total: int) -> None:
        if done > 10 * COUNT:
            raise StoppedError

    with pytest.raises(StoppedError):
        measure_robustness(classifier, opened, clean, settings=settings(tmp_path), follow=stop)
    assert settings(tmp_path).num_kept == 10
    told: list[tuple[int, int]] = []
    resumed = measure_robustness(
        classifier, opened, clean, settings=settings(tmp_path),
        follow=lambda title, done, total: told.append((done, total)),
    )  # fmt: skip
    assert told[-1] == (65 * COUNT, 65 * COUNT)
    assert told == sorted(told)
    name, severity = CONDITIONS[9]
    again = run_pass(classifier, opened, corrupting(name, severity, 0, image_keys(opened.names)))
    assert resumed.cells[name][severity - 1].to_dict() == again.to_dict()


def test_another_seed_is_another_measurement(tmp_path: Path) -> None:
    made = Pass(np.ones(4, bool), 0.0, 0.0)
    settings(tmp_path).store.keep(settings().label(("fog", 1)), made)
    assert settings(tmp_path).num_kept == 1
    assert settings(tmp_path, seed=1).num_kept == 0


def test_json_says_what_is_not_comparable() -> None:
    correct = np.ones(4, bool)
    found = constant(correct, correct).to_dict()
    assert found.keys() >= {"clean_top1", "mean_corruption_top1", "mean_corruption_error", "lost"}
    assert (
        found["corruptions"]["frost"]["differs"]
        == "the panes of frost are drawn; the authors' are photographs"
    )
    assert found["corruptions"]["fog"]["differs"] is None
    assert len(found["corruptions"]["fog"]["severities"]) == 5
    assert any("AlexNet" in caveat for caveat in found["not_comparable"])


def test_the_rule_for_other_sizes_is_said_for_them_alone() -> None:
    published = constant(np.ones(4, bool), np.ones(4, bool))
    other = Robustness(published.clean, published.cells, 48, 0)
    assert not any("published constants for" in caveat for caveat in published.caveats)
    assert any("published constants for 32, 64 and 224" in caveat for caveat in other.caveats)


def test_a_network_for_tiny_images_cannot_be_measured(classifier: Classifier, data: DataSet) -> None:
    with classifier.opened(data, resolution=4) as opened, pytest.raises(UsageError, match="at least 8×8"):
        measure(classifier, opened, settings())
