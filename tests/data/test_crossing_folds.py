"""Folds: everyone is held out once, evenly by class, as the seed decides."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from effnet.config import DataConfig, from_dict
from effnet.data.datasets import Samples, open_dataset, open_digits
from effnet.data.folds import folds_of
from effnet.data.splits import Drawn, find_parts, held_out, split
from effnet.errors import DataError, UsageError

FOLDS = [DataConfig(fold=f"{number}/5") for number in range(1, 6)]


def read(name: str) -> Image.Image:
    raise AssertionError("nothing is decoded")


def samples(labels: list[int]) -> Samples:
    return Samples(tuple(map(str, range(len(labels)))), np.array(labels, np.int64), read)


@given(st.lists(st.integers(0, 3), min_size=10, max_size=80), st.integers(2, 10), st.integers(0, 5))
def test_folds_are_even_in_all_and_by_class(labels: list[int], count: int, seed: int) -> None:
    folds = folds_of(samples(labels), count, seed)
    sizes = np.bincount(folds, minlength=count)
    assert np.ptp(sizes) <= 1
    for label in set(labels):
        by_class = np.bincount(folds[np.array(labels) == label], minlength=count)
        assert np.ptp(by_class) <= 1


def test_every_training_image_is_held_out_once() -> None:
    digits = open_digits()
    plain = split(digits, DataConfig(), 0)
    held = [name for config in FOLDS for name in split(digits, config, 0).drawn["test"]]
    assert sorted(held) == sorted({*plain.train.names, *plain.val.names})


@pytest.mark.parametrize("config", FOLDS, ids=lambda config: str(config.fold))
def test_a_fold_shares_no_image_with_what_is_learned_from(config: DataConfig) -> None:
    digits = open_digits()
    parts = split(digits, config, 0)
    assert parts.test is not None
    names = [set(part.names) for part in (parts.train, parts.val, parts.test)]
    assert sum(map(len, names)) == len(set[str]().union(*names))
    real = split(digits, DataConfig(), 0).test
    assert real is not None
    assert not set(real.names) & set[str]().union(*names)


def test_other_seeds_draw_other_folds() -> None:
    one, other = (folds_of(samples([0, 1] * 20), 5, seed) for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_a_model_file_of_a_fold_knows_its_parts() -> None:
    digits = open_digits()
    parts = split(digits, FOLDS[1], 0)
    drawn = Drawn(parts.drawn, digits.fingerprint())
    found = find_parts(digits, drawn)
    assert set(found["train"].names) == set(parts.train.names)
    assert held_out(digits, drawn).samples.names == found["test"].names
    assert parts.test is not None
    assert set(found["test"].names) == set(parts.test.names)


def folder(root: Path, **counts: int) -> Path:
    for name, count in counts.items():
        for part in ("train", "test"):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                Image.new("L", (8, 8), number).save(root / part / name / f"{number}.png")
    return root


def test_a_data_set_with_a_test_part_of_its_own_is_crossed_over_its_training_images(tmp_path: Path) -> None:
    dataset = open_dataset(folder(tmp_path, ants=10, bees=10))
    parts = split(dataset, DataConfig(fold="1/5"), 0)
    assert parts.test is not None
    assert len(parts.test) == 4
    assert all(name.startswith("train/") for name in parts.test.names)
    assert held_out(dataset, Drawn(parts.drawn, dataset.fingerprint())).samples.names == parts.test.names


def test_more_folds_than_images_of_a_class_name_it(tmp_path: Path) -> None:
    dataset = open_dataset(folder(tmp_path, ants=10, bees=4))
    with pytest.raises(DataError, match="5 folds, and class 'bees' has 4 images to train on; take at most 4"):
        split(dataset, DataConfig(fold="1/5"), 0)


def test_there_is_no_fold_behind_the_last() -> None:
    with pytest.raises(UsageError, match=re.escape("data.fold = '6/5': the last of 5 folds is 5/5")):
        split(open_digits(), DataConfig(fold="6/5"), 0)


def test_one_fold_is_none() -> None:
    with pytest.raises(UsageError, match="1 folds: there must be at least 2"):
        split(open_digits(), DataConfig(fold="1/1"), 0)


@pytest.mark.parametrize("fold", ["0/5", "two", "2", "2/5/7", ""])
def test_what_is_no_fold_is_refused(fold: str) -> None:
    with pytest.raises(UsageError, match=r"data\.fold"):
        from_dict({"data": {"fold": fold}}, "test")
