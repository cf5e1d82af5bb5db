"""Settings of what a training may build on: which weights move when, who teaches, how images grow."""

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True, config=_STRICT)
class FinetuneConfig:
    """Which weights move when, in a training that begins with those of another network."""

    head_epochs: Annotated[int, Field(ge=0, le=100_000)] = 0
    """First epochs, in which the classifier alone learns, at the peak learning rate."""
    layer_decay: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Factor on the learning rate for each block further from the classifier."""
    freeze: Annotated[int, Field(ge=0)] | str | None = None
    """What never moves: the stem and so many stages, or names such as stem,stage1,stage2."""
    freeze_bn: bool = False
    """Batch normalisation stays as it is: its statistics and its weights."""


@dataclass(frozen=True, config=_STRICT)
class DistillConfig:
    """How much a teacher counts, if there is one (Hinton et al. 2015)."""

    weight: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    """Share of the teacher's answers in the loss; the rest is that of the labels."""
    temperature: Annotated[float, Field(gt=0.0, le=100.0)] = 4.0
    """What logits of both are divided by, so that small probabilities count too."""


@dataclass(frozen=True, config=_STRICT)
class ProgressiveConfig:
    """Image size and regularisation that grow together over the training (Tan & Le 2021, section 4)."""

    stages: Annotated[int, Field(ge=1, le=100)] = 1
    """Stages of equal length, the last at the full resolution; 1 trains at one size."""
    first_size: Annotated[float, Field(ge=0.1, le=1.0)] = 0.5
    """Side of the images of the first stage, as a share of the resolution."""
    first_strength: Annotated[float, Field(ge=0.0, le=1.0)] = 0.33
    """Dropout, rand_magnitude, mixup and cutmix of the first stage, as a share of what is configured."""
