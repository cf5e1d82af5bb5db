"""Multiply a network's depth, width and resolution, with the rounding rules that make it a network again."""

from collections.abc import Iterable
from dataclasses import replace
from math import ceil
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from effnet.spec.netspec import Head, NetSpec, Stage

CHANNEL_UNIT = 8
RESOLUTION_UNIT = 4

Multiplier = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


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


def resize(spec: NetSpec, by: Multipliers) -> NetSpec:
    """Multiply depth, width and resolution, with the rounding rules below; regularisation is left alone."""
    head = None if spec.head is None else Head(round_channels(spec.head.out_channels * by.width))
    return replace(
        spec,
        stem=replace(spec.stem, out_channels=round_channels(spec.stem.out_channels * by.width)),
        stages=tuple(_resize_stages(spec.stages, by)),
        head=head,
        resolution=round_resolution(spec.resolution * by.resolution),
    )


def _resize_stages(stages: tuple[Stage, ...], by: Multipliers) -> Iterable[Stage]:
    for stage in stages:
        yield replace(
            stage,
            out_channels=_resize_channels(stage, by.width),
            repeats=round_repeats(stage.repeats * by.depth),
        )


def _resize_channels(stage: Stage, width: float) -> int:
    """Round the output of a block; of a bottleneck its inner channels, which the output is a multiple of."""
    multiple = stage.expand_ratio if stage.block == "bottleneck" else 1
    return multiple * round_channels(stage.out_channels / multiple * width)


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
