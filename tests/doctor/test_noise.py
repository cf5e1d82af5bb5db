"""The share of wrong labels, and the probability that one is wrong."""

import numpy as np
import pytest

from effnet.doctor.noise import Floats, Noise, discounted, fit_noise, temper


def judged(count: int, sureness: float, seed: int = 0) -> tuple[Floats, np.ndarray]:
    """Return probabilities and labels that are drawn from them: a classifier that means what it says."""
    rng = np.random.default_rng(seed)
    scores = sureness * rng.normal(size=(count, 5))
    probs = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    labels = (rng.random((count, 1)) > probs.cumsum(1)).sum(1).clip(max=4)
    return probs, labels


def exchanged(labels: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Exchange a share of the labels for others; return them, and which they are."""
    rng = np.random.default_rng(1)
    wrong = rng.random(len(labels)) < share
    return np.where(wrong, (labels + rng.integers(1, 5, len(labels))) % 5, labels), wrong


@pytest.mark.parametrize("sureness", [1.0, 4.0])
def test_labels_as_the_classifier_expects_them_are_not_accused(sureness: float) -> None:
    probs, labels = judged(3000, sureness)
    noise = fit_noise(probs, labels)
    assert noise.low == 0
    assert noise.share < 0.05
    assert (noise.wrong(probs[np.arange(3000), labels], 5) == 0).all()


@pytest.mark.parametrize("share", [0.02, 0.2])
def test_the_share_of_wrong_labels_is_found(share: float) -> None:
    probs, labels = judged(4000, 8.0)
    given, _ = exchanged(labels, share)
    noise = fit_noise(probs, given)
    assert noise.low < share
    assert noise.share == pytest.approx(share, rel=0.35)


def test_a_classifier_too_sure_of_itself_is_corrected_first() -> None:
    probs, labels = judged(4000, 2.0)
    noise = fit_noise(temper(probs, 1 / 3), labels)
    assert noise.low == 0
    assert noise.temperature == pytest.approx(3, rel=0.1)


def test_of_the_accused_at_least_half_are_wrong() -> None:
    probs, labels = judged(4000, 8.0)
    given, wrong = exchanged(labels, 0.05)
    noise = fit_noise(probs, given)
    chances = noise.wrong(noise.tempered(probs)[np.arange(4000), given], 5)
    assert wrong[chances > 0.5].mean() > 0.5
    assert chances[wrong].mean() > 10 * chances[~wrong].mean()


def test_the_less_probable_the_label_the_more_probably_it_is_wrong() -> None:
    chances = Noise(0.05, 0.02, 1.0).wrong(np.array([1.0, 0.5, 0.1, 1e-3, 0.0]), 10)
    assert (np.diff(chances) > 0).all()
    assert chances[0] == 0
    assert chances[-1] == pytest.approx(1)


def test_the_blunders_of_a_poor_classifier_accuse_no_label() -> None:
    """It is sure of nothing in most images, and sure and wrong in one of a hundred."""
    probs, labels = judged(6000, 1.0)
    blunders = np.random.default_rng(2).random(6000) < 0.01
    probs[blunders] = 1e-3
    probs[blunders, (labels[blunders] + 1) % 5] = 0.996
    noise = fit_noise(probs, labels)
    chances = noise.wrong(noise.tempered(probs)[np.arange(6000), labels], 5)
    num_errors = int((probs.argmax(1) != labels).sum())
    assert (chances > 0.5).sum() > 50
    assert (discounted(chances, num_errors) == 0).all()


def test_labels_that_stand_out_beyond_blunders_stay_accused() -> None:
    chances = np.array([0.99] * 40 + [0.1] * 60)
    assert np.allclose(discounted(chances, 100), chances * (1 - 5 / 40))
    assert (discounted(chances, 801) == 0).all()
    assert (discounted(np.zeros(3), 3) == 0).all()


def test_a_temperature_keeps_the_order_and_the_sum() -> None:
    probs, _ = judged(50, 1.0)
    tempered = temper(probs, 0.5)
    assert np.allclose(tempered.sum(1), 1)
    assert (tempered.argsort(1) == probs.argsort(1)).all()
    assert (tempered.max(1) >= probs.max(1)).all()
    assert np.allclose(temper(probs, 1.0), probs)


def test_certainty_is_no_trouble() -> None:
    probs = np.eye(3)[np.zeros(40, int)]
    noise = fit_noise(probs, np.array([0] * 39 + [1]))
    assert np.isfinite([noise.share, noise.low, noise.temperature]).all()
