"""What a study asks: which network is scaled, in which ways, how far, and how often each is trained."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from effnet.config import explain
from effnet.errors import UsageError

ArmName = Literal["depth", "width", "resolution", "compound"]
ARM_NAMES: tuple[ArmName, ...] = ("depth", "width", "resolution", "compound")

Phi = Annotated[float, Field(ge=-8.0, le=8.0)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class StudyConfig:
    """Everything that decides a study, except data, recipe and folder."""

    base: str | None = None
    """Network to scale: a name from `effnet show`, or a .json file; that of the recipe when not given."""
    phis: Annotated[tuple[Phi, ...], Field(min_length=1)] = (0.0, 1.0, 2.0)
    """Sizes to compare: each stands for 2^phi times the MACs of the base, and 0 for the base itself."""
    arms: Annotated[tuple[ArmName, ...], Field(min_length=1)] = ARM_NAMES
    """Ways of scaling: depth, width, resolution, compound; the others are compared with the last one."""
    seeds: Annotated[int, Field(ge=1, le=1000)] = 3
    """Trainings of each network, with the seeds seed, seed + 1, …; a single one allows no claim."""
    tolerance: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    """A network whose MACs are further off from what was asked for, as a share, is marked."""
    forecast_from: float | None = None
    """Fit error against MACs up to this phi, and predict the larger networks before they are trained."""


def build(**words: Any) -> StudyConfig:
    """Check the words of a study.

    Raises:
        UsageError: a value out of range, a word given twice, or too few networks for the forecast.

    """
    try:
        config = StudyConfig(**words)
    except ValidationError as error:
        raise UsageError(explain(error)) from None
    check(config)
    return config


def check(config: StudyConfig) -> None:
    """Refuse values that each are right and together are not.

    Raises:
        UsageError: says which, and what to do.

    """
    for word, values in (("phis", config.phis), ("arms", config.arms)):
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise UsageError(f"{word}: {twice} is given twice")
    if config.phis == (0.0,):
        raise UsageError("phis: 0 is the base itself, in all arms; give at least one other")
    if config.forecast_from is not None:
        check_forecast(config, config.forecast_from)


def check_forecast(config: StudyConfig, last: float) -> None:
    """Refuse a forecast with nothing to predict, or from too few networks."""
    fitted = [phi for phi in config.phis if phi <= last]
    if len(fitted) == len(config.phis):
        raise UsageError(
            f"forecast_from = {last:g}: no phi is above it, so nothing is left to predict; "
            f"phis are {', '.join(f'{phi:g}' for phi in config.phis)}"
        )
    scaled = sum(phi != 0 for phi in fitted)
    count, needed = scaled * len(config.arms) + (0.0 in fitted), len(config.arms) + 2
    if not scaled or count < needed:
        raise UsageError(
            f"forecast_from = {last:g}: {count} networks are fitted, and laws for {len(config.arms)} arms "
            f"need at least {needed}; give more phis up to {last:g}"
        )
