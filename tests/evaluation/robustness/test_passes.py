"""What is measured is kept, and used again only for the same model, images and conditions."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from effnet.evaluation.classifier import Classifier, load
from effnet.evaluation.metrics import summarise
from effnet.evaluation.robustness.passes import Pass, Store, judged, open_store, run_pass
from tiny_models import HEADER, folder, write

CLASSES = ("ant", "bee", "fly")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EFFNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def some_pass(count: int = 11) -> Pass:
    return Pass(np.arange(count) % 3 == 0, 0.25, 0.125)


def same(one: Pass | None, other: Pass) -> bool:
    return one is not None and one.to_dict() == other.to_dict() and np.array_equal(one.correct, other.correct)


def store(folder: Path, said: list[str] | None = None) -> Store:
    return Store(folder, (said if said is not None else []).append)


def store_of(classifier: Classifier, data: Path) -> Path | None:
    with classifier.opened(data) as opened:
        return open_store(classifier, opened, lambda text: None).folder


def test_a_pass_has_the_numbers_of_the_evaluation() -> None:
    logits = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(40) % 3
    expected, found = summarise(logits / 2, labels, CLASSES, "test"), judged(logits, labels, 2.0)
    assert found.num_errors == expected.num_errors
    assert (found.top1, found.interval) == (expected.top1, expected.interval)
    assert found.loss == pytest.approx(expected.loss)
    assert found.ece == pytest.approx(expected.ece)


def test_what_is_kept_is_found_again(tmp_path: Path) -> None:
    store(tmp_path).keep("fog-1", some_pass())
    found = store(tmp_path).find("fog-1", 11)
    assert same(found, some_pass())
    assert store(tmp_path).find("fog-2", 11) is None


def test_a_pass_over_other_images_is_not_used(tmp_path: Path) -> None:
    store(tmp_path).keep("fog-1", some_pass())
    assert store(tmp_path).find("fog-1", 12) is None


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "{}", '{"effnet_pass": 1}', '{"effnet_pass": 0, "num_images": 11}',
        '{"effnet_pass": 1, "num_images": 11, "correct": "AA==", "loss": 1, "ece": 0}',
        '{"effnet_pass": 1, "num_images": 11, "correct": "?", "loss": 1, "ece": 0}',
    ],
)  # fmt: skip
def test_a_damaged_pass_is_measured_again_and_said(tmp_path: Path, content: str) -> None:
    said: list[str] = []
    (tmp_path / "fog-1.json").write_text(content)
    assert store(tmp_path, said).find("fog-1", 11) is None
    assert said[0].startswith(f"warning: {tmp_path / 'fog-1.json'} is unusable")
    store(tmp_path).keep("fog-1", some_pass())
    assert same(store(tmp_path).find("fog-1", 11), some_pass())


def test_a_place_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    (tmp_path / "file").touch()
    store(tmp_path / "file", said).keep("fog-1", some_pass())
    assert said[0].startswith("warning: cannot write")
    assert "will be measured again" in said[0]


def test_a_folder_belongs_to_a_model_and_its_images(tmp_path: Path, cache: Path) -> None:
    data = folder(tmp_path / "data", *CLASSES)
    first = load(write(tmp_path / "a.safetensors"), device="cpu")
    again = load(shutil.copy(tmp_path / "a.safetensors", tmp_path / "b.safetensors"), device="cpu")
    other = load(write(tmp_path / "c.safetensors", replace(HEADER, temperature=2.0)), device="cpu")
    kept = store_of(first, data)
    assert kept is not None
    assert kept.parent == cache / "measured"
    assert store_of(again, data) == kept
    assert store_of(other, data) != kept
    changed = next(data.rglob("*.png"))
    changed.write_bytes(changed.read_bytes() + b"\0")
    assert store_of(first, data) != kept


def test_another_resolution_has_another_folder(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", *CLASSES)
    classifier = load(write(tmp_path / "a.safetensors"), device="cpu")
    with classifier.opened(data, resolution=12) as opened:
        assert open_store(classifier, opened, lambda text: None).folder != store_of(classifier, data)


def test_a_model_without_a_file_keeps_nothing(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", *CLASSES)
    loaded = load(write(tmp_path / "a.safetensors"), device="cpu")
    classifier = Classifier(loaded.header, loaded.network, loaded.device)
    with classifier.opened(data) as opened:
        kept = open_store(classifier, opened, lambda text: None)
        made = run_pass(classifier, opened)
    kept.keep("clean", made)
    assert kept.find("clean", made.num_images) is None


def test_a_pass_is_a_small_file(tmp_path: Path) -> None:
    store(tmp_path).keep("fog-1", some_pass(10_000))
    path = tmp_path / "fog-1.json"
    assert path.stat().st_size < 2000
    assert json.loads(path.read_text())["num_images"] == 10_000
