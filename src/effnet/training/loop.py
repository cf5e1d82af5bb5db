"""The training loop, in one sitting: one `for` over epochs, one over batches."""

from collections.abc import Callable
from math import ceil, inf, isfinite
from time import perf_counter

import torch
from torch import Tensor, nn

from effnet.config import TrainConfig
from effnet.data.loaders import Batch, EvalLoader, TrainLoader
from effnet.data.randomness import step_seed
from effnet.evaluation.metrics import predict_logits, top1_and_loss
from effnet.network.model import ConvNet
from effnet.training import optim
from effnet.training.average import averaged
from effnet.training.compute import PLAIN, Compute, use_kernels
from effnet.training.course import Phase, course_of
from effnet.training.group import ALONE, Group
from effnet.training.guard import StepGuard, diverged
from effnet.training.kept import Best, copy_weights, is_stuck, standard_error
from effnet.training.layers import Layers
from effnet.training.lessons import Lesson
from effnet.training.loss import label_loss
from effnet.training.meter import Meter, share_right
from effnet.training.reporter import EpochRecord, StepRecord
from effnet.training.teacher import NO_TEACHER, Teacher
from effnet.training.unreadable import joint


class Trainer:
    """Trains a network and keeps good weights, judged on the validation part."""

    def __init__(self, network: ConvNet, train: TrainLoader, val: EvalLoader, config: TrainConfig) -> None:
        self.network = network
        self.train = train
        self.val = val
        self.config = config
        self.course = course_of(config)
        self.lessons = [Lesson(train.augment, train.mix, network.dropout.p)] * self.course.stages
        self.teacher: Teacher = NO_TEACHER
        self.group: Group = ALONE
        self.layers = Layers(network, config.finetune)
        self.enter(self.course.last)
        self.optimizer = optim.build(network, config.optim, self.layers.rate)
        self.clip = optim.clipper(network, config.optim)
        self.average = averaged(network, config.optim.ema_decay) if config.optim.ema_decay else None
        self.class_weights = train.class_weights() if config.data.balance == "weights" else None
        self.best: Best | None = None
        self.records: list[EpochRecord] = []
        self.highest = 0.0
        self.step = 0
        self.unread: tuple[str, ...] = ()
        """Names of the images that could not be read when training began, and so were left out."""
        self.total_steps = train.num_steps * config.epochs
        """Steps of the whole training, which the schedule is made for; a time limit may lower it."""
        self.deadline = inf
        """Moment, by `perf_counter`, at which the training ends even if the schedule does not."""
        self.meter = Meter()
        self.guard = StepGuard(network)
        self.compute_by(PLAIN)

    def compute_by(self, compute: Compute) -> None:
        """Compute in this way from now on."""
        self.compute = compute
        use_kernels(self.network, compute.native)
        self.forward = self.group.wrap(compute.forward(self.network), may_rest=self.course.head_epochs > 0)

    def join(self, group: Group) -> None:
        """Compute a share of each batch, beside the other processes of a group; before `compute_by`."""
        self.group = group
        self.train.share = self.val.share = group.share

    @property
    def horizon(self) -> optim.Horizon:
        """How long the training is, and was planned to be."""
        steps = self.train.num_steps
        return optim.Horizon(steps, planned=steps * self.config.epochs, total=self.total_steps)

    @property
    def epoch(self) -> int:
        """The epoch that the next step belongs to."""
        return len(self.records)

    def fit(
        self,
        on_step: Callable[[StepRecord], None],
        on_epoch: Callable[[EpochRecord], None],
        *,
        checkpoint: Callable[[bool], None] = lambda end_of_epoch: None,
    ) -> Best:
        """Train from where the trainer stands to the end.

        Args:
            on_step: told the progress, a few times a second.
            on_epoch: told the result of each epoch.
            checkpoint: called after every step, and with True after every epoch, when the state is whole;
                may save it, or raise to stop.

        Raises:
            DivergedError: the loss, or the gradient of several steps in a row, is no number; what may help.

        """
        self.meter.start()
        while not self.is_finished():
            self.enter(self.course.phase(self.epoch, self.horizon))
            for batch in self.train.epoch(self.epoch, start=self.step - self.epoch * self.train.num_steps):
                torch.manual_seed(step_seed(self.config.seed, self.step, self.group.share.rank))
                lr = self.lr_at(self.step)
                measured = self._measured(batch, *self.update(batch, lr))
                self.step += 1
                if self.guard.in_a_row:
                    self.guard.tell(self.step, measured[0], lr)
                else:
                    self.meter.add(*measured)
                if self.meter.is_due:
                    on_step(self._step_record(lr))
                if self.is_out_of_steps():
                    break  # no checkpoint: no state stands between the last step and its validation
                checkpoint(False)
            self.records.append(self._end_epoch(self.epoch))
            if self.is_late():  # the steps done are the whole training: its state is that of a finished one
                self.total_steps = self.step
            self.meter = Meter()
            on_epoch(self.records[-1])
            checkpoint(True)
        assert self.best is not None  # there is at least one step, and the first epoch sets it
        return self.best

    def enter(self, phase: Phase) -> None:
        """Begin a phase: these layers move, and images look like that."""
        lesson = self.lessons[phase.stage]
        self.train.augment, self.train.mix = lesson.augment, lesson.mix
        self.network.dropout.p = lesson.dropout
        self.layers.move(head_only=phase.head_only)

    def is_out_of_steps(self) -> bool:
        """Whether the schedule or the time has come to its end."""
        return self.step >= self.total_steps or self.is_late()

    def is_late(self) -> bool:
        """Whether the deadline has passed; if it has for one process, it has for all."""
        return self.deadline < inf and bool(self.group.most(perf_counter() > self.deadline))

    def is_finished(self) -> bool:
        """Whether training is over: no steps left, or no progress for long.

        It never is where steps are not validated yet: an epoch that was broken off gets one more at least.
        """
        if not self.records or self.records[-1].step < self.step:
            return False
        whole = self.records[self.course.head_length(self.horizon) :]
        return self.is_out_of_steps() or is_stuck(whole, self.config.patience)

    def lr_at(self, step: int) -> float:
        """Return the learning rate of a step, counted over the whole training."""
        return self.course.lr_at(step, self.horizon, self.config.optim)

    def update(self, batch: Batch, lr: float) -> tuple[Tensor, Tensor]:
        """Take a step, unless its gradient is no number; return own `loss ()` and `logits (N, K)`."""
        images, labels = batch
        self.guard.remember()
        optim.set_lr(self.optimizer, lr)
        self.optimizer.zero_grad(set_to_none=True)
        losses, outputs = [], []
        pieces, weight = min(self.config.optim.accumulate, len(images)), self._weight(images)
        parts = zip(images.tensor_split(pieces), labels.tensor_split(pieces), strict=True)
        for number, (part, targets) in enumerate(parts, start=1):
            with self.group.piece(self.forward, last=number == pieces):
                with self.compute.autocast():
                    logits = self.forward(part).float()
                loss = self.teacher.blend(part, logits, self._loss(logits, targets, weight))
                loss = loss * (weight * len(part) / len(images))
                loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
            outputs.append(logits.detach())
        if self.guard.accepts(self.clip()):
            self.optimizer.step()
            if self.average is not None:
                self.average.update_parameters(self.network)
        return torch.stack(losses).sum(), torch.cat(outputs)

    def _weight(self, images: Tensor) -> float:
        """Return what the images of a batch that are computed here count in the mean over all processes."""
        return self.group.weight(len(images), self.train.batch_size)

    def _measured(self, batch: Batch, loss: Tensor, logits: Tensor) -> tuple[Tensor, ...]:
        """Return `loss ()` and accuracy `()` of the whole batch, whoever computed it."""
        return self.group.mean(loss, share_right(logits, batch[1]) * self._weight(batch[0]))

    def _loss(self, logits: Tensor, labels: Tensor, weight: float) -> Tensor:
        smoothing, weights = self.config.optim.label_smoothing, self.class_weights
        part = lambda mass: self.group.part(mass) / weight  # noqa: E731
        return label_loss(logits, labels, smoothing, class_weights=weights, part=part)

    def _step_record(self, lr: float) -> StepRecord:
        """Describe this moment by the last ten batches; a loss that is not finite ends the training."""
        loss, top1 = self.meter.means(last=10)
        if self.meter.losses and not loss < inf:  # there are none where all steps were left out
            raise diverged("loss", loss, self.step, lr)
        speed = self.meter.steps_per_second() * self.train.batch_size
        epochs = ceil(self.total_steps / self.train.num_steps)
        return StepRecord(self.epoch, epochs, self.step, self.total_steps, loss, top1, lr, speed)

    def _end_epoch(self, epoch: int) -> EpochRecord:
        """Validate raw weights, then their average."""
        last, meter = self._step_record(self.lr_at(self.step - 1)), self.meter
        self.group.copy_buffers(self.network, self.average)
        val_top1, val_loss = self._validate(self.network, epoch, averaged=False)
        ema: tuple[float | None, float | None] = (None, None)
        if self.average is not None:
            ema = self._validate(self.average, epoch, averaged=True)
        if not any(isfinite(loss) for loss in (val_loss, ema[1]) if loss is not None):
            raise diverged("validation loss", val_loss, self.step, last.lr)
        train_loss, train_top1 = self._learned(meter)
        return EpochRecord(
            epoch=epoch,
            step=self.step,
            lr=last.lr,
            train_loss=train_loss,
            train_top1=train_top1,
            val_loss=val_loss,
            val_top1=val_top1,
            ema_val_loss=ema[1],
            ema_val_top1=ema[0],
            images_per_second=last.images_per_second,
            seconds=meter.seconds(),
        )

    def _learned(self, meter: Meter) -> tuple[float, float]:
        """Return loss and accuracy of an epoch; of the one before, if all its steps were left out."""
        before = self.records[-1:]
        return (before[0].train_loss, before[0].train_top1) if before and not meter.losses else meter.means()

    def _validate(self, network: nn.Module, epoch: int, *, averaged: bool) -> tuple[float, float]:
        """Measure on the validation part; later weights are kept unless they are clearly worse.

        Clearly means by more than one standard error of the highest accuracy so far. On a few hundred images
        the highest of many epochs is mostly luck, while later weights had more training at a lower rate.
        """
        with self.compute.autocast():
            logits, labels = predict_logits(network, self.val, gather=joint(self.group, self.train, self.val))
        top1, loss = top1_and_loss(logits, labels)
        if not isfinite(loss):  # classes of logits that are no numbers are no answers
            return top1, loss
        self.highest = max(self.highest, top1)
        if self.best is None or top1 >= self.highest - standard_error(self.highest, len(labels)):
            correct = logits.argmax(1) == labels
            self.best = Best(copy_weights(network), epoch, averaged, top1, loss, correct)
        return top1, loss
