"""Processes that decode: they leave signals to their parent, end with it, and their death is an error."""

import gc
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from effnet.config import DataConfig
from effnet.data import tasks
from effnet.data.datasets import open_digits
from effnet.data.pixels import PixelFormat, Reading, silent
from effnet.data.stream import Stream, released
from effnet.data.tasks import CHUNK_BYTES, images_per_task
from effnet.data.workers import MAX_DEATHS, MAX_WORKERS, num_workers
from effnet.errors import EffnetError
from effnet.imaging.preprocess import Preprocess

FORM = PixelFormat(Preprocess(8, mean=(0.3,), std=(0.3,)), 8)
EVERY = [np.arange(start, start + 100) for start in range(0, 1000, 100)]

SCRIPT = """
import sys
from multiprocessing import active_children
from test_workers import EVERY, digits
streamed = digits(2)
next(streamed.batches(EVERY))
print(*(child.pid for child in active_children()), flush=True)
"""


def digits(workers: int, say: Callable[[str], None] = silent) -> Stream:
    reading = Reading(DataConfig(workers=workers), torch.device("cpu"), say=say)
    return Stream(open_digits().parts["all"], FORM, reading)


@pytest.fixture
def two() -> Iterator[Stream]:
    streamed = digits(2)
    with released(streamed):
        yield streamed


def pids() -> list[int]:
    return [child.pid for child in active_children() if child.pid is not None]


def run_script(code: str, stderr: int | None = None) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-c", code]
    pipe = subprocess.PIPE  # stdin too, which stays open: scripts wait for its end
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=stderr, text=True, env=environment)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_workers_live_over_all_passes_and_end_when_released(two: Stream) -> None:
    list(two.batches(EVERY))
    first = pids()
    list(two.batches(EVERY))
    list(two.once(100))
    assert len(first) == 2
    assert pids() == first
    two.release()
    assert pids() == []


def test_after_a_release_new_workers_go_on(two: Stream) -> None:
    before = [images for images, _ in two.batches(EVERY)]
    two.release()
    assert all(torch.equal(images, old) for (images, _), old in zip(two.batches(EVERY), before, strict=True))


def test_no_worker_is_started_before_the_first_batch(two: Stream) -> None:
    two.batches(EVERY)
    assert pids() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_workers_leave_signals_to_their_parent(two: Stream, number: int) -> None:
    next(two.batches(EVERY))
    for pid in pids():
        os.kill(pid, number)
    assert sum(len(labels) for _, labels in two.batches(EVERY)) == 1000
    assert len(pids()) == 2


def kill_one() -> None:
    victim = active_children()[0]
    victim.kill()
    victim.join()


@pytest.mark.parametrize("moment", ["before", "within"])
def test_the_death_of_a_worker_changes_nothing_but_is_said(moment: str) -> None:
    """Killed before a pass, and in the middle of one."""
    said: list[str] = []
    streamed = digits(2, said.append)
    with released(streamed):
        expected = list(streamed.batches(EVERY))
        found = []
        if moment == "before":
            kill_one()
        for number, batch in enumerate(streamed.batches(EVERY)):
            if moment == "within" and number == 3:
                kill_one()
            found.append(batch)
        assert len(pids()) == 2
    assert all(
        torch.equal(one, other)
        for pair in zip(found, expected, strict=True)
        for one, other in zip(*pair, strict=True)
    )
    if said or moment == "before":  # within a pass its work may be done already
        assert said == [
            "warning: a process that decodes images has died (SIGKILL); others take over its work"
        ]


def test_workers_that_die_again_and_again_are_an_error_that_says_what_to_try() -> None:
    said: list[str] = []
    streamed = digits(2, said.append)
    with pytest.raises(
        EffnetError, match=r"images has died \(.+\), the 4th in this epoch; .*fewer --data\.workers"
    ):
        kill_at_every_batch(streamed)
    assert len(said) == MAX_DEATHS
    assert pids() == []


def kill_at_every_batch(streamed: Stream) -> None:
    with released(streamed):
        for _ in streamed.batches(EVERY):
            kill_one()


def test_a_death_leaves_no_process_and_no_open_file() -> None:
    streamed = digits(2)
    with released(streamed):
        list(streamed.batches(EVERY))
        open_files = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            kill_one()
            list(streamed.batches(EVERY))
            gc.collect()
            assert len(pids()) == 2
            assert len(os.listdir("/proc/self/fd")) == open_files
    assert pids() == []


def test_workers_that_cannot_be_started_are_an_error() -> None:
    """Files may be open, but not as many as eight processes need to speak with their parent."""
    code = (
        "import os, resource\n"
        "from test_workers import EVERY, digits\n"
        "from effnet.data.stream import released\n"
        "streamed = digits(8)\n"
        "list(digits(0).batches(EVERY))\n"
        "few = len(os.listdir('/proc/self/fd')) + 12\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (few, few))\n"
        "with released(streamed):\n"
        "    list(streamed.batches(EVERY))\n"
    )
    done = run_script(code, stderr=subprocess.PIPE)
    errors = done.communicate(timeout=120)[1]
    last = "effnet.errors.EffnetError: cannot start 8 workers: Too many open files; take fewer --data.workers"
    assert errors.splitlines()[-1] == last


def test_another_error_comes_through_and_ends_the_workers() -> None:
    """Also while the traceback, as in a notebook, still holds the pass that was going on."""
    with pytest.raises(RuntimeError, match=r"^something else$") as caught:
        fail_at_work(digits(1))
    assert pids() == []
    assert caught.tb is not None


def fail_at_work(streamed: Stream) -> None:
    with released(streamed):
        batches = streamed.batches(EVERY)
        next(batches)
        raise RuntimeError("something else")


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("kind", [RuntimeError, FileNotFoundError, ConnectionError])
def test_an_error_in_a_worker_is_no_death_and_comes_out_as_itself(
    kind: type[Exception], workers: int, tmp_path: Path
) -> None:
    tries = tmp_path / "tries"

    def fail(name: str) -> Image.Image:
        with tries.open("a") as file:
            file.write(".")
        raise kind("a mistake in decoding")

    said: list[str] = []
    samples = replace(open_digits().parts["all"].take(np.arange(4)), read=fail)
    reading = Reading(DataConfig(workers=workers), torch.device("cpu"), say=said.append)
    streamed = Stream(samples, FORM, reading)
    with released(streamed), pytest.raises(kind, match="a mistake in decoding"):
        next(streamed.batches([np.arange(4)]))
    assert tries.read_text() == "."
    assert said == []
    assert pids() == []


def test_a_program_that_forgets_its_stream_ends_all_the_same() -> None:
    process = run_script(SCRIPT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert not any(is_running(int(pid)) for pid in out.split())


@pytest.mark.slow
def test_workers_notice_that_their_parent_was_killed() -> None:
    process = run_script(f"{SCRIPT}sys.stdin.read()")
    assert process.stdout is not None
    workers = [int(pid) for pid in process.stdout.readline().split()]
    assert all(map(is_running, workers))
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while any(map(is_running, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_as_many_workers_as_asked_for_or_as_there_are_cores() -> None:
    assert (num_workers(0), num_workers(3)) == (0, 3)
    assert 1 <= num_workers(None) <= min(MAX_WORKERS, os.cpu_count() or 1)


@pytest.mark.parametrize(("processes", "workers"), [(1, 16), (4, 4), (16, 1), (8, 8)])
def test_streams_of_all_processes_take_half_of_what_is_free_at_most(
    processes: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container, with 64 MB; all processes look at it before any has sent an image."""
    free, form = 64 << 20, PixelFormat(Preprocess(224), 256)
    monkeypatch.setattr(tasks, "SHARED_MEMORY", Path("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    reading = Reading(DataConfig(workers=workers), torch.device("cpu"), num_here=processes)
    each = Stream(open_digits().parts["all"], form, reading)._per_task
    under_way = each * form.num_bytes * processes * workers * (tasks.CHUNKS_AHEAD + 1)
    assert under_way <= free / 2 or each == 1
    assert each == tasks.images_per_task(form, processes * workers)


@pytest.mark.parametrize("side", [8, 224, 600, 4096])
def test_what_is_under_way_stays_small(side: int) -> None:
    form = PixelFormat(Preprocess(side), side)
    count = images_per_task(form, 4)
    assert count >= 1
    assert count == 1 or count * form.num_bytes <= CHUNK_BYTES
