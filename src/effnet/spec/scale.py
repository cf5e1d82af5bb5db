"""Compound scaling (paper §3.3, equation 3): one number φ sets depth, width and resolution together."""

from collections.abc import Iterable
from dataclasses import replace
from math import ceil
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from effnet.errors import UsageError
from effnet.spec.netspec import Head, NetSpec, Stage

CHANNEL_UNIT = 8
RESOLUTION_UNIT = 4
MAX_DROPOUT = 0.5
DROPOUT_PER_PHI = 0.3 / 7  # paper §5.2: from 0.2 for B0 linearly to 0.5 for B7, which sits at φ = 7
MAX_PHI = 12.0

Coefficient = Annotated[float, Field(ge=1.0, le=4.0, allow_inf_nan=False)]
Multiplier = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Coefficients:
    """How one unit of φ is shared out: depth × alpha, width × beta, resolution × gamma.

    The defaults are the paper's, found for B0 by a grid search under alpha·beta²·gamma² ≈ 2.
    """

    alpha: Coefficient = 1.2
    beta: Coefficient = 1.1
    gamma: Coefficient = 1.15

    @property
    def cost_factor(self) -> float:
        """alpha·beta²·gamma²: what one unit of φ multiplies the MACs by, before rounding."""
        return self.alpha * self.beta**2 * self.gamma**2


PAPER = Coefficients()


@dataclass(frozen=True)
class Multipliers:
    """Exact factors on a base network, before rounding."""

    depth: Multiplier
    width: Multiplier
    resolution: Multiplier

    @property
    def cost_factor(self) -> float:
        """Factor on the MACs, before rounding."""
        return self.depth * self.width**2 * self.resolution**2


def multipliers(phi: float, coefficients: Coefficients = PAPER) -> Multipliers:
    """Return depth = alpha^φ, width = beta^φ, resolution = gamma^φ (equation 3)."""
    return Multipliers(coefficients.alpha**phi, coefficients.beta**phi, coefficients.gamma**phi)


def scale(spec: NetSpec, phi: float, coefficients: Coefficients = PAPER) -> NetSpec:
    """Scale a network by the compound coefficient φ, any real number; negative makes it smaller.

    Dropout follows the paper: + 0.3 · φ/7, within [0, 0.5]. Drop-path stays the base's, as in the official
    networks, and shrinks in proportion to dropout for φ < 0: a smaller network needs less of both.

    Raises:
        UsageError: φ is not a number between -12 and 12.

    """
    if not -MAX_PHI <= phi <= MAX_PHI:
        raise UsageError(f"phi = {phi}: must be a number between {-MAX_PHI:g} and {MAX_PHI:g}")
    if phi == 0:
        return spec
    scaled = resize(spec, multipliers(phi, coefficients))
    dropout = scaled_dropout(spec.dropout, phi)
    shrink = min(1.0, dropout / spec.dropout) if spec.dropout else 1.0
    return replace(
        scaled,
        name=f"{spec.name}-phi{phi:g}",
        dropout=dropout,
        drop_path=round(spec.drop_path * shrink, 6),
    )


def scaled_dropout(dropout: float, phi: float) -> float:
    """Linear in φ, never below 0, never above the paper's 0.5 (or the base's own, if that is more)."""
    if dropout == 0:
        return 0.0
    return round(min(max(MAX_DROPOUT, dropout), max(0.0, dropout + DROPOUT_PER_PHI * phi)), 6)


def resize(spec: NetSpec, by: Multipliers) -> NetSpec:
    """Multiply depth, width and resolution, with the rounding rules below; regularisation is left alone."""
    return replace(
        spec,
        stem=replace(spec.stem, out_channels=round_channels(spec.stem.out_channels * by.width)),
        stages=tuple(_resize_stages(spec.stages, by)),
        head=Head(round_channels(spec.head.out_channels * by.width)),
        resolution=round_resolution(spec.resolution * by.resolution),
    )


def _resize_stages(stages: tuple[Stage, ...], by: Multipliers) -> Iterable[Stage]:
    for stage in stages:
        yield replace(
            stage,
            out_channels=round_channels(stage.out_channels * by.width),
            repeats=round_repeats(stage.repeats * by.depth),
        )


def round_channels(exact: float) -> int:
    """Round to the nearest multiple of 8, but never below 90 % of the exact value (official rule)."""
    rounded = max(CHANNEL_UNIT, int(exact + CHANNEL_UNIT / 2) // CHANNEL_UNIT * CHANNEL_UNIT)
    return rounded if rounded >= 0.9 * exact else rounded + CHANNEL_UNIT


def round_repeats(exact: float) -> int:
    """Round up (official rule). The tolerance keeps 3 × 1.2⁰ from becoming 4 by a rounding error."""
    return max(1, ceil(exact - 1e-9))


def round_resolution(exact: float) -> int:
    """Round to the nearest multiple of 4, as all official resolutions are; ties go up."""
    return max(RESOLUTION_UNIT, int(exact / RESOLUTION_UNIT + 0.5) * RESOLUTION_UNIT)
