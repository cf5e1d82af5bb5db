"""A step whose gradient is no number is left out, counted, named; several in a row end the training."""

from math import isnan
from typing import Any

import pytest
import torch
from tiny_training import fit, ignore, same, tiny, trainer
from torch import Tensor, nn

from effnet.errors import DivergedError
from effnet.training.guard import StepGuard
from effnet.training.kept import copy_weights
from effnet.training.loop import Trainer
from effnet.training.snapshot import capture, restore

NAN, INF = float("nan"), float("inf")


def poison(trained: Trainer, *steps: int, value: float = NAN) -> list[str]:
    """Let the gradient have one bad number at these steps, counted from 1; return what is said of them."""
    said: list[str] = []
    trained.guard.say = said.append

    def spoil(gradient: Tensor) -> Tensor:
        if trained.step + 1 in steps:
            gradient = gradient.clone()
            gradient.view(-1)[0] = value
        return gradient

    trained.network.get_parameter("classifier.weight").register_hook(spoil)  # type: ignore[no-untyped-call]
    return said


def everything(trained: Trainer) -> dict[str, Tensor]:
    """Copy all that a step changes: weights, statistics, their average, the optimizer's memory."""
    arrays = capture(trained, {}).arrays
    return {
        name: torch.from_numpy(array.copy()) for name, array in arrays.items() if not name.startswith("meter")
    }


def one_step(trained: Trainer) -> None:
    trained.update(next(trained.train.epoch(0, start=trained.step)), 0.05)
    trained.step += 1


@pytest.mark.parametrize("name", ["sgd", "adamw", "rmsprop"])
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_bad_step_changes_nothing(name: str, value: float) -> None:
    trained = trainer(tiny(optim={"name": name, "lr": 0.01, "ema_decay": 0.9}))
    poison(trained, 2, value=value)
    one_step(trained)
    before = everything(trained)
    one_step(trained)
    assert same(everything(trained), before)
    assert (trained.guard.skipped, trained.guard.in_a_row) == (1, 1)
    one_step(trained)
    assert not same(everything(trained), before)
    assert (trained.guard.skipped, trained.guard.in_a_row) == (1, 0)


def test_statistics_that_a_bad_forward_pass_has_spoilt_are_put_back() -> None:
    trained = trainer(tiny())
    before = copy_weights(trained.network)
    images, labels = next(trained.train.epoch(0))
    trained.update((images * NAN, labels), 0.05)
    assert same(copy_weights(trained.network), before)


@pytest.mark.parametrize("optim", [{"clip_norm": 1.0}, {"accumulate": 4}], ids=str)
def test_clipping_and_pieces_leave_it_out_too(optim: dict[str, Any]) -> None:
    trained = trainer(tiny(optim=optim))
    poison(trained, 1)
    before = copy_weights(trained.network)
    one_step(trained)
    assert same(copy_weights(trained.network), before)


def test_one_bad_step_is_named_and_the_training_goes_on() -> None:
    trained = trainer(tiny())
    said = poison(trained, 3)
    best, records = fit(trained)
    (line,) = said
    assert line.startswith("warning: step 3 is left out: its gradient norm is not finite (loss 2.")
    assert line.endswith("; 1 so far")
    assert [record.step for record in records] == [5, 10]
    assert all(weights.isfinite().all() for weights in best.weights.values())


def test_a_loss_that_is_no_number_does_not_count() -> None:
    trained = trainer(tiny(epochs=1))
    said = poison(trained)
    trained.network.classifier.register_forward_hook(
        lambda layer, inputs, logits: logits * (NAN if trained.step == 2 and layer.training else 1)
    )
    _, (record,) = fit(trained)
    assert said[0].startswith("warning: step 3 is left out: its loss is not finite (loss nan")
    assert 1.5 < record.train_loss < 3.0
    assert record.step == 5


def test_three_bad_steps_in_a_row_end_the_training() -> None:
    trained = trainer(tiny())
    said = poison(trained, 1, 3, 4, 5)
    with pytest.raises(
        DivergedError, match=r"the gradient norm is not finite at step 5 with .*--optim\.lr or a longer"
    ):
        fit(trained)
    assert len(said) == 3


def test_many_bad_steps_are_not_named_one_by_one() -> None:
    said: list[str] = []
    guard = StepGuard(nn.Linear(1, 1))
    guard.say = said.append
    for step in range(1, 101):
        if not guard.accepts(torch.tensor(NAN if step % 2 else 1.0)):
            guard.tell(step, torch.tensor(2.0), 0.1)
    assert guard.skipped == 50
    assert [line.rpartition("; ")[2] for line in said] == [
        f"{count} so far" for count in (*range(1, 11), 16, 32)
    ]


@pytest.mark.parametrize("bad", [(1,), (2,), (2, 3)])
def test_epochs_of_bad_steps_alone_do_not_end_a_training(bad: tuple[int, ...]) -> None:
    trained = trainer(tiny(batch_size=160, epochs=5))  # one step an epoch
    poison(trained, *bad)
    fit(trained)
    assert trained.guard.skipped == len(bad)
    losses = [record.train_loss for record in trained.records]
    assert [number for number, loss in enumerate(losses, start=1) if isnan(loss)] == [1] * (1 in bad)
    if 1 not in bad:
        assert losses[1] == losses[0]  # that of the epoch before stands


class StopError(Exception):
    pass


@pytest.mark.parametrize("after", [2, 3, 4])
def test_a_resume_around_a_bad_step_ends_in_the_same_bits(after: int) -> None:
    whole = trainer(tiny())
    poison(whole, 3, 4)
    fit(whole)
    first, second = trainer(tiny()), trainer(tiny())

    def stop(end_of_epoch: bool) -> None:
        if first.step == after:
            raise StopError

    poison(first, 3, 4)
    with pytest.raises(StopError):
        first.fit(ignore, lambda record: None, checkpoint=stop)
    restore(second, capture(first, {}))
    poison(second, 3, 4)
    fit(second)
    assert same(copy_weights(second.network), copy_weights(whole.network))
    assert second.guard.skipped == whole.guard.skipped == 2


def test_three_in_a_row_are_counted_across_a_resume() -> None:
    first, second = trainer(tiny()), trainer(tiny())

    def stop(end_of_epoch: bool) -> None:
        if first.step == 3:
            raise StopError

    poison(first, 2, 3, 4)
    with pytest.raises(StopError):
        first.fit(ignore, lambda record: None, checkpoint=stop)
    restore(second, capture(first, {}))
    poison(second, 4)
    with pytest.raises(DivergedError, match="at step 4"):
        fit(second)
