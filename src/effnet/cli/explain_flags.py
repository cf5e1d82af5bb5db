"""The flags of `effnet predict --explain`; they load nothing, for an exported network needs no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import tyro

from effnet.errors import UsageError


@dataclass(frozen=True)
class ExplainFlags:
    """What to show of why a network says what it says."""

    explain: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Map which places of the images speak for their classes: a page, explain.html, and figures."""
    beside: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="MODEL…")] = ()
    """With --explain: map by these model files too, beside MODEL."""
    classes: Annotated[tuple[str, ...], tyro.conf.arg(name="class", metavar="CLASS…")] = ()
    """With --explain: map these classes, not the most probable ones."""
    maps: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """With --explain: map the N most probable classes; 3 when not given, 1 for each of several models."""
    method: Literal["cam", "grad-cam"] = "cam"
    """With --explain: cam weighs features by the classifier, grad-cam by gradients and cuts off below 0."""


def check_once(args: Sequence[str]) -> None:
    """Refuse a flag that takes several values and is given twice, whose first values would be lost, or none.

    Raises:
        UsageError: it is.

    """
    for flag, values in (("--class", "CLASS CLASS"), ("--beside", "MODEL MODEL")):
        if sum(arg.partition("=")[0] == flag for arg in args) > 1:
            raise UsageError(f"{flag} is given twice; write {flag} {values}")
        if any(arg == flag and after.startswith("--") for arg, after in pairwise([*args, "--"])):
            raise UsageError(f"{flag} names nothing; write {flag} {values.split()[0]}")
