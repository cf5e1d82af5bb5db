"""What takes part in a contest: something that builds a program, in a process of its own."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]
"""`(N, C, S, S)`, normalised."""
Logits = NDArray[np.float32]
"""`(N, K)`."""


@dataclass(frozen=True)
class Program:
    """What can be done with a network that is ready."""

    run: Callable[[], Any]
    """Predicts one batch, or takes one training step, and returns when that is done."""
    answer: Callable[[Images], Logits]
    """What the network says of images, as far as `Contender.is_exact` in the precision of all."""
    gpu_bytes: Callable[[], int] | None = None
    """The most memory of a GPU that was taken since it was last asked; None on a CPU."""


Build = Callable[[Any], AbstractContextManager[Program]]
"""Makes a program out of what was prepared; it can be pickled, and so is a function of a module."""


def nothing() -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Contender:
    """A program and a network."""

    network: str
    """Contenders on one network are checked to compute the same."""
    program: str
    build: Build
    shape: tuple[int, int, int, int]
    """`(N, C, S, S)` of images that it can be asked about."""
    prepare: Callable[[], Any] = nothing
    """Loads libraries and data, before the clock runs; what it returns goes to `build`."""
    environment: Mapping[str, str | None] = field(default_factory=dict)
    """Variables of its process; None removes one."""
    is_exact: bool = True
    """Whether it computes in float32 throughout, so that its logits must equal those of the others."""

    @property
    def label(self) -> str:
        """What it is called while it works."""
        return f"{self.network}, {self.program}"
