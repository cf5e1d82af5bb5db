"""Policies draw operations and strengths for each image: evenly, within the ranges, from its draws alone."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from effnet.data.auto_augment import CIFAR10, IMAGENET, SVHN, Table
from effnet.data.operations import OPERATIONS, SIGNED, apply_operations
from effnet.data.policies import (
    AUTO_SPACE,
    RAND_SPACE,
    Policy,
    apply_policy,
    auto_augment,
    rand_augment,
    trivial_augment,
    trivial_space,
)
from effnet.data.randomness import uniform

FILL = torch.tensor([0.5, 0.4, 0.3])
SIDE = 16
EVERY_POLICY = {
    "rand": rand_augment(2, 20.0),
    "imagenet": auto_augment(IMAGENET),
    "cifar10": auto_augment(CIFAR10),
    "svhn": auto_augment(SVHN),
    "trivial": trivial_augment(SIDE),
}

every_policy = pytest.mark.parametrize("policy", EVERY_POLICY.values(), ids=EVERY_POLICY)
every_table = pytest.mark.parametrize("table", [IMAGENET, CIFAR10, SVHN], ids=["imagenet", "cifar10", "svhn"])

Drawn = list[tuple[str, float]]


def photos(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(26, 230, (count, 3, SIDE, SIDE), generator=generator) / 255


def draws_for(policy: Policy, count: int) -> Tensor:
    return torch.from_numpy(uniform(3, 0, np.arange(count), policy.num_draws))


def planned(policy: Policy, draws: Tensor) -> list[Drawn]:
    """Return for each image the names and strengths of its operations."""
    steps = [
        [
            (OPERATIONS[index], amount)
            for index, amount in zip(choice.tolist(), strength.tolist(), strict=True)
        ]
        for choice, strength in policy.plan(draws)
    ]
    return [list(image) for image in zip(*steps, strict=True)]


def within(name: str, names: list[str]) -> float:
    """Return the draw that chooses a name."""
    return (names.index(name) + 0.5) / len(names)


@every_policy
def test_a_policy_does_not_depend_on_the_other_images(policy: Policy) -> None:
    images, draws = photos(60), draws_for(policy, 60)
    together = apply_policy(images, draws, policy, FILL)
    for index in range(60):
        alone = apply_policy(images[index : index + 1], draws[index : index + 1], policy, FILL)
        assert torch.allclose(alone[0], together[index], rtol=0, atol=1e-5)


@every_policy
def test_the_images_given_are_not_changed(policy: Policy) -> None:
    images = photos(60)
    apply_policy(images, draws_for(policy, 60), policy, FILL)
    assert torch.equal(images, photos(60))


@every_policy
def test_the_planned_operations_are_applied_one_after_the_other(policy: Policy) -> None:
    images, draws = photos(40), draws_for(policy, 40)
    expected = []
    for image, operations in zip(images, planned(policy, draws), strict=True):
        changed = image[None]
        for name, strength in operations:
            choice = torch.tensor([OPERATIONS.index(name)])
            changed = apply_operations(changed, choice, torch.tensor([strength]), FILL)
        expected.append(changed[0])
    assert torch.allclose(apply_policy(images, draws, policy, FILL), torch.stack(expected), atol=1e-5)


@every_policy
def test_both_signs_are_equally_likely_where_there_are_two(policy: Policy) -> None:
    strengths = {True: [0.0], False: [0.0]}
    for operations in planned(policy, draws_for(policy, 4000)):
        for name, strength in operations:
            strengths[name in SIGNED].append(strength)
    signs = [strength > 0 for strength in strengths[True] if strength]
    assert stats.binomtest(sum(signs), len(signs)).pvalue > 0.001
    assert min(strengths[False]) == 0.0


@pytest.mark.parametrize("name", RAND_SPACE)
@pytest.mark.parametrize("sign", [-1, 1])
def test_rand_augment_takes_its_magnitude_for_every_operation(name: str, sign: int) -> None:
    draws = torch.tensor([[within(name, list(RAND_SPACE)), 0.25 if sign < 0 else 0.75]])
    (((drawn, strength),),) = planned(rand_augment(1, 12.0), draws)
    assert drawn == name
    assert strength == pytest.approx((sign if name in SIGNED else 1) * 12 / 30 * RAND_SPACE[name])


def test_rand_augment_chooses_every_operation_equally_often() -> None:
    policy = rand_augment(2, 9.0)
    drawn = [name for image in planned(policy, draws_for(policy, 5600)) for name, _ in image]
    counts = [drawn.count(name) for name in RAND_SPACE]
    assert sum(counts) == 2 * 5600
    assert stats.chisquare(counts).pvalue > 0.001


def test_trivial_augment_chooses_operations_and_magnitudes_evenly() -> None:
    policy, space = trivial_augment(SIDE), trivial_space(SIDE)
    drawn = [image[0] for image in planned(policy, draws_for(policy, 20_000))]
    counts = [sum(name == which for which, _ in drawn) for name in space]
    assert stats.chisquare(counts).pvalue > 0.001
    levels = [round(30 * abs(strength) / space[name]) for name, strength in drawn if space[name]]
    assert stats.chisquare(np.bincount(levels, minlength=31)).pvalue > 0.001


@pytest.mark.parametrize(("draw", "level"), [(0.0, 0.0), (0.5, 0.5), (1 - 2**-53, 1.0)])
def test_trivial_augment_reaches_both_ends_of_its_magnitudes(draw: float, level: float) -> None:
    space = trivial_space(SIDE)
    draws = torch.tensor([[within("rotate", list(space)), draw, 0.75]], dtype=torch.float64)
    assert planned(trivial_augment(SIDE), draws) == [[("rotate", 135.0 * level)]]


def test_trivial_augment_moves_by_pixels_whatever_the_size() -> None:
    assert trivial_space(64)["translate_x"] * 64 == trivial_space(224)["translate_y"] * 224 == 32


@every_table
def test_auto_augment_takes_every_row_as_it_stands(table: Table) -> None:
    policy = auto_augment(table)
    always = torch.tensor([[(row + 0.5) / len(table), 0.0, 0.75, 0.0, 0.25] for row in range(len(table))])
    for row, operations in zip(table, planned(policy, always), strict=True):
        for step, (name, strength), sign in zip(row, operations, (1, -1), strict=True):
            taken = step.operation if step.probability > 0 else "identity"
            level = step.magnitude / 9 * (sign if name in SIGNED else 1)
            assert name == taken
            assert strength == pytest.approx(level * AUTO_SPACE[name], rel=1e-6)


@every_table
def test_auto_augment_takes_each_step_with_its_probability(table: Table) -> None:
    policy, count = auto_augment(table), 2000
    for number, row in enumerate(table):
        draws = torch.from_numpy(uniform(number, 0, np.arange(count), policy.num_draws)).clone()
        draws[:, 0] = (number + 0.5) / len(table)
        drawn = planned(policy, draws)
        for place, step in enumerate(row):
            taken = sum(image[place][0] == step.operation for image in drawn)
            assert stats.binomtest(taken, count, step.probability).pvalue > 1e-5


@every_table
def test_auto_augment_chooses_every_row_equally_often(table: Table) -> None:
    rows = (draws_for(auto_augment(table), 5000)[:, 0] * len(table)).long()
    assert stats.chisquare(torch.bincount(rows, minlength=len(table)).numpy()).pvalue > 0.001
