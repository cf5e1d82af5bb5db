"""The training loop learns, repeats itself exactly, keeps the best weights, and stops on nonsense."""

from copy import deepcopy
from math import log, sqrt

import pytest
import torch
from tiny_training import finished, fit, ignore, same, tiny, trainer
from torch import Tensor

from effnet.errors import EffnetError
from effnet.evaluation.metrics import predict_logits, top1_and_loss
from effnet.network.model import ConvNet
from effnet.training.average import warm_decay
from effnet.training.kept import copy_weights
from effnet.training.reporter import EpochRecord
from effnet.training.setup import build_spec


def test_the_loss_goes_down_and_the_accuracy_up() -> None:
    _, best, records = finished()
    assert records[0].train_loss > log(10) / 2
    assert records[-1].train_loss < 0.6 * records[0].train_loss
    assert records[-1].train_top1 > records[0].train_top1 + 0.3
    assert best.val_top1 > 0.4  # chance is 0.1


def validations(seed: int) -> list[tuple[float, float, int, bool]]:
    """Return top-1, loss, epoch and whether averaged, in the order of the validations."""
    results = []
    for record in finished(seed)[2]:
        assert record.ema_val_top1 is not None
        assert record.ema_val_loss is not None
        results.append((record.val_top1, record.val_loss, record.epoch, False))
        results.append((record.ema_val_top1, record.ema_val_loss, record.epoch, True))
    return results


@pytest.mark.parametrize("seed", [1, 4])  # the last average is a little worse than the weights; clearly worse
def test_the_weights_kept_are_the_last_ones_that_are_not_clearly_worse(seed: int) -> None:
    best = finished(seed)[1]
    kept = []
    highest = 0.0
    for result in validations(seed):
        highest = max(highest, result[0])
        if result[0] >= highest - sqrt(highest * (1 - highest) / 100):
            kept.append(result)
    assert (best.val_top1, best.val_loss, best.epoch, best.averaged) == kept[-1]


def test_the_best_weights_give_the_validation_they_are_recorded_with() -> None:
    trained, best, _ = finished()
    network = ConvNet(build_spec(trained.config), 10)
    network.load_state_dict(best.weights)
    assert top1_and_loss(*predict_logits(network, trained.val)) == pytest.approx(
        (best.val_top1, best.val_loss)
    )


def test_the_best_weights_are_a_copy() -> None:
    trained = trainer(tiny(epochs=1))
    best, _ = fit(trained)
    before = deepcopy(best.weights)
    for network in (trained.network, trained.average):
        assert network is not None
        for tensor in network.state_dict().values():
            tensor.zero_()
    assert same(best.weights, before)


def test_the_same_seed_gives_the_same_weights_to_the_last_bit() -> None:
    config = tiny(seed=3, dropout=0.3, drop_path=0.2)
    one, other = trainer(config), trainer(config)
    fit(one)
    torch.rand(7)  # nothing outside may matter
    torch.manual_seed(99)
    fit(other)
    assert same(copy_weights(one.network), copy_weights(other.network))


def test_another_seed_gives_other_weights() -> None:
    one, other = trainer(tiny(seed=3, epochs=1)), trainer(tiny(seed=4, epochs=1))
    other.network.load_state_dict(one.network.state_dict())
    fit(one)
    fit(other)
    assert not same(copy_weights(one.network), copy_weights(other.network))


def test_the_average_follows_every_step() -> None:
    config = tiny(epochs=2, batch_size=80, dropout=0.0, drop_path=0.0, optim={"ema_decay": 0.9})
    trained = trainer(config)
    weight = trained.network.get_parameter("classifier.weight")
    seen: list[Tensor] = []
    trained.optimizer.register_step_post_hook(lambda *_: seen.append(weight.detach().clone()))
    fit(trained)
    expected = seen[0]
    for update, value in enumerate(seen[1:], start=1):
        expected = torch.lerp(expected, value, 1 - warm_decay(0.9, update))
    assert len(seen) == 4
    assert trained.average is not None
    actual = trained.average.get_parameter("module.classifier.weight")
    assert torch.allclose(actual, expected, rtol=1e-5, atol=1e-7)


def test_a_learning_rate_far_too_high_is_an_error_that_says_so() -> None:
    trained = trainer(tiny(epochs=5, optim={"lr": 100.0}))
    with pytest.raises(
        EffnetError, match=r"loss is nan at step \d+ with learning rate \d.*lower --optim\.lr"
    ):
        fit(trained)


def test_weights_whose_answers_are_no_numbers_are_not_kept() -> None:
    trained = trainer(tiny(epochs=9, batch_size=160, optim={"lr": 100.0, "ema_decay": 0.0}))
    with pytest.raises(EffnetError, match=r"the (validation )?loss is (nan|inf) at step \d"):
        fit(trained)
    assert trained.best is None or all(weights.isfinite().all() for weights in trained.best.weights.values())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_first_epoch_with_its_step(value: float) -> None:
    trained = trainer(tiny())
    with torch.no_grad():
        trained.network.get_parameter("classifier.bias")[0] = value
    with pytest.raises(EffnetError, match=r"the loss is (nan|inf) at step [1-5] with learning rate 0\.0"):
        fit(trained)
    assert trained.best is None


def test_an_error_of_the_reporter_stops_the_training() -> None:
    trained = trainer(tiny(epochs=3))

    def refuse(record: EpochRecord) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained.fit(ignore, refuse)
    assert trained.step == 5


def test_weights_are_copied_under_the_names_of_the_plain_network() -> None:
    trained, _, _ = finished()
    assert trained.average is not None
    assert copy_weights(trained.average).keys() == trained.network.state_dict().keys()
