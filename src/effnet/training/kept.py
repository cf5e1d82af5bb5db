"""Which weights a training keeps, and when it brings no more."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from effnet.evaluation.significance import wilson_interval
from effnet.training.reporter import EpochRecord

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Best:
    """The weights that a training keeps, and how they did on the validation part."""

    weights: Weights
    epoch: int
    averaged: bool
    """Whether these are the moving average or the raw weights."""
    val_top1: float
    val_loss: float
    correct: Tensor
    """Which validation images they answer rightly, `(N,)` bool, in the order of the part."""

    @property
    def val_interval(self) -> tuple[float, float]:
        """95 % interval of the validation accuracy; that these images chose the weights is not in it."""
        return wilson_interval(int(self.correct.sum()), len(self.correct))


def standard_error(share: float, count: int) -> float:
    """Return the standard error of a share that was measured on `count` images."""
    return sqrt(share * (1.0 - share) / count)


def is_stuck(records: Sequence[EpochRecord], patience: int | None) -> bool:
    """Tell whether the last `patience` epochs brought no higher validation accuracy than those before."""
    if patience is None or len(records) <= patience:
        return False
    tops = [max(record.val_top1, record.ema_val_top1 or 0.0) for record in records]
    return max(tops[-patience:]) <= max(tops[:-patience])


def copy_weights(network: nn.Module) -> Weights:
    """Copy parameters and buffers to the CPU, under the names they have in the plain network."""
    module = network.module if isinstance(network, AveragedModel) else network
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in module.state_dict().items()}
