"""`effnet` with a gradient that is no number at some steps, for tests of what a training does about it.

python benchmarks/poisoned_training.py STEP[,STEP …] train DATA …
"""

import sys
from typing import Any

from torch import Tensor

from effnet.cli.main import main
from effnet.data.loaders import Batch
from effnet.training.loop import Trainer


def poison(steps: frozenset[int]) -> None:
    """Let the gradient of the first weights be NaN at these steps of a training, counted from 1."""
    sound = Trainer.update

    def update(self: Trainer, batch: Batch, lr: float) -> tuple[Tensor, Tensor]:
        if self.step + 1 not in steps:
            return sound(self, batch, lr)
        weights: Any = next(self.network.parameters())
        hook = weights.register_hook(lambda gradient: gradient * float("nan"))
        try:
            return sound(self, batch, lr)
        finally:
            hook.remove()

    Trainer.update = update  # type: ignore[method-assign]


if __name__ == "__main__":
    poison(frozenset(map(int, sys.argv[1].split(","))))
    raise SystemExit(main(sys.argv[2:]))
