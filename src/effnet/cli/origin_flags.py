"""The flags of what a training builds on: weights to begin with, a teacher, a probe, folds."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Annotated

import tyro

from effnet.training.order import Order

MODEL = tyro.conf.arg(metavar="MODEL")


@dataclass(frozen=True)
class OriginFlags:
    """What a training builds on, and what sort of training it is."""

    source: Annotated[str | None, tyro.conf.arg(name="from", metavar="MODEL")] = None
    """Begin with the weights of a model file, cifar10-small or a name on a hub; recipe: rules for the number
    of images."""
    revision: Annotated[str | None, tyro.conf.arg(metavar="REV")] = None
    """Revision of a name on a hub."""
    teacher: Annotated[str | None, MODEL] = None
    """Learn the answers of this model too: distillation; see distill."""
    probe: bool = False
    """With --from: only a logistic regression on the features of the network, in seconds."""
    folds: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Cross-validate in N folds of the training images first; the model file is of all of them."""

    @property
    def order(self) -> Order:
        """The flags as what the training takes."""
        return Order(**vars(self))


def value_of(flag: str, args: Sequence[str]) -> str | None:
    """Find the value of a flag before the flags can be parsed; the last one counts."""
    found = None
    for arg, following in zip_longest(args, args[1:]):
        if arg == flag:
            found = following
        elif arg.startswith(f"{flag}="):
            found = arg.removeprefix(f"{flag}=")
    return found


def names_given(args: Sequence[str]) -> set[str]:
    """Return the names of the flags that were typed; of `--optim.lr`, `optim`."""
    flags = (arg.partition("=")[0] for arg in args if arg.startswith("--"))
    return {flag.removeprefix("--").partition(".")[0] for flag in flags}
