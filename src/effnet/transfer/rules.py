"""How to fine-tune, by the number of images: one table, and the recipe that it makes.

Sources:

- Kornblith, Shlens, Le 2019, "Do Better ImageNet Models Transfer Better?", appendix: SGD with Nesterov
  momentum 0.9, cosine decay, 20,000 steps of 256 images; the learning rate from a grid of 1e-4 to 0.1; BN
  keeps max(1 - 10 / s, 0.9) of its statistics, s being the steps of an epoch.
- Tan & Le 2019, section 5.3: these settings, for Table 5.
- Kolesnikov et al. 2020, "Big Transfer" (BiT-HyperRule): the borders of 20,000 and 500,000 images, and mixup
  of 0.1 above the first. Its 500 steps of 512 images would be 1,280 passes over 200 images.
- Bao et al. 2022 (BEiT): learning rates that fall by a factor for each layer further from the classifier.

What no source gives (the border of 1,000 images, the epochs, the rates for batches of 32) is ours, so that a
CPU gets done in an hour; docs/finetune.md says what was measured.
"""

from dataclasses import dataclass
from math import inf
from typing import Any

BATCH_SIZE = 32
BN_STEPS = 10.0  # Kornblith et al.: the statistics forget at least as fast as an epoch's tenth part
BN_FASTEST = 0.1


@dataclass(frozen=True)
class Rule:
    """Settings for data sets of less than so many training images."""

    below: float
    epochs: int
    head_epochs: int
    lr: float
    layer_decay: float
    weight_decay: float
    policy: str
    mixup: float
    because: str


RULES = (
    Rule(1_000, 30, 5, 0.05, 0.80, 1e-4, "trivial", 0.0,
         "few images cannot teach early layers anew: these hardly move, and augmentation makes variety"),
    Rule(20_000, 20, 2, 0.05, 0.90, 1e-4, "trivial", 0.0,
         "enough images for all layers, the later ones more"),
    Rule(500_000, 15, 1, 0.03, 0.95, 1e-4, "rand", 0.1,
         "many images: fewer passes, mixup as in Big Transfer, and nearly one rate for all layers"),
    Rule(inf, 10, 0, 0.03, 1.00, 1e-4, "rand", 0.1,
         "so many images outweigh what the weights knew: one rate for all layers"),
)  # fmt: skip


def rule_for(num_images: int) -> Rule:
    """Return the row for a number of training images."""
    return next(rule for rule in RULES if num_images < rule.below)


def bn_momentum(num_images: int) -> float:
    """Return the weight of a batch in BN statistics: 10 / s for s steps an epoch, at most 0.1."""
    return min(BN_FASTEST, BN_STEPS / max(1, num_images // BATCH_SIZE))


def settings(rule: Rule, num_images: int) -> dict[str, Any]:
    """Return a rule as the values of a recipe."""
    return {
        "epochs": rule.epochs,
        "batch_size": BATCH_SIZE,
        "bn_momentum": bn_momentum(num_images),
        "finetune": {"head_epochs": rule.head_epochs, "layer_decay": rule.layer_decay},
        "augment": {"flip": True, "resized_crop": 0.35, "policy": rule.policy, "mixup": rule.mixup},
        "optim": {"name": "sgd", "momentum": 0.9, "schedule": "cosine", "warmup_epochs": 1.0}
        | {"lr": rule.lr, "weight_decay": rule.weight_decay, "ema_decay": 0.999},
    }
