"""The flags of a budget: what a network may cost at most."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from effnet.sizing.budget.limits import Limits, read_limits

COUNT = tyro.conf.arg(metavar="N[k|M|G]")
AMOUNT = tyro.conf.arg(metavar="X")


@dataclass(frozen=True)
class LimitFlags:
    """Limits, as they are typed: `5M` is a number too."""

    max_params: Annotated[str | None, COUNT] = None
    """Most parameters: 5000000, 5e6 or 5M."""
    max_macs: Annotated[str | None, COUNT] = None
    """Most multiply-adds for one image, which the paper calls FLOPS."""
    max_activations: Annotated[str | None, COUNT] = None
    """Most elements that convolutions and linear layers write for one image."""
    max_latency_ms: Annotated[str | None, AMOUNT] = None
    """Longest time to predict one batch, in milliseconds: the median, measured here, decoding left out."""
    max_memory_mb: Annotated[str | None, AMOUNT] = None
    """Most memory of a process that predicts one batch, in MB: its peak, libraries and weights included."""
    max_train_minutes: Annotated[str | None, AMOUNT] = None
    """Longest training by the whole recipe, in minutes, as foreseen from real steps."""

    @property
    def checked(self) -> Limits:
        """The limits as numbers.

        Raises:
            UsageError: a limit that is no number or not above 0.

        """
        return read_limits(vars(self))
