"""What is held out: stratified, disjoint, complete, and decided by the seed alone."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import stats

from effnet.config import DataConfig
from effnet.data.datasets import DataSet, Samples
from effnet.data.splits import (
    Drawn,
    HeldOut,
    Splits,
    absent_classes,
    find_parts,
    held_out,
    sampled,
    split,
)
from effnet.errors import DataError, UsageError


def samples(*counts: int, prefix: str = "") -> Samples:
    """Return that many images of each class."""
    labels = np.repeat(np.arange(len(counts)), counts)
    names = tuple(f"{prefix}{index}.png" for index in range(len(labels)))
    return Samples(names, labels, lambda name: Image.new("L", (1, 1)))


def dataset(*counts: int) -> DataSet:
    return DataSet("test", tuple("abcdefghij"[: len(counts)]), {"all": samples(*counts)}, source="test")


def split_dataset(**parts: Samples) -> DataSet:
    return DataSet("test", ("a", "b"), parts, source="test")


def drawn_test(splits: Splits) -> Samples:
    assert splits.test is not None
    return splits.test


shares = st.floats(0.1, 0.4)
class_counts = st.lists(st.integers(6, 60), min_size=2, max_size=6)


@given(
    counts=class_counts,
    val=st.floats(0.01, 0.89),
    test=st.floats(0.01, 0.6),
    seed=st.integers(0, 2**63 - 1),
)
def test_every_image_is_in_exactly_one_part(counts: list[int], val: float, test: float, seed: int) -> None:
    data = dataset(*counts)
    splits = split(data, DataConfig(val, test), seed)
    names = splits.train.names + splits.val.names + drawn_test(splits).names
    assert sorted(names) == sorted(data.parts["all"].names)


@given(counts=st.lists(st.integers(20, 60), min_size=2, max_size=6), val=shares, test=shares)
def test_every_class_is_in_every_part(counts: list[int], val: float, test: float) -> None:
    splits = split(dataset(*counts), DataConfig(val, test), 0)
    for part in (splits.train, splits.val, drawn_test(splits)):
        assert len(np.unique(part.labels)) == len(counts)


def test_fractions_are_of_all_images_and_then_of_what_is_left() -> None:
    splits = split(dataset(500, 500), DataConfig(val_fraction=0.1, test_fraction=0.2), 0)
    assert (len(splits.train), len(splits.val), len(drawn_test(splits))) == (720, 80, 200)


def test_parts_are_stratified() -> None:
    counts = np.array([600, 300, 100])
    splits = split(dataset(*counts), DataConfig(val_fraction=0.25, test_fraction=0.2), 0)
    assert np.bincount(drawn_test(splits).labels).tolist() == [120, 60, 20]
    assert np.bincount(splits.val.labels).tolist() == [120, 60, 20]
    assert np.bincount(splits.train.labels).tolist() == [360, 180, 60]


def test_the_seed_decides_who_is_held_out() -> None:
    data, config = dataset(50, 50), DataConfig()
    assert split(data, config, 3).drawn == split(data, config, 3).drawn
    tests = {tuple(split(data, config, seed).drawn["test"]) for seed in range(5)}
    assert len(tests) == 5


def test_nothing_random_outside_decides_who_is_held_out() -> None:
    data, config = dataset(50, 50), DataConfig()
    np.random.seed(1)  # scikit-learn falls back to this generator
    first = split(data, config, 3).drawn
    np.random.seed(2)
    assert split(data, config, 3).drawn == first


def test_held_out_images_are_drawn_at_random_within_a_class() -> None:
    data = dataset(100, 100)
    tests = [drawn_test(split(data, DataConfig(), seed)) for seed in range(200)]
    counts = Counter(name for test in tests for name in test.names)
    assert set(counts) == set(data.parts["all"].names)
    assert stats.chisquare([counts[name] for name in data.parts["all"].names]).pvalue > 0.001


def test_parts_keep_labels_and_the_order_of_the_data_set() -> None:
    data = dataset(30, 30)
    whole = data.parts["all"]
    labels = dict(zip(whole.names, whole.labels, strict=True))
    splits = split(data, DataConfig(), 0)
    for part in (splits.train, splits.val, drawn_test(splits)):
        assert [labels[name] for name in part.names] == part.labels.tolist()
        assert list(part.names) == sorted(part.names, key=whole.names.index)


def test_names_of_what_was_drawn_are_written_down() -> None:
    splits = split(dataset(30, 30), DataConfig(), 0)
    assert splits.drawn == {"test": list(drawn_test(splits).names), "val": list(splits.val.names)}


def test_a_split_of_its_own_is_kept() -> None:
    parts = {part: samples(5, 5, prefix=part) for part in ("train", "val", "test")}
    splits = split(split_dataset(**parts), DataConfig(), 0)
    assert (splits.train, splits.val, splits.test) == tuple(parts.values())
    assert splits.drawn == {}


def test_a_missing_validation_part_is_drawn_from_training() -> None:
    train, test = samples(20, 20, prefix="train"), samples(5, 5, prefix="test")
    splits = split(split_dataset(train=train, test=test), DataConfig(val_fraction=0.25), 0)
    assert splits.test is test
    assert splits.drawn == {"val": list(splits.val.names)}
    assert sorted(splits.val.names + splits.train.names) == sorted(train.names)
    assert len(splits.val) == 10


def test_a_missing_test_part_stays_missing() -> None:
    train, val = samples(20, 20, prefix="train"), samples(5, 5, prefix="val")
    splits = split(split_dataset(train=train, val=val), DataConfig(), 0)
    assert (splits.train, splits.val, splits.test, splits.drawn) == (train, val, None, {})


def test_a_class_with_too_few_images_is_named() -> None:
    with pytest.raises(DataError, match=r"class 'b' has 2 images; to hold some out, 3 per class are needed"):
        split(dataset(30, 2), DataConfig(), 0)


def test_a_training_class_needs_two_images_when_only_validation_is_drawn() -> None:
    data = split_dataset(train=samples(20, 1), test=samples(5, 5))
    with pytest.raises(DataError, match=r"class 'b' has 1 images; to hold some out, 2 per class"):
        split(data, DataConfig(), 0)


def test_the_smallest_data_set_that_can_be_split_is_split() -> None:
    splits = split(dataset(3, 3), DataConfig(), 0)
    for part in (splits.train, splits.val, drawn_test(splits)):
        assert sorted(part.labels) == [0, 1]


def drawn(*test: str, fingerprint: str | None = None) -> Drawn:
    return Drawn({"test": test}, fingerprint)


def test_evaluation_takes_the_test_part_of_the_data_set_first() -> None:
    data = split_dataset(train=samples(3, 3, prefix="t"), test=samples(2, 2, prefix="x"))
    assert held_out(data, drawn("t0.png", fingerprint="other")) == HeldOut("test", data.parts["test"])


@pytest.mark.parametrize("fingerprint", [None, dataset(5, 5).fingerprint()])
def test_evaluation_takes_the_images_that_were_drawn_when_training(fingerprint: str | None) -> None:
    held = held_out(dataset(5, 5), drawn("7.png", "2.png", fingerprint=fingerprint))
    assert (held.part, held.samples.names, held.samples.labels.tolist()) == (
        "test", ("2.png", "7.png"), [0, 1],
    )  # fmt: skip
    assert held.lost is None


def test_evaluation_of_other_images_with_the_drawn_names_takes_all_and_says_why() -> None:
    held = held_out(dataset(5, 6), drawn("7.png", "2.png", fingerprint=dataset(5, 5).fingerprint()))
    assert (held.part, len(held.samples)) == ("all", 11)
    assert held.lost == "these are not the images that the training began with, by their names and classes"


def test_evaluation_forgets_the_draw_when_images_are_missing_and_names_them() -> None:
    held = held_out(dataset(5, 5), drawn("7.png", "gone.png"))
    assert (held.part, len(held.samples)) == ("all", 10)
    assert held.lost == (
        "of the 2 images that were drawn when the model was trained, 1 is missing (gone.png)"
    )


def test_evaluation_of_wholly_other_images_names_none() -> None:
    held = held_out(dataset(5, 5), drawn("x.png", "y.png", fingerprint="other"))
    assert (held.part, held.lost) == (
        "all", "none of the 2 images that were drawn when the model was trained is here",
    )  # fmt: skip


def test_evaluation_falls_back_to_the_validation_part() -> None:
    data = split_dataset(train=samples(3, 3), val=samples(2, 2, prefix="v"))
    assert held_out(data, Drawn({})) == HeldOut("val", data.parts["val"])


def test_evaluation_of_unknown_images_takes_all() -> None:
    held = held_out(dataset(4, 4), Drawn({}, "other"))
    assert (held.part, len(held.samples), held.lost) == ("all", 8, None)


def test_parts_of_another_data_set_are_its_own() -> None:
    data = split_dataset(train=samples(3, 3, prefix="t"), val=samples(2, 2, prefix="v"))
    assert find_parts(data, drawn("t0.png", fingerprint="other")).keys() == {"train", "val", "all"}


def test_classes_that_a_held_out_part_lacks_are_named() -> None:
    data = split_dataset(train=samples(9, 9), val=samples(3, 0), test=samples(0, 3))
    splits = split(data, DataConfig(), 0)
    assert absent_classes(splits, data.class_names) == {"val": ["b"], "test": ["a"]}


@given(counts=class_counts)
def test_drawn_parts_lack_no_class(counts: list[int]) -> None:
    data = dataset(*counts)
    assert absent_classes(split(data, DataConfig(), 0), data.class_names) == {}


def part_names(data: DataSet, names: dict[str, list[str]], part: str) -> tuple[str, ...]:
    return find_parts(data, Drawn(names, data.fingerprint()))[part].names


@given(counts=class_counts, seed=st.integers(0, 1000))
def test_drawn_parts_are_found_again(counts: list[int], seed: int) -> None:
    data = dataset(*counts)
    splits = split(data, DataConfig(), seed)
    assert part_names(data, splits.drawn, "train") == splits.train.names
    assert part_names(data, splits.drawn, "val") == splits.val.names
    assert part_names(data, splits.drawn, "test") == drawn_test(splits).names
    assert part_names(data, splits.drawn, "all") == data.parts["all"].names


def test_what_was_drawn_for_validation_is_no_training_image() -> None:
    data = split_dataset(train=samples(20, 20, prefix="train"), test=samples(5, 5, prefix="test"))
    splits = split(data, DataConfig(), 0)
    assert part_names(data, splits.drawn, "train") == splits.train.names
    assert part_names(data, splits.drawn, "test") == data.parts["test"].names


def test_parts_of_the_data_set_are_found_without_a_draw() -> None:
    data = split_dataset(train=samples(3, 3, prefix="t"), val=samples(2, 2, prefix="v"))
    assert part_names(data, {}, "train") == data.parts["train"].names
    assert part_names(data, {}, "val") == data.parts["val"].names
    assert "test" not in find_parts(data, Drawn({}))


@pytest.mark.parametrize("names", [{}, {"test": ["7.png", "gone.png"]}])
@pytest.mark.parametrize("fingerprint", [None, dataset(5, 5).fingerprint()])
def test_a_draw_that_is_not_of_these_images_gives_no_parts(
    names: dict[str, list[str]], fingerprint: str | None
) -> None:
    assert find_parts(dataset(5, 5), Drawn(names, fingerprint)).keys() == {"all"}


def test_drawn_names_among_other_images_give_no_parts() -> None:
    other = drawn("7.png", fingerprint=dataset(5, 6).fingerprint())
    assert find_parts(dataset(5, 5), other).keys() == {"all"}


limits = st.integers(6, 200)


@given(counts=class_counts, limit=limits, seed=st.integers(0, 1000))
def test_max_train_leaves_that_many_images_of_the_training_part(
    counts: list[int], limit: int, seed: int
) -> None:
    data = dataset(*counts)
    whole = split(data, DataConfig(), seed)
    some = split(data, DataConfig(max_train=limit), seed)
    assert len(some.train) == min(limit, len(whole.train))
    assert set(some.train.names) <= set(whole.train.names)
    assert some.num_left_out == len(whole.train) - len(some.train)
    assert (some.val.names, drawn_test(some).names) == (whole.val.names, drawn_test(whole).names)


@given(counts=class_counts, limit=limits)
def test_max_train_gives_each_class_its_share(counts: list[int], limit: int) -> None:
    data = dataset(*counts)
    whole = np.bincount(split(data, DataConfig(), 0).train.labels)
    kept = np.bincount(split(data, DataConfig(max_train=limit), 0).train.labels, minlength=len(whole))
    exact = whole * min(1.0, limit / whole.sum())
    assert kept.min() >= 1
    assert (kept <= whole).all()
    # A class that is raised to one image takes it from the others.
    assert np.abs(kept - exact).max() <= 1 + np.maximum(0, 1 - exact).sum()


def test_max_train_and_the_seed_decide_who_is_learned_from() -> None:
    data = dataset(50, 50)

    def names(seed: int) -> tuple[str, ...]:
        return split(data, DataConfig(max_train=20), seed).train.names

    assert names(3) == names(3)
    assert len({names(seed) for seed in range(5)}) == 5


def test_what_max_train_drew_is_found_again() -> None:
    for data in (
        dataset(40, 40),
        split_dataset(train=samples(30, 30, prefix="t"), val=samples(9, 9, prefix="v")),
    ):
        splits = split(data, DataConfig(max_train=10, max_val=4), 0)
        assert part_names(data, splits.drawn, "train") == splits.train.names
        assert part_names(data, splits.drawn, "val") == splits.val.names


@given(counts=class_counts, limit=limits)
def test_max_val_leaves_the_others_to_training(counts: list[int], limit: int) -> None:
    data, config = dataset(*counts), DataConfig(val_fraction=0.5)
    whole, some = split(data, config, 0), split(data, replace(config, max_val=limit), 0)
    assert len(some.val) == min(limit, len(whole.val))
    assert len(some.val) + len(some.train) == len(whole.val) + len(whole.train)


def test_max_val_draws_from_a_validation_part_of_its_own() -> None:
    data = split_dataset(train=samples(9, 9, prefix="t"), val=samples(30, 10, prefix="v"))
    splits = split(data, DataConfig(max_val=8), 0)
    assert np.bincount(splits.val.labels).tolist() == [6, 2]
    assert splits.train.names == data.parts["train"].names


@pytest.mark.parametrize(
    ("key", "config"), [("max_train", DataConfig(max_train=2)), ("max_val", DataConfig(max_val=2))]
)
def test_less_than_an_image_of_each_class_is_refused(key: str, config: DataConfig) -> None:
    with pytest.raises(UsageError, match=rf"data.{key} = 2: there are 3 classes, and each needs an image"):
        split(dataset(30, 30, 30), config, 0)


@given(counts=class_counts, limit=st.integers(6, 400), seed=st.integers(0, 2**63 - 1))
def test_a_sample_has_of_each_class_its_share(counts: list[int], limit: int, seed: int) -> None:
    held = HeldOut("test", samples(*counts))
    found = sampled(held, limit, seed)
    assert len(found.samples) == min(limit, sum(counts))
    assert found.num_left_out == sum(counts) - len(found.samples)
    assert sampled(held, limit, seed).samples.names == found.samples.names
    shares = np.bincount(found.samples.labels, minlength=len(counts)) / len(found.samples)
    assert np.abs(shares - np.array(counts) / sum(counts)).max() <= len(counts) / len(found.samples)


def test_without_a_limit_all_are_taken() -> None:
    held = HeldOut("test", samples(3, 4))
    assert sampled(held, None, 0) is held
    assert sampled(held, 7, 0) is held


def test_another_seed_draws_another_sample() -> None:
    held = HeldOut("test", samples(50, 50))
    assert sampled(held, 10, 0).samples.names != sampled(held, 10, 1).samples.names


def test_a_sample_of_less_than_an_image_of_each_class_is_refused() -> None:
    with pytest.raises(
        UsageError, match="max_images = 2: there are 3 classes, and each needs an image; take 3 or more"
    ):
        sampled(HeldOut("test", samples(5, 5, 5)), 2, 0)
