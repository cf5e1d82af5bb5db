"""Mixed batches: pixels and labels by the same share, which comes from Beta(alpha, alpha)."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from effnet.config import AugmentConfig
from effnet.data.mixing import Mix, cutmix, kept_shares, mixup, partners
from effnet.data.randomness import batch_draw, uniform

NUM_CLASSES = 7
COUNT, SIDE = 40, 9
MIXUP, CUTMIX = AugmentConfig(mixup=0.4), AugmentConfig(cutmix=1.0)
BOTH = AugmentConfig(mixup=0.4, cutmix=1.0)


def noise() -> Tensor:
    return torch.randn(COUNT, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def labels() -> Tensor:
    return torch.arange(COUNT) % NUM_CLASSES


def draws_for(count: int = COUNT, seed: int = 0) -> NDArray[np.float64]:
    return uniform(seed, 0, np.arange(count), Mix.num_draws)


def mixed(config: AugmentConfig, draw: float = 0.0) -> tuple[Tensor, Tensor]:
    return Mix(config, NUM_CLASSES)(noise(), labels(), draws_for(), draw)


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0, 4.0])
def test_shares_follow_the_beta_distribution(alpha: float) -> None:
    shares = kept_shares(draws_for(5000)[:, 0], alpha)
    assert stats.kstest(shares.numpy(), stats.beta(alpha, alpha).cdf).pvalue > 0.001


@pytest.mark.parametrize("alpha", [1e-6, 0.01, 100.0])
def test_shares_stay_shares_at_extreme_alphas(alpha: float) -> None:
    shares = kept_shares(np.array([0.0, 1e-9, 0.3, 0.5, 1 - 2**-53]), alpha)
    assert ((shares >= 0) & (shares <= 1)).all()
    assert (shares.diff() >= 0).all()


def test_partners_are_the_images_before() -> None:
    assert partners(torch.arange(4)).tolist() == [3, 0, 1, 2]


def test_mixup_adds_images_and_labels_by_the_same_share() -> None:
    images, probs = mixed(MIXUP)
    shares = kept_shares(draws_for()[:, 0], 0.4).tolist()
    for index, share in enumerate(shares):
        expected = share * noise()[index] + (1 - share) * noise()[index - 1]
        assert torch.allclose(images[index], expected, atol=1e-6)
        target = torch.zeros(NUM_CLASSES)
        target[labels()[index]] += share
        target[labels()[index - 1]] += 1 - share
        assert torch.allclose(probs[index], target, atol=1e-6)


def rand_bbox(side: int, share: float, row: int, column: int) -> tuple[int, int, int, int]:
    """Return top, left, bottom, right as the code of the CutMix paper does, with the middle given."""
    cut = int(side * np.sqrt(1.0 - share))
    top, bottom = np.clip([row - cut // 2, row + cut // 2], 0, side)
    left, right = np.clip([column - cut // 2, column + cut // 2], 0, side)
    return int(top), int(left), int(bottom), int(right)


def test_cutmix_pastes_the_rectangle_of_the_paper_and_counts_its_pixels() -> None:
    images, probs = mixed(CUTMIX)
    draws = draws_for()
    for index, share in enumerate(kept_shares(draws[:, 0], 1.0).tolist()):
        row, column = (int(draw * SIDE) for draw in draws[index, 1:])
        top, left, bottom, right = rand_bbox(SIDE, share, row, column)
        expected = noise()[index].clone()
        expected[:, top:bottom, left:right] = noise()[index - 1][:, top:bottom, left:right]
        assert torch.equal(images[index], expected)
        exact = 1 - (bottom - top) * (right - left) / SIDE**2
        target = torch.zeros(NUM_CLASSES)
        target[labels()[index]] += exact
        target[labels()[index - 1]] += 1 - exact
        assert torch.allclose(probs[index], target, atol=1e-6)


def test_cutmix_says_the_share_that_is_seen() -> None:
    own = torch.arange(COUNT).view(COUNT, 1, 1, 1).expand(COUNT, 3, SIDE, SIDE).float()
    images, kept = cutmix(1.0, own, draws_for())
    seen = (images == own).float().mean((1, 2, 3))
    assert torch.allclose(kept, seen, atol=1e-6)
    assert kept.min() < 0.4
    assert kept.max() > 0.9


@pytest.mark.parametrize("config", [MIXUP, CUTMIX, BOTH])
@pytest.mark.parametrize("draw", [0.0, 0.9])
def test_labels_are_probabilities(config: AugmentConfig, draw: float) -> None:
    _, probs = mixed(config, draw)
    assert (probs.shape, probs.dtype) == ((COUNT, NUM_CLASSES), torch.float32)
    assert torch.allclose(probs.sum(1), torch.ones(COUNT))
    assert probs.min() >= 0


@pytest.mark.parametrize("draw", [0.0, 0.7])
def test_switched_off_nothing_changes(draw: float) -> None:
    images, targets = mixed(AugmentConfig(), draw)
    assert torch.equal(images, noise())
    assert torch.equal(targets, labels())


@pytest.mark.parametrize(("draw", "way"), [(0.0, MIXUP), (0.49, MIXUP), (0.5, CUTMIX), (0.99, CUTMIX)])
def test_the_draw_of_the_batch_decides_between_the_two(draw: float, way: AugmentConfig) -> None:
    for ours, expected in zip(mixed(BOTH, draw), mixed(way), strict=True):
        assert torch.equal(ours, expected)


def test_half_of_the_batches_are_mixed_each_way() -> None:
    draws = [batch_draw(3, epoch, batch) for epoch in range(20) for batch in range(50)]
    assert stats.kstest(draws, "uniform").pvalue > 0.001
    assert len(set(draws)) == 1000


def test_the_draw_of_a_batch_is_a_function_of_seed_epoch_and_batch() -> None:
    assert batch_draw(1, 2, 3) == batch_draw(1, 2, 3)
    assert len({batch_draw(1, 2, 3), batch_draw(2, 2, 3), batch_draw(1, 3, 3), batch_draw(1, 2, 4)}) == 4


def test_an_image_alone_stays_itself() -> None:
    image, draws = noise()[:1], draws_for(1)
    for way in (mixup, cutmix):
        assert torch.allclose(way(1.0, image, draws)[0], image, atol=1e-6)


def test_the_batch_given_is_not_changed() -> None:
    images, targets = noise(), labels()
    for draw in (0.0, 0.9):
        Mix(BOTH, NUM_CLASSES)(images, targets, draws_for(), draw)
    assert torch.equal(images, noise())
    assert torch.equal(targets, labels())
