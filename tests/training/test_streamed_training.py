"""Training on a stream: the bits are those of images in memory, also after a kill and a resume."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from whole_runs import Listener, assert_same_run, digits_as_files

import effnet
from effnet.errors import DataError
from effnet.training import state as states

SETTINGS: dict[str, Any] = {"epochs": 2, "resolution": 8, "batch_size": 128, "seed": 3, "phi": -8.0}
STREAM = {"storage": "stream", "workers": 2}
FLAGS = ["--epochs", "2", "--resolution", "8", "--batch-size", "128", "--seed", "3", "--phi", "-8"]
STREAM_FLAGS = ["--data.storage", "stream", "--data.workers", "2", "--save-minutes", "0.0001"]


@pytest.fixture(scope="module")
def in_memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in_memory")
    effnet.train("digits", out=folder, **SETTINGS)
    return folder


def start(folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "effnet", "train", "digits", "--out", str(folder), *FLAGS, *STREAM_FLAGS]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    deadline = time.monotonic() + 120
    while not states.exists(folder):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def test_a_stream_trains_to_the_bits_of_images_in_memory(in_memory: Path, tmp_path: Path) -> None:
    listener = Listener()
    effnet.train("digits", out=tmp_path, reporter=listener, data=STREAM, **SETTINGS)
    assert "1,295 images: streaming them from 2 workers" in listener.messages
    assert_same_run(tmp_path, in_memory)


def test_a_killed_run_is_resumed_at_once_to_the_same_bits(in_memory: Path, tmp_path: Path) -> None:
    """The workers of the killed run may still be there: they hold no lock on the folder."""
    process = start(tmp_path)
    process.kill()
    process.wait()
    effnet.resume(tmp_path)
    process.communicate()
    assert_same_run(tmp_path, in_memory)


def test_a_signal_to_all_processes_saves_and_ends_them(in_memory: Path, tmp_path: Path) -> None:
    process = start(tmp_path)
    os.killpg(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 143, errors
    assert errors.splitlines()[-1].startswith("effnet: stopped by SIGTERM after step")
    with pytest.raises(ProcessLookupError):  # no process of the group is left
        os.killpg(process.pid, 0)
    effnet.resume(tmp_path)
    assert_same_run(tmp_path, in_memory)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return digits_as_files(tmp_path / "data")


def test_broken_images_in_a_stream_are_named_once_and_never_end_a_run(folder: Path, tmp_path: Path) -> None:
    """Without a test part, the last evaluation meets the broken validation image a second time."""
    root = tmp_path / "split"
    for path in sorted(folder.rglob("*.png")):
        target = root / ("val" if int(path.stem) % 5 == 0 else "train") / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    victims = [sorted((root / part).rglob("*.png"))[7] for part in ("train", "val")]
    for victim in victims:
        victim.write_bytes(b"")
    listener = Listener()
    data = STREAM | {"max_broken": 0.5}
    result = effnet.train(root, out=tmp_path / "run", reporter=listener, data=data, **SETTINGS)
    skipped = sorted(line for line in listener.messages if line.startswith("skipped"))
    assert skipped == sorted(f"skipped: {victim}: empty file" for victim in victims)
    assert result.evaluation.broken == (f"{victims[1]}: empty file",)
    assert result.evaluation.num_images == 39


def test_too_many_broken_images_end_a_stream_in_order(folder: Path, tmp_path: Path) -> None:
    for victim in sorted(folder.rglob("*.png"))[::10]:
        victim.write_bytes(b"")
    with pytest.raises(DataError, match=r"images cannot be read, more than the 1\.0% .*data\.max_broken"):
        effnet.train(folder, out=tmp_path / "run", data=STREAM, **SETTINGS)
