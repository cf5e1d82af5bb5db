"""The course of a training: what changes from epoch to epoch beside the learning rate, and that with it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from effnet.config import OptimConfig, TrainConfig
from effnet.training.optim import Horizon, lr_at

HEAD_ONLY_COST = 1 / 3


@dataclass(frozen=True)
class Phase:
    """What an epoch is like."""

    head_only: bool
    """Whether the classifier alone learns."""
    stage: int
    """Number of the stage of `progressive`, from 0: how large the images are, and how strongly changed."""


@dataclass(frozen=True)
class Course:
    """The phases of a training, planned for all its epochs.

    Where a limit of time makes it shorter than planned, every phase is shorter in the same proportion.
    """

    epochs: int
    head_epochs: int
    """Epochs in which the classifier alone learns: at most half of all."""
    stages: int

    @property
    def last(self) -> Phase:
        """The phase at the end, which needs more time and memory than any other."""
        return Phase(head_only=False, stage=self.stages - 1)

    def phase(self, epoch: int, horizon: Horizon) -> Phase:
        """Return the phase of an epoch, which is decided at its beginning."""
        head_only = epoch < self.head_length(horizon)
        stage = epoch * horizon.planned * self.stages // (horizon.total * self.epochs)
        return Phase(head_only, min(stage, self.stages - 1))

    def head_length(self, horizon: Horizon) -> int:
        """Return the number of epochs in which the classifier alone learns."""
        return -(-self.head_epochs * horizon.total // horizon.planned)  # rounded up

    def lr_at(self, step: int, horizon: Horizon, config: OptimConfig) -> float:
        """Return the learning rate of a step: the peak while the classifier is alone, then the schedule.

        The schedule begins anew when the other layers come in, warm-up included: they would be torn apart
        by the full rate, while the classifier, drawn at random, has nothing to lose.
        """
        steps = horizon.steps_per_epoch
        alone = self.head_length(horizon) * steps
        if step < alone:
            return config.lr
        rest = Horizon(steps, horizon.planned - self.head_epochs * steps, horizon.total - alone)
        return lr_at(step - alone, rest, config)

    def work(self, step: int, horizon: Horizon, pixels: Sequence[float]) -> float:
        """Return what the steps before this one cost, in steps of the last phase.

        A forecast from early steps has to know it. `pixels` are those of an image in each stage, as shares of
        the last one's; a step of the classifier alone has no backward pass, which is two thirds.
        """
        steps, done = horizon.steps_per_epoch, 0.0
        for epoch in range(-(-step // steps)):
            phase = self.phase(epoch, horizon)
            cost = pixels[phase.stage] * (HEAD_ONLY_COST if phase.head_only else 1.0)
            done += cost * min(steps, step - epoch * steps)
        return done

    def shares(self) -> Mapping[Phase, float]:
        """Return which part of the training each phase is."""
        whole = Horizon(1, self.epochs, self.epochs)
        counts = Counter(self.phase(epoch, whole) for epoch in range(self.epochs))
        return {phase: count / self.epochs for phase, count in counts.items()}


def course_of(config: TrainConfig) -> Course:
    """Return the course that a configuration asks for."""
    head_epochs = min(config.finetune.head_epochs, config.epochs // 2)
    return Course(config.epochs, head_epochs, config.progressive.stages)
