"""Stopping and going on: nothing is lost, and the bits are those of a run that never stopped."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from whole_runs import Listener, StopError, assert_same_run, records

import effnet
from effnet.cli.main import main
from effnet.config import TrainConfig, to_dict
from effnet.data.datasets import open_dataset, open_digits
from effnet.data.splits import split
from effnet.errors import DataError, EffnetError, UsageError
from effnet.modelfile import load_header
from effnet.training import begun
from effnet.training import state as states
from effnet.training.folder import locked
from effnet.training.reporter import EpochRecord, Silent, StepRecord

SETTINGS: dict[str, Any] = {"epochs": 3, "resolution": 8, "batch_size": 32, "seed": 3}
FLAGS = ["--epochs", "3", "--resolution", "8", "--batch-size", "32", "--seed", "3"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    effnet.train("digits", out=folder, **SETTINGS)
    return folder


def start(folder: Path, *flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "effnet", "train", "digits", "--out", str(folder), *FLAGS, *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("delay", [0.0, 0.7])
def test_a_killed_run_ends_in_the_same_bits(delay: float, undisturbed: Path, tmp_path: Path) -> None:
    process = start(tmp_path, "--save-minutes", "0.0001")
    wait_for(tmp_path / "training.state", process)
    time.sleep(delay)
    process.kill()
    process.communicate()
    effnet.resume(tmp_path)
    assert_same_run(tmp_path, undisturbed)
    assert not states.exists(tmp_path)


@pytest.fixture
def unfinished(tmp_path: Path) -> Path:
    """A run that was broken off in its third epoch, after the states of the first two were saved."""
    folder = tmp_path / "unfinished"
    with pytest.raises(StopError):
        effnet.train("digits", out=folder, reporter=Listener(epochs=2), **SETTINGS)
    return folder


def test_resuming_twice_ends_in_the_same_bits(unfinished: Path, undisturbed: Path) -> None:
    with pytest.raises(StopError):
        effnet.resume(unfinished, reporter=Listener(epochs=2))
    effnet.resume(unfinished)
    assert_same_run(unfinished, undisturbed)


@pytest.mark.parametrize("name", ["sgd", "adamw", "rmsprop"])
def test_every_optimizer_resumes_exactly(name: str, tmp_path: Path) -> None:
    settings = SETTINGS | {"epochs": 2, "phi": -8.0, "optim": {"name": name, "lr": 0.001}}
    effnet.train("digits", out=tmp_path / "whole", **settings)
    with pytest.raises(StopError):
        effnet.train("digits", out=tmp_path / "halves", reporter=Listener(epochs=1), **settings)
    effnet.resume(tmp_path / "halves")
    assert_same_run(tmp_path / "halves", tmp_path / "whole")


def test_mixed_and_augmented_batches_resume_exactly(tmp_path: Path) -> None:
    everything = {"resized_crop": 0.5, "policy": "trivial", "erasing": 0.5, "mixup": 0.4, "cutmix": 1.0}
    settings = SETTINGS | {"epochs": 2, "phi": -8.0, "augment": everything}
    effnet.train("digits", out=tmp_path / "whole", **settings)
    with pytest.raises(StopError):
        effnet.train("digits", out=tmp_path / "halves", reporter=Listener(epochs=1), **settings)
    effnet.resume(tmp_path / "halves")
    assert_same_run(tmp_path / "halves", tmp_path / "whole")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 138)]
)
def test_a_signal_saves_and_exits_with_a_stated_code(number: int, code: int, tmp_path: Path) -> None:
    process = start(tmp_path)
    wait_for(tmp_path / "training.state", process)
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == code
    assert errors.splitlines()[-1].startswith(f"effnet: stopped by {signal.Signals(number).name} after step")
    assert f"effnet train --resume {tmp_path}" in errors


def test_a_damaged_state_falls_back_to_the_one_before(
    unfinished: Path, undisturbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytearray((unfinished / "training.state").read_bytes())
    data[len(data) // 2] ^= 1
    (unfinished / "training.state").write_bytes(data)
    assert main(["train", "--resume", str(unfinished)]) == 0
    assert "training.state is damaged (checksum): the state before it is taken" in capsys.readouterr().err
    assert_same_run(unfinished, undisturbed)


def test_two_damaged_states_are_an_error_and_stay(unfinished: Path) -> None:
    for name in ("training.state", "training.previous.state"):
        (unfinished / name).write_bytes((unfinished / name).read_bytes()[:-1])
    with pytest.raises(
        states.StateError, match=r"training\.state is damaged .* training\.previous\.state is damaged"
    ):
        effnet.resume(unfinished)
    assert states.exists(unfinished)


def test_an_unfinished_run_is_not_overwritten_by_another(unfinished: Path) -> None:
    before = (unfinished / "training.state").read_bytes()
    message = (
        rf"with other settings \(epochs is 3 there, 4 here\); go on with: effnet train --resume {unfinished}"
    )
    with pytest.raises(UsageError, match=message):
        effnet.train("digits", out=unfinished, **{**SETTINGS, "epochs": 4})
    assert (unfinished / "training.state").read_bytes() == before


def test_the_same_command_goes_on_with_what_it_began(unfinished: Path, undisturbed: Path) -> None:
    listener = Listener()
    effnet.train("digits", out=unfinished, reporter=listener, **SETTINGS, save_minutes=1.0)
    assert f"{unfinished} holds this training, begun before: going on with it" in listener.messages
    assert_same_run(unfinished, undisturbed)
    config = load_header(unfinished / "model.safetensors").training["config"]
    assert config["save_minutes"] == 1.0  # of the command that went on


def test_a_command_without_a_limit_does_not_go_on_with_one_that_has_it(tmp_path: Path) -> None:
    settings = {name: value for name, value in SETTINGS.items() if name != "phi"}
    with pytest.raises(StopError):
        effnet.train("digits", out=tmp_path, reporter=Listener(1), max_params=300_000, **settings)
    with pytest.raises(UsageError, match=r"max_params is 300000(\.0)? there, None here"):
        effnet.train("digits", out=tmp_path, **settings)


def test_settings_that_came_later_do_not_keep_a_training_from_going_on() -> None:
    now = {name: value for name, value in to_dict(TrainConfig()).items() if name not in begun.FREE}
    older = {**now, "data": {name: value for name, value in now["data"].items() if name != "window"}}
    assert not begun.differences(older, now)
    assert begun.differences({**older, "epochs": 3}, now) == ["epochs is 3 there, 30 here"]


def test_overwrite_starts_anew(unfinished: Path, undisturbed: Path) -> None:
    effnet.train("digits", out=unfinished, overwrite=True, **SETTINGS)
    assert_same_run(unfinished, undisturbed)


def test_a_finished_run_cannot_be_resumed(undisturbed: Path) -> None:
    with pytest.raises(states.StateError, match="holds no unfinished training"):
        effnet.resume(undisturbed)


def test_two_runs_cannot_share_a_folder(unfinished: Path) -> None:
    with locked(unfinished), pytest.raises(EffnetError, match="another run is writing to"):
        effnet.resume(unfinished)


@pytest.fixture
def unfinished_on_files(tmp_path: Path) -> Path:
    """A run on a folder of images, `data` beside it, that was broken off after its first epoch."""
    samples = open_digits().parts["all"]
    for name, label in list(zip(samples.names, samples.labels, strict=True))[:120]:
        path = tmp_path / "data" / str(label) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        samples.read(name).save(path)
    settings = SETTINGS | {"phi": -8.0, "epochs": 2}
    with pytest.raises(StopError):
        effnet.train(tmp_path / "data", out=tmp_path / "run", reporter=Listener(epochs=1), **settings)
    return tmp_path / "run"


def test_changed_data_is_refused(unfinished_on_files: Path) -> None:
    next((unfinished_on_files.parent / "data" / "0").iterdir()).unlink()
    with pytest.raises(DataError, match="has other images or classes than when the training"):
        effnet.resume(unfinished_on_files)


def test_an_image_that_cannot_be_read_any_more_is_refused_by_name(unfinished_on_files: Path) -> None:
    data, held_out = unfinished_on_files.parent / "data", load_split(unfinished_on_files)
    victim = next(path for path in sorted(data.rglob("*.png")) if not held_out & {path.name})
    victim.write_bytes(b"")
    with pytest.raises(
        DataError, match=rf"{victim.parent.name}/{victim.name} cannot be read any more; bring"
    ):
        effnet.resume(unfinished_on_files)
    assert states.exists(unfinished_on_files)


def load_split(folder: Path) -> set[str]:
    """Names of the images of the part that is tested at the end of an unfinished run."""
    dataset = open_dataset(folder.parent / "data")
    test = split(dataset, TrainConfig().data, SETTINGS["seed"]).test
    assert test is not None
    return {Path(name).name for name in test.names}


def test_a_training_under_a_limit_of_time_resumes_exactly_while_it_suffices(
    tmp_path: Path, undisturbed: Path
) -> None:
    with pytest.raises(StopError):
        effnet.train("digits", out=tmp_path, reporter=Listener(epochs=2), max_minutes=5.0, **SETTINGS)
    assert 0.0 < states.load(tmp_path)[0].info["seconds_left"] < 300.0
    effnet.resume(tmp_path)
    assert_same_run(tmp_path, undisturbed)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(EffnetError, match="cannot write to"):
        effnet.train("digits", out=tmp_path / "run", **SETTINGS)


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("I am a file")
    with pytest.raises(EffnetError, match="cannot write to"):
        effnet.train("digits", out=tmp_path / "run", **SETTINGS)


def test_a_full_disk_keeps_the_last_good_state(unfinished: Path) -> None:
    """A write that fails half-way, as on a full disk, leaves both older states."""
    before = {path.name: path.read_bytes() for path in unfinished.glob("*.state")}
    state, _ = states.load(unfinished)
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from effnet.training import state\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "found, _ = state.load(Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "state.save(Path(sys.argv[1]), found)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(unfinished)], capture_output=True, text=True, check=False
    )
    assert "EffnetError: cannot write" in done.stderr
    assert {path.name: path.read_bytes() for path in unfinished.glob("*.state")} == before
    assert states.load(unfinished)[0].info == state.info


class SendsSignal(Silent):
    """A reporter that sends a signal to this process, once."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.sent = False

    def send(self) -> None:
        if not self.sent:
            self.sent = True
            signal.raise_signal(self.number)


class AtStep(SendsSignal):
    """Sends the signal when the training reaches a step."""

    def step(self, record: StepRecord) -> None:
        self.send()


class AtEpoch(SendsSignal):
    """Sends the signal when the first epoch is reported."""

    def epoch(self, record: EpochRecord) -> None:
        self.send()


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_signal_after_the_last_step_loses_no_validation(epochs: int, tmp_path: Path) -> None:
    """A state of a training whose steps are all done holds their validation too."""
    settings = SETTINGS | {"epochs": epochs, "phi": -8.0, "batch_size": 1295}  # one step an epoch
    effnet.train("digits", out=tmp_path / "whole", **settings)
    with pytest.raises(EffnetError, match="stopped by SIGTERM after step"):
        effnet.train("digits", out=tmp_path / "cut", reporter=AtEpoch(signal.SIGTERM), **settings)
    effnet.resume(tmp_path / "cut")
    assert_same_run(tmp_path / "cut", tmp_path / "whole")


def test_a_training_cut_by_its_deadline_can_be_resumed(tmp_path: Path) -> None:
    """The tiny limit of time ends the training at once; what is left to do is to test."""
    settings = SETTINGS | {"phi": -8.0, "max_minutes": 0.01}
    with pytest.raises(EffnetError, match="stopped by SIGTERM"):
        effnet.train("digits", out=tmp_path, reporter=AtEpoch(signal.SIGTERM), **settings)
    result = effnet.resume(tmp_path)
    assert len(records(tmp_path)) == 1
    assert result.evaluation.num_images == 359


def test_an_unfinished_run_over_a_finished_one_is_called_unfinished(tmp_path: Path) -> None:
    settings = SETTINGS | {"epochs": 2, "phi": -8.0}
    effnet.train("digits", out=tmp_path, **settings)
    with pytest.raises(StopError):
        effnet.train("digits", out=tmp_path, overwrite=True, reporter=Listener(epochs=1), **settings)
    with pytest.raises(UsageError, match="holds an unfinished training"):
        effnet.train("digits", out=tmp_path, **{**settings, "seed": 4})
