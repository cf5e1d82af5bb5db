"""A group that was hurt goes on: nothing is lost, nothing comes twice, and the bits are the same."""

import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from forked import together
from test_group import SAME_FOR_ALL, member
from tiny_training import ignore, tiny
from whole_runs import Listener, StopError, assert_same_run

import effnet
from effnet.cli.main import main
from effnet.data.pixels import PixelSource
from effnet.errors import EffnetError
from effnet.modelfile import load as load_model
from effnet.training import state as states
from effnet.training.group import ALONE, Group
from effnet.training.snapshot import capture, restore
from effnet.training.state import State

SETTINGS: dict[str, Any] = {"phi": -8.0, "epochs": 3, "resolution": 8, "batch_size": 32, "device": "cpu"}
FLAGS = ["--phi", "-8", "--epochs", "3", "--resolution", "8", "--batch-size", "32", "--device", "cpu"]
GROUP = ["--processes", "2"]
FEW: dict[str, Any] = {"data": {"max_train": 160}}


def train(out: Path, **settings: Any) -> None:
    effnet.train("digits", out=out, **{**SETTINGS, **settings})


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train in two processes, which nothing disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    together(folder, 2, lambda group: train(folder))
    return folder


def command(out: Path, *flags: str) -> list[str]:
    return [sys.executable, "-m", "effnet", "train", "digits", "--out", str(out), *FLAGS, *flags]


class Running:
    """A command that trains in several processes, with what can be done to it."""

    def __init__(self, out: Path, words: Sequence[str]) -> None:
        self.out = out
        environ = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, env=environ, text=True)

    def wait_for_an_epoch(self) -> None:
        deadline = time.monotonic() + 300
        while not (self.out / "metrics.jsonl").exists() or not (self.out / "metrics.jsonl").read_text():
            assert self.process.poll() is None, self.process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def members(self) -> list[int]:
        """Return the numbers of the processes that train, by rank."""
        pid = self.process.pid
        found: dict[int, int] = {}
        for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
            variables = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
            found |= {int(text[5:]): child for text in variables if text.startswith(b"RANK=")}
        return [found[rank] for rank in sorted(found)]

    def end(self) -> tuple[int, str]:
        errors = self.process.communicate(timeout=500)[1]
        return self.process.returncode, errors


@pytest.mark.slow
def test_a_killed_process_costs_nothing_but_time(undisturbed: Path, tmp_path: Path) -> None:
    running = Running(tmp_path, command(tmp_path, *GROUP, "--save-minutes", "0.002"))
    running.wait_for_an_epoch()
    os.kill(running.members()[1], signal.SIGKILL)
    code, errors = running.end()
    assert code == 0, errors
    assert "process 0 of 2 has lost the others" in errors
    assert f"{tmp_path} holds this training, begun before: going on with it" in errors
    assert_same_run(tmp_path, undisturbed)
    assert not states.exists(tmp_path)


@pytest.mark.slow
def test_a_hung_process_is_noticed_in_the_time_that_is_set(undisturbed: Path, tmp_path: Path) -> None:
    running = Running(tmp_path, command(tmp_path, *GROUP, "--hang-minutes", "0.1"))
    running.wait_for_an_epoch()
    os.kill(running.members()[0], signal.SIGSTOP)
    code, errors = running.end()
    assert code == 0, errors
    assert "process 1: process 1 of 2 has lost the others: one of them has ended, or was silent for" in errors
    assert_same_run(tmp_path, undisturbed)


class SlowReader(Listener):
    """Takes longer over the images of a part than `hang_minutes` allows."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self.part = part

    def reading(self, part: str, done: int, total: int) -> None:
        if part == self.part and done == total:
            time.sleep(7.0)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["train", "val"])
def test_reading_images_is_not_counted_as_hanging(part: str, tmp_path: Path) -> None:
    def unequal(group: Group) -> None:
        reporter = Listener() if group.is_first else SlowReader(part)
        train(tmp_path / "out", **FEW, epochs=1, hang_minutes=0.1, reporter=reporter)

    together(tmp_path, 2, unequal)
    assert (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.slow
def test_overwriting_survives_a_death_before_the_first_state(undisturbed: Path, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    running = Running(tmp_path, command(tmp_path, *GROUP, "--overwrite"))
    while len(running.members()) < 2:
        time.sleep(0.01)
    os.kill(running.members()[1], signal.SIGKILL)
    code, errors = running.end()
    assert code == 0, errors
    assert_same_run(tmp_path, undisturbed)


@pytest.mark.slow
def test_after_the_last_restart_the_command_says_so(tmp_path: Path) -> None:
    running = Running(tmp_path, command(tmp_path, *GROUP, "--max-restarts", "0"))
    running.wait_for_an_epoch()
    os.kill(running.members()[1], signal.SIGKILL)
    code, errors = running.end()
    assert code == 1
    assert re.match(r"effnet: process \d of 2 ended (by|with) .+ after 0 restarts", errors.splitlines()[-1])


@pytest.mark.slow
def test_what_all_processes_refuse_is_said_once(tmp_path: Path) -> None:
    code, errors = Running(tmp_path, command(tmp_path, *GROUP, "--batch-size", "1")).end()
    assert code == 2
    assert errors.count("batch_size = 1 and 2 processes: each needs at least one image") == 1


@pytest.mark.slow
def test_a_signal_to_the_command_saves_and_the_same_command_goes_on(
    undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running = Running(tmp_path, command(tmp_path, *GROUP))
    running.wait_for_an_epoch()
    running.process.send_signal(signal.SIGUSR1)
    code, errors = running.end()
    assert code == 128 + signal.SIGUSR1
    assert errors.count("effnet: stopped by SIGUSR1 after step") == 1
    assert "s after the signal); go on with: effnet train --resume" in errors
    together(tmp_path, 2, lambda group: train(tmp_path))
    assert_same_run(tmp_path, undisturbed)


@pytest.mark.slow
def test_under_torchrun_a_signal_to_one_process_stops_all_and_one_process_goes_on(tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--master-addr", "127.0.0.1"]
    words = command(tmp_path)
    running = Running(tmp_path, [*torchrun, "--nproc-per-node", "2", *words[1:]])
    running.wait_for_an_epoch()
    os.kill(running.members()[1], signal.SIGTERM)
    code, errors = running.end()
    assert code == 1  # torchrun's, whatever the processes end with
    assert errors.count("effnet: stopped by SIGTERM after step") == 1
    assert states.exists(tmp_path)
    assert main(words[3:]) == 0
    assert not states.exists(tmp_path)


class Read:
    """Images that note which of them are read in which step."""

    windows = None

    def __init__(self, pixels: Any) -> None:
        self.pixels = pixels
        self.rows: list[list[int]] = []
        self.labels = pixels.labels

    def __len__(self) -> int:
        return len(self.pixels)

    def batches(self, rows: Any) -> Any:
        for batch, stored in zip(rows, self.pixels.batches(rows), strict=True):
            self.rows.append(batch.tolist())
            yield stored

    def once(self, *arguments: Any) -> Any:
        return self.pixels.once(*arguments)


class KilledError(Exception):
    pass


def some_steps(group: Group, state: State | None, last: int) -> tuple[list[list[int]], State | None]:
    """Train to a step, where all is lost but the state; return which images were used, and that state.

    It is saved every third step.
    """
    trained = member(tiny(**SAME_FOR_ALL, epochs=1, batch_size=16), group)
    read = Read(trained.train.pixels)
    trained.train.pixels = cast(PixelSource, read)
    saved: list[State] = []
    if state is not None:
        restore(trained, state)

    def checkpoint(end_of_epoch: bool) -> None:
        if trained.step % 3 == 0:
            saved.append(capture(trained, {}))
        if trained.step == last:
            raise KilledError

    try:
        trained.fit(ignore, lambda record: None, checkpoint=checkpoint)
    except KilledError:
        return read.rows[: last - (0 if state is None else state.info["step"])], saved[-1]
    return read.rows, None


def test_no_image_is_dropped_or_comes_twice_whatever_the_number_of_processes(tmp_path: Path) -> None:
    """An epoch is ten steps; the group dies after 4 and after 8, and what came after the state is redone."""
    used: dict[int, list[int]] = {}
    state: State | None = None
    for size, last in ((2, 4), (3, 8), (1, 10)):
        first = 0 if state is None else state.info["step"]
        results = together(tmp_path, size, lambda group, s=state, end=last: some_steps(group, s, end))  # type: ignore[misc]
        for step in range(first, last):
            used[step] = [row for rows, _ in results for row in rows[step - first]]
        state = results[0][1]
    alone, _ = some_steps(ALONE, None, 10)
    assert [used[step] for step in range(10)] == alone
    counts = Counter(row for step in range(10) for row in used[step])
    assert set(counts.values()) == {1}
    assert len(counts) == 160


def test_a_training_goes_on_in_one_process_in_two_and_in_one(tmp_path: Path) -> None:
    settings = {**SAME_FOR_ALL, **FEW, "native": False, "precision": "float32", "optim": {"lr": 0.01}}
    train(tmp_path / "alone", **settings)
    out = tmp_path / "changing"

    def part(group: Group, epochs: int) -> None:
        with pytest.raises(StopError):
            effnet.resume(out, reporter=Listener(epochs))

    with pytest.raises(StopError):
        effnet.train("digits", out=out, reporter=Listener(1), **{**SETTINGS, **settings})
    together(tmp_path, 2, lambda group: part(group, 2))
    effnet.resume(out)
    (_, alone), (_, changing) = (
        load_model(folder / "model.safetensors") for folder in (tmp_path / "alone", out)
    )
    assert max(abs(alone[name] - changing[name]).max() for name in alone) < 1e-5


def test_what_the_first_process_cannot_write_ends_all_with_words(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def full(group: Group) -> str:
        if group.is_first:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        with pytest.raises(EffnetError) as found:
            train(out, **FEW, save_minutes=1e-6)
        return str(found.value)

    first, second = together(tmp_path, 2, full)
    assert "cannot write" in first
    assert "process 1 of 2 has lost the others" in second


def test_what_the_first_process_refuses_all_refuse(tmp_path: Path) -> None:
    def resumed(group: Group) -> str:
        with pytest.raises(EffnetError) as found:
            effnet.resume(tmp_path / "nothing")
        return str(found.value)

    first, second = together(tmp_path, 2, resumed)
    assert first == second
    assert "holds no unfinished training" in first
