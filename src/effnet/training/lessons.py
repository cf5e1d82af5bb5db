"""The stages of progressive learning (Tan & Le 2021, section 4): images and regularisation grow together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from effnet.config import AugmentConfig, TrainConfig
from effnet.data.augment import Augment
from effnet.data.mixing import Mix
from effnet.imaging.preprocess import Preprocess
from effnet.spec.netspec import NetSpec
from effnet.transfer.settings import ProgressiveConfig


@dataclass(frozen=True)
class Lesson:
    """How training images look in a stage, and how much the network forgets of them."""

    augment: Augment
    mix: Mix
    dropout: float
    pixels: float = 1.0
    """Pixels of an image, as a share of those at the full resolution."""


def lessons(config: TrainConfig, spec: NetSpec, preprocess: Preprocess, num_classes: int) -> list[Lesson]:
    """Return the stages, the last one exactly as configured."""
    strengths = shares(config.progressive, config.progressive.first_strength)
    made = []
    for share, size in zip(strengths, sizes(config.progressive, spec.resolution), strict=True):
        augment, pixels = weakened(config.augment, share), (size / spec.resolution) ** 2
        looks = Augment(augment, preprocess, size), Mix(augment, num_classes)
        made.append(Lesson(*looks, dropout=share * spec.dropout, pixels=pixels))
    return made


def shares(config: ProgressiveConfig, first: float) -> Sequence[float]:
    """Return a value of each stage, from `first` in equal steps to 1 (the paper's algorithm 1)."""
    rising = [first + (1.0 - first) * stage / (config.stages - 1) for stage in range(config.stages - 1)]
    return [*rising, 1.0]


def sizes(config: ProgressiveConfig, resolution: int) -> list[int]:
    """Return the side of the images of each stage, in pixels."""
    return [max(1, round(share * resolution)) for share in shares(config, config.first_size)]


def weakened(config: AugmentConfig, share: float) -> AugmentConfig:
    """Return the augmentation at a share of its strength, as far as it has a strength."""
    return replace(
        config,
        rand_magnitude=share * config.rand_magnitude,
        mixup=share * config.mixup,
        cutmix=share * config.cutmix,
    )
