"""Faults of a training, by name: each strikes a process that runs or its files, and says what must follow."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from random import Random
from time import sleep

from lives import Life, Run

NEWEST, CUT_OFF = ("training.next.state", "training.state"), ".training.next.state.*"
SMALL_FILE = 20_000  # bytes: less than any state


class NotBorneError(Exception):
    """A fault had another consequence than it should have."""


def expect(truth: bool, what: str, life: Life) -> None:
    """Raise NotBorneError with what was said, unless it is true."""
    if not truth:
        raise NotBorneError(f"{what}; it said: {life.said[-2000:]}")


def killed(run: Run, life: Life, random: Random) -> None:
    """Kill -9 the process alone, at any moment."""
    life.end(signal.SIGKILL)


def killed_with_workers(run: Run, life: Life, random: Random) -> None:
    """Kill -9 it and its workers together, as a machine that fails does."""
    life.end(signal.SIGKILL, group=True)


def killed_while_saving(run: Run, life: Life, random: Random) -> None:
    """Kill -9 while a state is being written."""
    if life.wait_until(lambda: any(run.folder.glob(CUT_OFF))):
        sleep(random.uniform(0, 0.002))
        life.end(signal.SIGKILL)


def killed_while_starting(run: Run, life: Life, random: Random) -> None:
    """Kill -9 it, and the next one in its first seconds."""
    life.end(signal.SIGKILL)
    early = run.live()
    sleep(random.uniform(0, 5))
    early.end(signal.SIGKILL)


def terminated(run: Run, life: Life, random: Random) -> None:
    """SIGTERM, as a scheduler sends: the state is saved, and the exit code is 143."""
    code = life.end(signal.SIGTERM)
    expect(code == 143 and "stopped by SIGTERM after step" in life.said, f"SIGTERM ended with {code}", life)


def interrupted(run: Run, life: Life, random: Random) -> None:
    """Ctrl-C: SIGINT to all processes."""
    code = life.end(signal.SIGINT, group=True)
    expect(code == 130 and "stopped by SIGINT after step" in life.said, f"SIGINT ended with {code}", life)


def worker_killed(run: Run, life: Life, random: Random) -> None:
    """A process that decodes dies: others take over, and the training does not stop."""
    done, victims = run.epochs_done, life.workers()
    if not victims:
        return
    os.kill(random.choice(victims), signal.SIGKILL)
    went_on = life.wait_until(lambda: "images has died" in life.said and run.epochs_done > done)
    expect(went_on or life.process.wait() == 0, "the death of a worker ended it", life)


def second_run(run: Run, life: Life, random: Random) -> None:
    """A second run into the same folder is refused, and the first one goes on."""
    other = run.live()
    code = other.end()
    if life.process.poll() is None:
        expect(code == 1 and "another run is writing to" in other.said, f"a second run got {code}", other)


def disk_full(run: Run, life: Life, random: Random) -> None:
    """The disk is full while it saves: an error, and the states before are as they were."""
    life.end(signal.SIGKILL)
    before = states(run.folder)
    hurt = run.live(largest_file=SMALL_FILE)
    code = hurt.end()
    expect(code == 1 and "cannot write" in hurt.said, f"a full disk ended with {code}", hurt)
    expect(states(run.folder) == before, "a full disk changed a state", hurt)


def truncated(run: Run, life: Life, random: Random) -> None:
    """The newest state is cut off: the one before is taken, said aloud."""
    life.end(signal.SIGKILL)
    path = newest(run.folder)
    content = path.read_bytes()
    path.write_bytes(content[: random.randrange(len(content))])
    check_taken(run)


def flipped(run: Run, life: Life, random: Random) -> None:
    """One bit of the newest state is another: the one before is taken, said aloud."""
    life.end(signal.SIGKILL)
    path = newest(run.folder)
    content = bytearray(path.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)
    check_taken(run)


def check_taken(run: Run) -> None:
    """Go on from a damaged state, until that has been said, and end it."""
    hurt = run.live()
    hurt.wait_until(lambda: "going on after step" in hurt.said)
    hurt.end(signal.SIGKILL)
    expect("the state before it is taken" in hurt.said, "a damaged state was not told", hurt)


def vanished(run: Run, life: Life, random: Random) -> None:
    """A file of the data is gone between two lives: refused until it is back."""
    life.end(signal.SIGKILL)
    victim = random.choice(sorted(run.data.rglob("*.png")))
    content = victim.read_bytes()
    stat = victim.stat()
    victim.unlink()
    hurt = run.live()
    code = hurt.end()
    victim.write_bytes(content)
    os.utime(victim, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    expect(code == 1 and "has other images or classes" in hurt.said, f"a lost image ended with {code}", hurt)


def read_only(run: Run, life: Life, random: Random) -> None:
    """The folder cannot be written to: refused, and nothing is changed."""
    life.end(signal.SIGKILL)
    before = states(run.folder)
    run.folder.chmod(0o555)
    hurt = run.live(powerless=True)
    code = hurt.end()
    run.folder.chmod(0o755)
    expect(code == 1 and "cannot write to" in hurt.said, f"a folder to read only ended with {code}", hurt)
    expect(states(run.folder) == before, "a folder to read only has changed", hurt)


def newest(folder: Path) -> Path:
    """Return the newest state of a folder: while it is saved it has a name of its own."""
    return next(path for name in NEWEST if (path := folder / name).exists())


def states(folder: Path) -> dict[str, bytes]:
    """Return the states of a folder."""
    return {path.name: path.read_bytes() for path in folder.glob("training*.state")}


Fault = Callable[[Run, Life, Random], None]

KILLS: dict[str, Fault] = {
    "killed": killed,
    "killed with its workers": killed_with_workers,
    "killed while saving": killed_while_saving,
    "killed while starting": killed_while_starting,
}
OTHERS: dict[str, Fault] = {
    "SIGTERM": terminated,
    "SIGINT": interrupted,
    "worker killed": worker_killed,
    "second run": second_run,
    "disk full": disk_full,
    "state truncated": truncated,
    "state bit-flipped": flipped,
    "file vanished": vanished,
    "read-only folder": read_only,
}
GENTLE = ("worker killed", "second run")
"""Faults that a process survives."""
