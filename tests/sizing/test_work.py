"""Many trials: shared with other processes, stopped in order, and not ended by one that fails."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_study import SETTINGS, save_base

from effnet import config as configuration
from effnet.config import TrainConfig
from effnet.data.datasets import open_digits
from effnet.errors import DataError, EffnetError, UsageError
from effnet.sizing.study import work
from effnet.sizing.study.work import StoppedError, Trial, Watch, carry_out, is_done
from effnet.sizing.trial import Outcome, as_before, key_of
from effnet.training import state as states
from effnet.training.folder import locked
from effnet.training.interrupt import Interrupts
from effnet.training.parts import assemble
from effnet.training.reporter import Silent, StepRecord


class Listener(Silent):
    """Keeps what is said, and sends a signal, if there is one, in the first training."""

    def __init__(self, number: int | None = None) -> None:
        self.lines: list[str] = []
        self.number = number

    def message(self, text: str) -> None:
        self.lines.append(text)

    def step(self, record: StepRecord) -> None:
        if self.number is not None:
            number, self.number = self.number, None
            signal.raise_signal(number)


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    own = {"model": save_base(tmp_path), "phi": 0.0}
    return configuration.override(configuration.load_recipe("digits"), SETTINGS | own)


def trial(config: TrainConfig, seed: int) -> Trial:
    seeded = replace(config, seed=seed)
    return Trial(key_of(assemble(open_digits(), seeded)), f"seed {seed}", seeded)


def watch(listener: Silent | None = None, minutes: float | None = None) -> Watch:
    return Watch(listener or Silent(), Interrupts(), minutes)


def test_settings_that_came_later_change_the_key_of_a_trial_only_where_they_are_used(
    config: TrainConfig,
) -> None:
    data = as_before(config)["data"]
    assert not {"fold", "window"} & data.keys()
    assert not {"finetune", "distill", "progressive"} & as_before(config).keys()
    used = as_before(configuration.override(config, {"data": {"window": 2}}))
    assert used["data"] == {**data, "window": 2}
    assert as_before(config) == used | {"data": data}


def test_trials_come_in_their_order_and_are_kept(config: TrainConfig, tmp_path: Path) -> None:
    trials = [trial(config, seed) for seed in (1, 0)]
    assert not any(is_done(each, tmp_path) for each in trials)
    found = list(carry_out(trials, open_digits(), tmp_path, watch()))
    assert [each for each, _ in found] == trials
    assert all(is_done(each, tmp_path) for each in trials)


def test_what_another_process_works_on_is_left_for_later(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "POLL_SECONDS", 0.01)
    busy, free = trial(config, 0), trial(config, 1)
    listener = Listener()
    results = carry_out([busy, free], open_digits(), tmp_path, watch(listener))
    with locked(tmp_path / busy.key):
        assert next(results)[0] == free
    assert next(results)[0] == busy
    assert listener.lines == ["waiting for another process: 1 left"]


def test_what_another_process_finished_is_read(config: TrainConfig, tmp_path: Path) -> None:
    each = trial(config, 0)
    (_, first), (_, second) = (next(carry_out([each], open_digits(), tmp_path, watch())) for _ in range(2))
    assert isinstance(first, Outcome)
    assert isinstance(second, Outcome)
    assert first.seconds == second.seconds


def test_a_training_that_fails_ends_no_other(config: TrainConfig, tmp_path: Path) -> None:
    wild = configuration.override(config, {"optim": {"lr": 100.0, "weight_decay": 1000.0}, "epochs": 3})
    (_, error), (_, outcome) = carry_out([trial(wild, 0), trial(config, 0)], open_digits(), tmp_path, watch())
    assert isinstance(error, EffnetError)
    assert "loss is" in str(error)
    assert isinstance(outcome, Outcome)


@pytest.mark.parametrize("kind", [UsageError, DataError])
def test_what_is_wrong_with_all_trials_is_raised(
    kind: type[EffnetError], config: TrainConfig, tmp_path: Path
) -> None:
    broken = Trial("key", "label", replace(config, model="b99" if kind is UsageError else config.model))
    dataset = open_digits()
    if kind is DataError:
        few = dataset.parts["all"].take(range(12))  # type: ignore[arg-type]
        dataset = replace(dataset, parts={"all": few})
    with pytest.raises(kind):
        next(carry_out([broken], dataset, tmp_path, watch()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_training_saves_it_and_stops_the_rest(
    number: int, config: TrainConfig, tmp_path: Path
) -> None:
    slow = configuration.override(config, {"batch_size": 8, "epochs": 50})
    each = trial(slow, 0)
    with Interrupts() as interrupts, pytest.raises(StoppedError) as stop:
        list(
            carry_out(
                [each, trial(config, 1)], open_digits(), tmp_path, Watch(Listener(number), interrupts, None)
            )
        )
    assert stop.value.number == number
    assert states.exists(tmp_path / each.key)
    assert not is_done(each, tmp_path)


def test_a_signal_between_two_trainings_stops_before_the_next(config: TrainConfig, tmp_path: Path) -> None:
    with Interrupts() as interrupts:
        results = carry_out(
            [trial(config, 0), trial(config, 1)], open_digits(), tmp_path, Watch(Silent(), interrupts, None)
        )
        next(results)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(StoppedError) as stop:
            next(results)
    assert stop.value.number == signal.SIGTERM


class AtReading(Silent):
    """Sends a signal while a training reads its images, and has no loop yet that hears it."""

    def __init__(self) -> None:
        self.count = 0

    def reading(self, split: str, done: int, total: int) -> None:
        self.count += 1
        if self.count == 1:
            signal.raise_signal(signal.SIGINT)


def test_a_signal_while_images_are_read_is_heard(config: TrainConfig, tmp_path: Path) -> None:
    with Interrupts() as interrupts, pytest.raises(StoppedError):
        list(carry_out([trial(config, 0)], open_digits(), tmp_path, Watch(AtReading(), interrupts, None)))


class Hurry(Silent):
    """Lets the time be up once a training has begun."""

    watch: Watch

    def reading(self, split: str, done: int, total: int) -> None:
        self.watch.deadline = 0.0


def test_when_the_time_is_up_the_training_is_saved_in_the_middle(config: TrainConfig, tmp_path: Path) -> None:
    each, listener = trial(configuration.override(config, {"epochs": 50}), 0), Hurry()
    with Interrupts() as interrupts:
        listener.watch = Watch(listener, interrupts, None)
        with pytest.raises(StoppedError) as stop:
            next(carry_out([each], open_digits(), tmp_path, listener.watch))
    assert stop.value.number is None
    assert states.exists(tmp_path / each.key)


def test_when_the_time_is_up_no_training_is_begun(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(StoppedError) as stop:
        next(carry_out([trial(config, 0)], open_digits(), tmp_path, watch(minutes=-1.0)))
    assert stop.value.number is None


def test_of_what_trainings_say_warnings_are_passed_on_once() -> None:
    listener = Listener()
    watching = watch(listener)
    for text in ("network tiny", "warning: no memory", "warning: no memory", "skipped: a.png"):
        watching.message(text)
    assert listener.lines == ["warning: no memory", "skipped: a.png"]
