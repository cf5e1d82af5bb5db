"""What the training loop reports: losses, accuracies, steps and learning rates."""

from copy import deepcopy
from math import isfinite

import pytest
import torch
from tiny_training import finished, fit, same, tiny, trainer
from torch.nn import functional as F

from effnet.evaluation.metrics import predict_logits, top1_and_loss
from effnet.training import meter
from effnet.training.kept import copy_weights
from effnet.training.reporter import StepRecord


def test_every_epoch_is_recorded_in_order() -> None:
    trained, _, records = finished()
    assert [record.epoch for record in records] == list(range(5))
    assert [record.step for record in records] == [8, 16, 24, 32, 40]
    assert trained.step == 40


def test_the_recorded_rate_is_that_of_the_last_step() -> None:
    trained, _, records = finished()
    assert records[-1].lr == trained.optimizer.param_groups[0]["lr"] < records[0].lr < 0.1


def test_weights_and_average_are_validated_apart() -> None:
    trained, _, records = finished()
    assert trained.average is not None
    raw = top1_and_loss(*predict_logits(trained.network, trained.val))
    ema = top1_and_loss(*predict_logits(trained.average, trained.val))
    assert (records[-1].val_top1, records[-1].val_loss) == pytest.approx(raw)
    assert (records[-1].ema_val_top1, records[-1].ema_val_loss) == pytest.approx(ema)
    assert raw != ema


def test_without_an_average_there_is_nothing_to_record_of_it() -> None:
    trained = trainer(tiny(epochs=1, optim={"ema_decay": 0.0}))
    best, (record,) = fit(trained)
    assert trained.average is None
    assert (record.ema_val_top1, record.ema_val_loss, best.averaged) == (None, None, False)
    assert record.to_dict()["ema_val_top1"] is None


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_recorded_loss_is_cross_entropy_with_smoothed_labels(smoothing: float) -> None:
    optim = {"label_smoothing": smoothing}
    trained = trainer(tiny(seed=4, epochs=1, batch_size=160, dropout=0.0, drop_path=0.0, optim=optim))
    with torch.no_grad():  # fresh logits are all alike, and then smoothing hardly matters
        trained.network.get_parameter("classifier.weight").mul_(20)
    network = deepcopy(trained.network).train()
    ((images, labels),) = trained.train.epoch(0)
    with torch.no_grad():
        log_probs = F.log_softmax(network(images), 1)
    hard = -log_probs[torch.arange(160), labels].mean().item()
    uniform = -log_probs.mean().item()
    assert abs(hard - uniform) > 0.1
    _, (record,) = fit(trained)
    assert record.train_loss == pytest.approx((1 - smoothing) * hard + smoothing * uniform, rel=1e-5)
    assert record.train_top1 == pytest.approx((log_probs.argmax(1) == labels).float().mean().item())


def test_validation_is_without_smoothing_dropout_and_change_of_statistics() -> None:
    trained = trainer(tiny(epochs=1, dropout=0.5, optim={"label_smoothing": 0.3, "ema_decay": 0.0}))
    _, (record,) = fit(trained)
    before = copy_weights(trained.network)
    logits, labels = predict_logits(trained.network, trained.val)
    assert record.val_loss == pytest.approx(F.cross_entropy(logits, labels).item())
    assert same(copy_weights(trained.network), before)


def test_every_step_is_reported_when_it_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "REPORT_SECONDS", 0.0)
    records: list[StepRecord] = []
    trainer(tiny(epochs=2)).fit(records.append, lambda record: None)
    assert [(record.epoch, record.step) for record in records] == [
        (step // 5, step + 1) for step in range(10)
    ]
    assert {(record.epochs, record.total_steps) for record in records} == {(2, 10)}
    assert all(isfinite(record.loss) and 0 <= record.top1 <= 1 for record in records)
