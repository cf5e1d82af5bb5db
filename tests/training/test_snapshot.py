"""What a state says of time and images, and what is refused when it does not fit."""

from math import inf
from pathlib import Path
from time import perf_counter

import pytest
from tiny_training import fit, tiny, trainer

from effnet.errors import DataError
from effnet.training import state
from effnet.training.folder import locked
from effnet.training.loop import Trainer
from effnet.training.reporter import StepRecord
from effnet.training.snapshot import capture, check_same_images, restore
from effnet.training.state import State


class StopError(Exception):
    """Ends a training in the middle of an epoch."""


def broken_off(trained: Trainer, after: int) -> State:
    """Train for some steps, then leave; return the state at that moment."""

    def checkpoint(end_of_epoch: bool) -> None:
        if trained.step == after:
            raise StopError

    with pytest.raises(StopError):
        trained.fit(ignore, ignore, checkpoint=checkpoint)
    return capture(trained, {})


def ignore(record: StepRecord | object) -> None:
    pass


def resumed(state: State) -> Trainer:
    trained = trainer(tiny())
    restore(trained, state)
    return trained


def test_a_training_without_limit_has_none_after_a_resume() -> None:
    state = broken_off(trainer(tiny()), after=2)
    assert state.info["seconds_left"] is None
    assert resumed(state).deadline == inf


def test_the_deadline_is_as_far_away_as_it_was() -> None:
    trained = trainer(tiny())
    trained.deadline = perf_counter() + 500.0
    state = broken_off(trained, after=2)
    left = state.info["seconds_left"]
    assert 0.0 < left < 500.0
    started = perf_counter()
    assert started + left <= resumed(state).deadline <= perf_counter() + left


def test_without_time_left_the_epoch_is_validated_after_one_more_step() -> None:
    trained = trainer(tiny())
    trained.deadline = perf_counter() + 500.0
    state = broken_off(trained, after=2)
    late = resumed(State({**state.info, "seconds_left": -1.0}, state.arrays))
    best, records = fit(late)
    assert [record.step for record in records] == [3]
    assert best.epoch == 0


def test_the_same_unreadable_images_are_no_change() -> None:
    check_same_images(["a.png", "b.png"], ["b.png", "a.png"])


def test_an_image_that_became_unreadable_is_named() -> None:
    trained = trainer(tiny())
    state = broken_off(trained, after=2)
    again = trainer(tiny())
    again.unread = ("cat/1.png",)
    with pytest.raises(
        DataError, match=r"began with: cat/1\.png cannot be read any more; bring the files back"
    ):
        restore(again, state)


def test_an_image_that_became_readable_is_named() -> None:
    with pytest.raises(DataError, match=r"began with: a\.png, b\.png could not be read then; bring"):
        check_same_images(["c.png"], ["c.png", "b.png", "a.png"])


def test_what_a_killed_process_left_is_removed_when_the_folder_is_held_again(tmp_path: Path) -> None:
    states = {"training.state", "training.previous.state"}
    half = {".training.next.state.x8_k.state", ".model.safetensors.a1.safetensors", ".metrics.jsonl.b2.jsonl"}
    for name in states | half:
        (tmp_path / name).touch()
    with locked(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == states | {".lock"}
        state.remove(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".lock"}


def test_the_command_that_goes_on_can_be_pasted() -> None:
    assert state.resume_command(Path("my runs/1")) == "effnet train --resume 'my runs/1'"
