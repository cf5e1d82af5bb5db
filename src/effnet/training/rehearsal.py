"""A trainer to try steps on: what they take of time and memory is measured so."""

from copy import deepcopy

from effnet.config import TrainConfig
from effnet.training.compute import Compute
from effnet.training.group import ALONE, Group
from effnet.training.loop import Trainer


def rehearsal(trainer: Trainer, config: TrainConfig, compute: Compute, *, group: Group = ALONE) -> Trainer:
    """Return a trainer with a copy of the network, to try steps on: the one that was given stays as it is.

    In a group all processes have to take the same steps.
    """
    copy = Trainer(deepcopy(trainer.network), trainer.train, trainer.val, config)
    copy.lessons, copy.teacher, copy.group = trainer.lessons, trainer.teacher, group
    copy.compute_by(compute)
    copy.enter(copy.course.last)
    return copy
