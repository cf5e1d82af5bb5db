"""Steps whose gradient is no number: left out, counted and named, and an error when they do not end."""

from collections.abc import Callable
from math import isfinite

import torch
from torch import Tensor, nn

from effnet.errors import DivergedError

MAX_IN_A_ROW = 3
NUM_NAMED = 10  # the first ones each by a line, later ones whenever their number has doubled


def silent(text: str) -> None:
    """Drop a message."""


class StepGuard:
    """Keeps a step that is no number away from weights, their average, and statistics of normalisation.

    One NaN would be in all of them after one step, and the loss would show it only later.
    """

    def __init__(self, network: nn.Module) -> None:
        buffers = list(network.buffers())
        self._statistics = [buffer for buffer in buffers if buffer.is_floating_point()]
        self._counts = [buffer for buffer in buffers if not buffer.is_floating_point()]
        self._before = [torch.empty_like(buffer) for buffer in (*self._statistics, *self._counts)]
        self.skipped = 0
        """Steps that were left out since the training began."""
        self.in_a_row = 0
        """How many of the last steps were."""
        self.say: Callable[[str], None] = silent

    @torch.no_grad()
    def remember(self) -> None:
        """Keep the statistics as they are before the forward pass, which changes them."""
        first = len(self._statistics)
        _copy(self._before[:first], self._statistics)
        _copy(self._before[first:], self._counts)

    @torch.no_grad()
    def accepts(self, norm: Tensor) -> bool:
        """Tell whether a step with this gradient norm `()` may be taken; if not, undo the forward pass.

        It waits for the device, as torch's own scaler of gradients does.
        """
        if isfinite(norm.item()):
            self.in_a_row = 0
            return True
        first = len(self._statistics)
        _copy(self._statistics, self._before[:first])
        _copy(self._counts, self._before[first:])
        self.skipped += 1
        self.in_a_row += 1
        return False

    def tell(self, step: int, loss: Tensor, lr: float) -> None:
        """Name the step just left out: the `step`-th of the training, with its `loss ()`.

        Raises:
            DivergedError: it was one of several in a row.

        """
        value = loss.item()
        what = "gradient norm" if isfinite(value) else "loss"
        if self.in_a_row >= MAX_IN_A_ROW:
            raise diverged(what, "not finite" if isfinite(value) else value, step, lr)
        if self.skipped <= NUM_NAMED or self.skipped.bit_count() == 1:
            self.say(
                f"warning: step {step} is left out: its {what} is not finite (loss {value:.3g}, "
                f"learning rate {lr:.3g}); {self.skipped} so far"
            )


def _copy(targets: list[Tensor], sources: list[Tensor]) -> None:
    if targets:
        torch._foreach_copy_(targets, sources)


def diverged(what: str, value: float | str, step: int, lr: float) -> DivergedError:
    """Build the error of a value that is no number any more."""
    return DivergedError(
        f"the {what} is {value} at step {step} with learning rate {lr:.3g}; "
        f"try a lower --optim.lr or a longer --optim.warmup-epochs"
    )
