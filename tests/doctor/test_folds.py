"""Cross-validation: no image is judged by who has seen it, or a copy of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import still

from effnet.doctor.features import Features
from effnet.doctor.folds import NUM_FOLDS, cross_validate, deal


def features(values: np.ndarray) -> Features:
    array = values.astype(np.float32)
    return Features(array.shape[1], lambda rows: array[rows], "numbers", is_by_network=False)


@given(st.integers(0, 2**32), st.integers(2, 6), st.integers(20, 120))
def test_copies_are_dealt_together_and_every_class_to_every_fold(
    seed: int, num_classes: int, count: int
) -> None:
    rng = np.random.default_rng(seed)
    labels, groups = rng.integers(0, num_classes, count), rng.integers(0, count, count)
    dealt = deal(labels, groups)
    of_rows = groups[dealt.rows]
    assert all(len(set(dealt.folds[of_rows == group])) == 1 for group in set(of_rows))
    for label in range(len(dealt.classes)):
        heads = {group for group in set(groups) if labels[groups == group][0] == dealt.classes[label]}
        assert len(heads) >= NUM_FOLDS
        ours = {fold for fold, group in zip(dealt.folds, of_rows, strict=True) if group in heads}
        assert ours == set(range(NUM_FOLDS))


def test_a_class_with_fewer_images_than_folds_is_left_out() -> None:
    labels = np.repeat([0, 1, 2], [10, NUM_FOLDS - 1, NUM_FOLDS])
    dealt = deal(labels, np.arange(len(labels)))
    assert dealt.classes.tolist() == [0, 2]
    assert labels[dealt.rows].tolist() == [0] * 10 + [2] * NUM_FOLDS
    assert set(dealt.labels) == {0, 1}


def test_copies_do_not_make_a_class_larger() -> None:
    labels = np.repeat([0, 1], [10, 20])
    assert deal(labels, np.concatenate([np.arange(10), np.full(20, 99)])).classes.tolist() == [0]


def test_an_image_is_judged_by_who_has_not_seen_it() -> None:
    """The label follows from the image alone, in a way that nothing else shows: only memory would tell."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    probs = cross_validate(features(np.eye(200)), deal(labels, np.arange(200)), still)
    spread = probs[:, 1].reshape(200)
    assert abs(np.corrcoef(spread, labels)[0, 1]) < 0.3


def test_what_can_be_learned_is_learned_and_probabilities_sum_to_one() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    dealt = deal(labels, np.arange(300))
    probs = cross_validate(features(np.eye(3)[labels] + 0.1 * rng.normal(size=(300, 3))), dealt, still)
    assert probs.shape == (300, 3)
    assert np.allclose(probs.sum(1), 1, atol=1e-5)
    assert (probs.argmax(1) == dealt.labels).mean() > 0.98


@pytest.mark.parametrize("most", [60, 150])
def test_of_many_images_each_class_gives_its_share(most: int) -> None:
    labels = np.repeat([0, 1, 2], [300, 60, 12])
    dealt = deal(labels, np.arange(len(labels)))
    chosen = dealt.learned(most)
    counts = np.bincount(dealt.labels[chosen])
    assert counts[2] >= 2 * NUM_FOLDS
    assert most <= chosen.sum() <= most + 3 * 2 * NUM_FOLDS
    assert counts[0] > 3 * counts[1]


def test_those_who_were_not_learned_from_are_judged_too() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    dealt = deal(labels, np.arange(400))
    values = features(np.eye(2)[labels] + 0.1 * rng.normal(size=(400, 2)))
    probs = cross_validate(values, dealt, still, most=60)
    assert (probs.argmax(1) == dealt.labels).mean() > 0.98
