"""Faults of a whole training: whatever is killed, full, damaged or gone, nothing is lost, and the bits stay.

Others are where their subject is: a NaN gradient in `test_bad_steps.py`, workers in `test_workers.py`, kills
and damaged states in `test_resume.py`, two runs into one folder there too. `make soak` does all of them for
minutes.
"""

import os
import signal
import subprocess
import sys
import tempfile
from multiprocessing import active_children
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from whole_runs import Listener, StopError, assert_same_run, digits_as_files

import effnet
import faults
import soak_training
from effnet.cli.main import main
from effnet.training import state as states
from effnet.training.reporter import EpochRecord, Silent, StepRecord
from effnet.training.state import State
from lives import WITHOUT_POWER

SETTINGS: dict[str, Any] = {"epochs": 2, "resolution": 8, "batch_size": 128, "seed": 3, "phi": -8.0}
STREAM = {"storage": "stream", "workers": 2}

Capture = pytest.CaptureFixture[str]


# A process that is killed at each moment of saving a state


MOMENTS = {
    "before a byte is written": "state.save_arrays = lambda *_: die()",
    "before it is on the disk": "os.fsync = die",
    "before it has a name": "Path.replace = dying(1)",
    "before the folder is on the disk": "files.sync_folder = die",
    "before the older one has its second name": "Path.replace = dying(2)",
    "before it has its own name": "Path.replace = dying(3)",
    "before the names are on the disk": "state.sync_folder = die",
}
KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from effnet import files
from effnet.training import state
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
def dying(last):
    rename, calls = Path.replace, []
    def replace(path, target):
        calls.append(path)
        return die() if len(calls) == last else rename(path, target)
    return replace
{change}
state.save(Path(sys.argv[1]), state.State({{"number": 3}}, {{"a": np.arange(1000)}}))
"""


def numbered(number: int) -> State:
    return State({"number": number}, {"a": np.full(1000, number)})


def saved(folder: Path, *numbers: int) -> Path:
    for number in numbers:
        states.save(folder, numbered(number))
    return folder


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_at_any_moment_of_saving_leaves_two_whole_states(moment: str, tmp_path: Path) -> None:
    saved(tmp_path, 1, 2)
    code = KILLED.format(change=MOMENTS[moment])
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    found, problem = states.load(tmp_path)
    assert problem is None
    newest = 2 if list(MOMENTS).index(moment) < 3 else 3
    assert found.info["number"] == newest
    faults.newest(tmp_path).write_bytes(b"damaged")
    found, problem = states.load(tmp_path)
    assert found.info["number"] == newest - 1  # a kill and a damaged file together
    assert problem is not None
    states.set_damaged_aside(tmp_path)
    saved(tmp_path, 4)
    assert states.load(tmp_path)[0].info["number"] == 4
    assert sorted(path.name for path in tmp_path.glob("training.*.state")) == [
        "training.damaged.state", "training.previous.state",
    ]  # fmt: skip


@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
@settings(max_examples=50)
def test_a_state_damaged_anywhere_gives_the_one_before(share: float, bit: int, cut: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = saved(Path(name), 1, 2)
        content = bytearray((folder / states.STATE_FILE).read_bytes())
        place = int(share * len(content))
        content[place] ^= 1 << bit
        (folder / states.STATE_FILE).write_bytes(content[:place] if cut else content)
        found, problem = states.load(folder)
        assert found.info["number"] == 1
        assert problem is not None
        assert problem.endswith(": the state before it is taken")


def test_a_damaged_state_never_becomes_the_one_before(tmp_path: Path) -> None:
    """Or else a kill in the next save would leave no good state."""
    saved(tmp_path, 1, 2)
    (tmp_path / states.STATE_FILE).write_bytes(b"damaged")
    assert [states.load(tmp_path)[1] for _ in range(2)] == [  # looking changes nothing
        "training.state is damaged (checksum): the state before it is taken"
    ] * 2
    states.set_damaged_aside(tmp_path)
    code = KILLED.format(change=MOMENTS["before it has a name"])
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert states.load(tmp_path)[0].info["number"] == 1
    saved(tmp_path, 4)
    (tmp_path / states.STATE_FILE).write_bytes(b"damaged again")
    assert states.load(tmp_path)[0].info["number"] == 1
    states.remove(tmp_path)
    assert list(tmp_path.glob("training*")) == []


# Whole runs


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    effnet.train("digits", out=folder, **SETTINGS)
    return folder


class AtStep(Silent):
    """Does something when the training first reports a step or an epoch, and keeps the messages."""

    def __init__(self, strike: Any) -> None:
        self.strike = strike
        self.messages: list[str] = []
        self.done = False

    def message(self, text: str) -> None:
        self.messages.append(text)

    def step(self, record: StepRecord) -> None:
        if not self.done:
            self.done = True
            self.strike()

    def epoch(self, record: EpochRecord) -> None:
        if not self.done:
            self.done = True
            self.strike()


def kill_a_worker() -> None:
    os.kill(Random(1).choice([child.pid for child in active_children() if child.pid]), signal.SIGKILL)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_training_whose_worker_is_killed_ends_in_the_same_bits(
    workers: int, undisturbed: Path, tmp_path: Path
) -> None:
    listener = AtStep(kill_a_worker)
    data = {"storage": "stream", "workers": workers}
    effnet.train("digits", out=tmp_path, reporter=listener, data=data, **SETTINGS)
    assert listener.done
    said = [line for line in listener.messages if "has died" in line]
    assert len(said) <= 1  # none where its work was done already
    assert all(line.endswith("; others take over its work") for line in said)
    assert_same_run(tmp_path, undisturbed)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return digits_as_files(tmp_path / "data")


@pytest.mark.parametrize("storage", ["memory", "stream"])
def test_a_file_that_vanishes_in_mid_training_never_ends_it(
    storage: str, images: Path, tmp_path: Path
) -> None:
    """In memory nothing is missed; of a stream, the file is named and the next image stands in."""
    victim = min(images.rglob("*.png"))
    listener = AtStep(victim.unlink)
    data = {"storage": storage, "workers": 1, "max_broken": 0.5}
    effnet.train(images, out=tmp_path / "run", reporter=listener, data=data, **SETTINGS | {"epochs": 3})
    assert listener.done
    said = [line for line in listener.messages if line.startswith("skipped")]
    assert said in ([], [f"skipped: {victim}: no such file"])
    assert storage == "stream" or said == []


def test_a_full_disk_ends_a_training_with_what_to_do_and_it_goes_on_later(
    undisturbed: Path, tmp_path: Path
) -> None:
    broken_off(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.state")}
    done = resumed(tmp_path, "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))")
    assert done.returncode == 1
    hint, error = done.stderr.splitlines()[-2:]
    assert hint.endswith(f"when this is mended, go on with: effnet train --resume {tmp_path}")
    assert error.startswith("effnet: cannot write ")
    assert "Traceback" not in done.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.state")} == before
    effnet.resume(tmp_path)
    assert_same_run(tmp_path, undisturbed)


def broken_off(folder: Path) -> None:
    """Train until the first epoch has a state."""
    with pytest.raises(StopError):
        effnet.train("digits", out=folder, reporter=Listener(epochs=1), **SETTINGS)


def resumed(folder: Path, before: str, *, powerless: bool = False) -> "subprocess.CompletedProcess[str]":
    """Go on in another process, after a statement; perhaps one that obeys permissions, even as root."""
    code = f"{before}\nimport sys\nfrom effnet.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    before_it = WITHOUT_POWER if powerless and os.geteuid() == 0 else ()
    command = [*before_it, sys.executable, "-c", code, "train", "--resume", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_folder_that_became_read_only_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    broken_off(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    folder.chmod(0o555)
    done = resumed(folder, "", powerless=True)
    folder.chmod(0o755)
    assert done.returncode == 1, done.stderr
    assert f"effnet: cannot write to {folder}: no permission" in done.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_second_run_into_the_folder_does_not_hurt_the_first(undisturbed: Path, tmp_path: Path) -> None:
    """It comes while the first one trains."""
    refused: list[subprocess.CompletedProcess[str]] = []
    broken_off(tmp_path)
    effnet.resume(tmp_path, reporter=AtStep(lambda: refused.append(resumed(tmp_path, ""))))
    assert [done.returncode for done in refused] == [1]
    assert "another run is writing to" in refused[0].stderr
    assert_same_run(tmp_path, undisturbed)


def test_an_error_says_which_command_goes_on(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_off(tmp_path)
    monkeypatch.setattr("effnet.data.workers.MAX_DEATHS", -1)
    state, _ = states.load(tmp_path)
    data = {**state.info["config"]["data"], **STREAM}
    info = {**state.info, "config": {**state.info["config"], "data": data}, "storage": {}}
    states.save(tmp_path, State(info, state.arrays))
    monkeypatch.setattr("effnet.data.workers.Workers._dead", lambda workers: active_children())
    assert main(["train", "--resume", str(tmp_path)]) == 1
    assert f"go on with: effnet train --resume {tmp_path}" in capsys.readouterr().err


def test_a_training_killed_three_times_ends_in_the_same_bits(tmp_path: Path) -> None:
    """The short form of `make soak`: alone, with its workers, and while it saves; and two bad gradients."""
    arguments = soak_training.parser().parse_args(["--epochs", "5", "--kills", "3", "--others"])
    row = soak_training.soak(tmp_path, arguments)
    assert (row["same_bits"], row["kills"], row["lives"], row["skipped_steps"]) == (True, 3, 4, 2)
    assert row["left_over"] == []
