"""The training loop, in one sitting: one `for` over epochs, one over batches."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from effnet.config import TrainConfig
from effnet.data.loaders import Batch, EvalLoader, TrainLoader
from effnet.data.randomness import step_seed
from effnet.errors import EffnetError
from effnet.evaluation.metrics import predict_logits, top1_and_loss
from effnet.training import optim
from effnet.training.average import averaged
from effnet.training.reporter import EpochRecord, StepRecord

REPORT_SECONDS = 0.25

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Best:
    """The weights that did best on the validation part, and how well."""

    weights: Weights
    epoch: int
    averaged: bool
    """Whether these are the moving average or the raw weights."""
    val_top1: float
    val_loss: float


class Trainer:
    """Trains a network and keeps the weights that do best on the validation part."""

    def __init__(self, network: nn.Module, train: TrainLoader, val: EvalLoader, config: TrainConfig) -> None:
        self.network = network
        self.train = train
        self.val = val
        self.config = config
        self.optimizer = optim.build(network, config.optim)
        self.average = averaged(network, config.optim.ema_decay) if config.optim.ema_decay else None
        self.best: Best | None = None
        self.step = 0

    def fit(self, on_step: Callable[[StepRecord], None], on_epoch: Callable[[EpochRecord], None]) -> Best:
        """Train for all epochs.

        Raises:
            EffnetError: the loss is not finite; says the step, the learning rate and what to try.

        """
        for epoch in range(self.config.epochs):
            meter = Meter(epoch, self.config.epochs, self.train)
            self.network.train()
            for batch in self.train.epoch(epoch):
                torch.manual_seed(step_seed(self.config.seed, self.step))
                lr = optim.lr_at(self.step, self.train.num_steps, self.config.epochs, self.config.optim)
                loss, logits = self._update(batch, lr)
                self.step += 1
                meter.add(loss, logits, batch[1])
                if meter.is_due:
                    on_step(self._checked(meter.step_record(self.step, lr)))
            on_epoch(self._end_epoch(epoch, meter, lr))
        assert self.best is not None  # epochs is at least 1, and the first epoch sets it
        return self.best

    def _update(self, batch: Batch, lr: float) -> tuple[Tensor, Tensor]:
        """Take one optimizer step; return `loss ()` and `logits (N, K)`."""
        images, labels = batch
        optim.set_lr(self.optimizer, lr)
        logits = self.network(images)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.config.optim.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        return loss.detach(), logits.detach()

    def _checked(self, record: StepRecord) -> StepRecord:
        if not record.loss < float("inf"):
            raise EffnetError(
                f"the loss is {record.loss} at step {record.step} with learning rate {record.lr:.3g}; "
                f"try a lower --optim.lr or a longer --optim.warmup-epochs"
            )
        return record

    def _end_epoch(self, epoch: int, meter: "Meter", lr: float) -> EpochRecord:
        """Validate raw and averaged weights; keep the better ones."""
        last = self._checked(meter.step_record(self.step, lr))
        val_top1, val_loss = self._validate(self.network, epoch, averaged=False)
        ema: tuple[float | None, float | None] = (None, None)
        if self.average is not None:
            ema = self._validate(self.average, epoch, averaged=True)
        train_loss, train_top1 = meter.means()
        return EpochRecord(
            epoch=epoch,
            step=self.step,
            lr=lr,
            train_loss=train_loss,
            train_top1=train_top1,
            val_loss=val_loss,
            val_top1=val_top1,
            ema_val_loss=ema[1],
            ema_val_top1=ema[0],
            images_per_second=last.images_per_second,
            seconds=meter.elapsed(),
        )

    def _validate(self, network: nn.Module, epoch: int, *, averaged: bool) -> tuple[float, float]:
        """Measure on the validation part; the weights are kept if none did better (ties: the lower loss)."""
        logits, labels = predict_logits(network, self.val)
        top1, loss = top1_and_loss(logits, labels)
        if self.best is None or (top1, -loss) > (self.best.val_top1, -self.best.val_loss):
            self.best = Best(copy_weights(network), epoch, averaged, top1, loss)
        return top1, loss


def copy_weights(network: nn.Module) -> Weights:
    """Copy parameters and buffers to the CPU, under the names they have in the plain network."""
    module = network.module if isinstance(network, AveragedModel) else network
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in module.state_dict().items()}


class Meter:
    """Means of loss and accuracy over an epoch; waits for the device only when asked for numbers."""

    def __init__(self, epoch: int, epochs: int, loader: TrainLoader) -> None:
        self.epoch = epoch
        self.epochs = epochs
        self.loader = loader
        self.losses: list[Tensor] = []
        self.hits: list[Tensor] = []
        self.started = self.reported = perf_counter()

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Take in a batch: `loss ()`, `logits (N, K)`, `labels (N,)`."""
        self.losses.append(loss)
        self.hits.append((logits.argmax(1) == labels).float().mean())

    @property
    def is_due(self) -> bool:
        """Whether it is time for a report."""
        return perf_counter() - self.reported >= REPORT_SECONDS

    def elapsed(self) -> float:
        """Seconds since the start of the epoch."""
        return perf_counter() - self.started

    def means(self, last: int = 0) -> tuple[float, float]:
        """Mean loss and accuracy over the last batches, or over all."""
        losses, hits = torch.stack(self.losses[-last:]), torch.stack(self.hits[-last:])
        return losses.mean().item(), hits.mean().item()

    def step_record(self, step: int, lr: float) -> StepRecord:
        """Build the record of this moment, over the last ten batches."""
        loss, top1 = self.means(last=10)
        speed = len(self.losses) * self.loader.batch_size / self.elapsed()
        self.reported = perf_counter()
        total = self.loader.num_steps * self.epochs
        return StepRecord(self.epoch, self.epochs, step, total, loss, top1, lr, speed)
