"""Memory of a training step: measured on copies, fitted by pieces, and a useful error when it runs out."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_training import same, tiny, trainer
from whole_runs import Listener

import effnet
from effnet.errors import EffnetError
from effnet.training.gauge import Gauge, gauge_of
from effnet.training.kept import copy_weights
from effnet.training.loop import Trainer
from effnet.training.memory import MemoryGuard, choose, forecast
from effnet.training.probe import Need, Probe, is_shortage
from effnet.training.reporter import Silent

GAUGE = gauge_of(torch.device("cpu"))
pytestmark = pytest.mark.skipif(GAUGE is None, reason="this system does not let a process read its peak")


def with_free(num_bytes: float) -> Gauge:
    """Return the real gauge of a machine with less memory."""
    assert GAUGE is not None
    return replace(GAUGE, free=lambda: int(num_bytes))


@pytest.fixture(scope="module")
def hungry() -> Trainer:
    """Build a trainer whose step takes some hundred megabytes."""
    return trainer(tiny(batch_size=64, phi=-2, model="b0-cifar"))


@pytest.fixture(scope="module")
def need(hungry: Trainer) -> Need:
    return Probe(hungry, with_free(1e9)).need


def shortage() -> None:
    torch.empty(1 << 50)


def test_what_the_allocator_says_is_a_shortage() -> None:
    with pytest.raises(RuntimeError) as caught:
        shortage()
    assert is_shortage(caught.value)


@pytest.mark.parametrize("error", [RuntimeError("mat1 and mat2"), ValueError("out of memory"), None])
def test_other_errors_are_none(error: BaseException | None) -> None:
    assert not is_shortage(error)


@pytest.mark.parametrize(
    ("free", "pieces"), [(2000.0, 1), (1100.0, 1), (1000.0, 1), (990.0, 2), (300.0, 5), (120.0, None)]
)
def test_pieces_leave_a_tenth_of_what_is_free(free: float, pieces: int | None) -> None:
    assert Need(constant=100.0, per_image=10.0).pieces(80, free) == pieces


def test_measuring_leaves_the_trainer_as_it_was(hungry: Trainer) -> None:
    before = copy_weights(hungry.network)
    assert Probe(hungry, with_free(1e9)).measure(2) > 0
    assert same(before, copy_weights(hungry.network))
    assert (hungry.step, len(hungry.optimizer.state), hungry.best) == (0, 0, None)


def test_auto_batch_cuts_a_batch_until_it_fits(hungry: Trainer, need: Need) -> None:
    free = need.of(64) / 3
    listener = Listener()
    pieces = choose(Probe(hungry, with_free(free), need), listener)
    assert pieces >= 3
    assert need.of(-(-64 // pieces)) <= 0.9 * free
    assert f"{pieces} pieces" in listener.messages[0]


def test_auto_batch_leaves_a_batch_whole_that_fits(hungry: Trainer, need: Need) -> None:
    assert choose(Probe(hungry, with_free(100 * need.of(64)), need), Silent()) == 1


def test_auto_batch_says_when_not_even_one_image_fits(hungry: Trainer, need: Need) -> None:
    with pytest.raises(EffnetError, match=r"a single image needs about .* --resolution"):
        choose(Probe(hungry, with_free(need.of(1) / 2), need), Silent())


def test_a_step_that_cannot_fit_is_refused_before_the_start(hungry: Trainer, need: Need) -> None:
    with pytest.raises(EffnetError, match=r"batches of 64 images in 1 piece needs .*--optim.accumulate \d+"):
        forecast(Probe(hungry, with_free(need.of(64) / 3), need), Silent())


def test_a_step_that_takes_little_needs_no_words(hungry: Trainer, need: Need) -> None:
    listener = Listener()
    forecast(Probe(hungry, with_free(1000 * need.of(64)), need), listener)
    assert not listener.messages


def test_running_out_names_step_batch_and_pieces(hungry: Trainer, tmp_path: Path) -> None:
    message = r"out of memory at step 0 with batches of 64 images in 1 piece"
    with pytest.raises(EffnetError, match=message), MemoryGuard(hungry, tmp_path):
        shortage()


def test_another_error_passes_unchanged(hungry: Trainer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine"), MemoryGuard(hungry, tmp_path):
        raise ValueError("mine")


def test_pieces_chosen_stand_in_the_model_file(tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = effnet.train("digits", out=out, epochs=1, phi=-10, resolution=8, auto_batch=True)
    assert result.classifier.header.training["config"]["optim"]["accumulate"] == 1
