"""Augmentation policies: which operations an image gets, and how strong, from its own draws.

RandAugment (Cubuk et al. 2020), AutoAugment (Cubuk et al. 2019) and TrivialAugment (Müller and Hutter 2021).
Ranges are torchvision's, with two exceptions: solarize starts at 256, as in the original code, so that no
magnitude leaves white as it is; and translation is not rounded to whole pixels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from effnet.config import AugmentConfig
from effnet.data.auto_augment import CIFAR10, IMAGENET, SVHN, Table
from effnet.data.operations import OPERATIONS, SIGNED, apply_operations

MAX_MAGNITUDE = 30.0
TRIVIAL_BINS = 31
TRIVIAL_SHIFT = 32.0  # pixels

Space = Mapping[str, float]
"""The operations to draw from, each with its strength at full magnitude."""

# The order decides what a draw means: to change it changes every training.
RAND_SPACE: Space = {
    "identity": 0.0,
    "autocontrast": 0.0,
    "equalize": 0.0,
    "solarize": 1.0,
    "posterize": 4.0,
    "color": 0.9,
    "contrast": 0.9,
    "brightness": 0.9,
    "sharpness": 0.9,
    "rotate": 30.0,
    "shear_x": 0.3,
    "shear_y": 0.3,
    "translate_x": 150 / 331,  # 150 pixels at the 331 pixels of the original
    "translate_y": 150 / 331,
}
AUTO_SPACE: Space = {**RAND_SPACE, "invert": 0.0}


def trivial_space(side: int) -> Space:
    """Return the "wide" space of TrivialAugment for images of `side` pixels."""
    return {
        "identity": 0.0,
        "autocontrast": 0.0,
        "equalize": 0.0,
        "solarize": 1.0,
        "posterize": 6.0,
        "color": 0.99,
        "contrast": 0.99,
        "brightness": 0.99,
        "sharpness": 0.99,
        "rotate": 135.0,
        "shear_x": 0.99,
        "shear_y": 0.99,
        "translate_x": TRIVIAL_SHIFT / side,
        "translate_y": TRIVIAL_SHIFT / side,
    }


Plan = list[tuple[Tensor, Tensor]]
"""One operation after the other: `choice (N,)`, indices into OPERATIONS, and `strength (N,)`."""


@dataclass(frozen=True)
class Policy:
    """From draws to operations."""

    num_draws: int
    """Random numbers that each image uses."""
    plan: Callable[[Tensor], Plan] = field(repr=False)
    """From `(N, num_draws)` on the CPU, uniform in [0, 1)."""


def apply_policy(images: Tensor, draws: Tensor, policy: Policy, fill: Tensor) -> Tensor:
    """Apply to each image the operations that its draws choose.

    Args:
        images: `(N, C, H, W)` float, values from 0 to 1, height equal to width.
        draws: `(N, policy.num_draws)` on the CPU, uniform in [0, 1).
        policy: what the draws mean.
        fill: `(C,)`, the colour of what lies outside an image.

    Returns:
        `(N, C, H, W)`, values from 0 to 1.

    """
    for choice, strength in policy.plan(draws):
        images = apply_operations(images, choice, strength, fill)
    return images


def rand_augment(operations: int, magnitude: float) -> Policy:
    """Draw each of some operations from all, at one magnitude from 0 to 30.

    Each operation has two draws: which one, and its sign.
    """

    def plan(draws: Tensor) -> Plan:
        names = list(RAND_SPACE)
        level = draws.new_tensor(magnitude / MAX_MAGNITUDE)
        return [_step(RAND_SPACE, _pick(names, which), level, sign) for which, sign in _pairs(draws)]

    return Policy(2 * operations, plan)


def auto_augment(table: Table) -> Policy:
    """Draw a row of a table, and take each of its two steps with its probability.

    The first draw is the row; then each step has two: whether, and its sign.
    """
    names = [[step.operation for step in row] for row in table]
    choices = torch.tensor([[OPERATIONS.index(name) for name in row] for row in names])  # (rows, 2)
    probabilities = torch.tensor([[step.probability for step in row] for row in table], dtype=torch.float64)
    levels = torch.tensor([[step.magnitude / 9 for step in row] for row in table])

    def plan(draws: Tensor) -> Plan:
        row = (draws[:, 0] * len(table)).long()
        steps = []
        for place, (whether, sign) in enumerate(_pairs(draws[:, 1:])):
            taken = whether < probabilities[row, place]
            choice = torch.where(taken, choices[row, place], OPERATIONS.index("identity"))
            steps.append(_step(AUTO_SPACE, choice, levels[row, place], sign))
        return steps

    return Policy(5, plan)


def trivial_augment(side: int) -> Policy:
    """Draw one operation and one of 31 magnitudes. Three draws: which one, how strong, and its sign."""
    space = trivial_space(side)

    def plan(draws: Tensor) -> Plan:
        level = (draws[:, 1] * TRIVIAL_BINS).floor() / (TRIVIAL_BINS - 1)
        return [_step(space, _pick(list(space), draws[:, 0]), level, draws[:, 2])]

    return Policy(3, plan)


POLICIES: dict[str, Callable[[AugmentConfig, int], Policy]] = {
    "rand": lambda config, side: rand_augment(config.rand_ops, config.rand_magnitude),
    "auto-imagenet": lambda config, side: auto_augment(IMAGENET),
    "auto-cifar10": lambda config, side: auto_augment(CIFAR10),
    "auto-svhn": lambda config, side: auto_augment(SVHN),
    "trivial": lambda config, side: trivial_augment(side),
}


def _pairs(draws: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Take the columns of `draws (N, 2n)` two by two."""
    columns = draws.unbind(1)
    return list(zip(columns[::2], columns[1::2], strict=True))


def _pick(names: list[str], draw: Tensor) -> Tensor:
    """Choose evenly among names by `draw (N,)`; return `(N,)` indices into OPERATIONS."""
    return torch.tensor([OPERATIONS.index(name) for name in names])[(draw * len(names)).long()]


def _step(space: Space, choice: Tensor, level: Tensor, sign: Tensor) -> tuple[Tensor, Tensor]:
    """Return operations `choice (N,)` and their strength at `level` from 0 to 1; a draw below ½ is minus."""
    maxima = torch.tensor([space.get(name, 0.0) for name in OPERATIONS])
    two_sided = torch.tensor([name in SIGNED for name in OPERATIONS])
    signs = torch.where(two_sided[choice] & (sign < 0.5), -1.0, 1.0)
    return choice, signs * level * maxima[choice]
