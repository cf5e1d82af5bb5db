"""A training as a process that can be hurt: its files, its workers, its memory, and how it ended."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from threading import Event, Thread
from time import monotonic, sleep

PATIENCE = 1800.0  # seconds until something that must happen has happened
LOOK_SECONDS = 0.5
PROGRAM = Path(__file__).with_name("poisoned_training.py")
WITHOUT_POWER = (
    sys.executable, "-c",
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(24, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])",
)  # fmt: skip
"""Starts a command that obeys the permissions of files even as root: without CAP_DAC_OVERRIDE."""


STARTED: "list[Life]" = []


@dataclass(frozen=True)
class Look:
    """What a process holds at a moment."""

    memory: int
    """Resident, in bytes."""
    handles: int
    processes: int
    """It and its children."""


@dataclass
class Run:
    """A training on a folder of images, from the first process to the last."""

    data: Path
    folder: Path
    epochs: int
    flags: tuple[str, ...]
    bad_steps: str
    """Steps whose gradient is no number, with commas."""

    @property
    def epochs_done(self) -> int:
        """Epochs that the record has."""
        path = self.folder / "metrics.jsonl"
        return path.read_text(encoding="utf-8").count("\n") if path.exists() else 0

    @property
    def is_begun(self) -> bool:
        """Whether there is a state to go on from."""
        return any(self.folder.glob("training*.state"))

    @property
    def is_done(self) -> bool:
        """Whether it has come to its end."""
        return not self.is_begun and (self.folder / "model.safetensors").exists()

    @property
    def is_busy(self) -> bool:
        """Whether epochs are still to come."""
        return self.epochs_done < self.epochs

    def live(self, *, largest_file: int | None = None, powerless: bool = False) -> "Life":
        """Start a process that begins the training, or goes on with it."""
        begun = ["train", "--resume", str(self.folder)]
        anew = ["train", str(self.data), "--out", str(self.folder), "--epochs", str(self.epochs)]
        arguments = begun if self.is_begun else [*anew, *self.flags, "--overwrite"]
        before = WITHOUT_POWER if powerless and os.geteuid() == 0 else ()
        command = [*before, sys.executable, str(PROGRAM), self.bad_steps, *arguments]
        life = Life(command, lambda: self.is_busy)
        if largest_file is not None:
            resource.prlimit(life.pid, resource.RLIMIT_FSIZE, (largest_file, largest_file))
        return life


@dataclass
class Life:
    """One process of a run."""

    command: list[str]
    is_busy: Callable[[], bool]
    """Whether it is worth a look: before the end, when workers and memory are given back."""
    looks: list[Look] = field(default_factory=list)

    def __post_init__(self) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=pipe, text=True, errors="replace",
            start_new_session=True,
        )  # fmt: skip
        STARTED.append(self)
        self.said = ""
        self._over = Event()
        self._threads = [Thread(target=work, daemon=True) for work in (self._listen, self._watch)]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self.process.pid

    def workers(self) -> list[int]:
        """Numbers of its children."""
        try:
            return [
                int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            ]
        except OSError:
            return []

    def wait_until(self, condition: Callable[[], bool]) -> bool:
        """Wait for a condition; False where the process ends before."""
        end = monotonic() + PATIENCE
        while not condition():
            if self.process.poll() is not None:
                return False
            if monotonic() > end:
                raise TimeoutError(f"nothing happened for {PATIENCE:.0f} seconds: {self.said[-500:]}")
            sleep(0.002)
        return True

    def end(self, number: int | None = None, *, group: bool = False) -> int:
        """Send a signal, if one is given, and wait for the end; return the exit code."""
        if number is not None and self.process.poll() is None:
            (os.killpg if group else os.kill)(self.pid, number)
        code = self.process.wait(PATIENCE)
        self._over.set()
        end_group(self.pid)  # workers of a process that was killed
        for thread in self._threads:
            thread.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            look = look_at(self.pid, 1 + len(self.workers()))
            if look is not None and self.is_busy():
                self.looks.append(look)


def end_all() -> None:
    """Kill every process that is still there."""
    for life in STARTED:
        life.end(signal.SIGKILL, group=True)


def look_at(pid: int, processes: int) -> Look | None:
    """Look at a process; None where it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        handles = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    memory = [int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:")]
    return Look(memory[0], handles, processes) if memory else None


def end_group(number: int) -> None:
    """Wait for the processes of a group to end by themselves, as orphaned workers do; kill what stays."""
    end = monotonic() + 15.0
    while monotonic() < end:
        try:
            os.killpg(number, 0)
        except ProcessLookupError:
            return
        sleep(0.05)
    os.killpg(number, signal.SIGKILL)


def flatness(looks: Iterable[Look]) -> dict[str, list[float]]:
    """Return memory in MB, handles and processes in the second and in the last fifth of the time: medians."""
    seen = list(looks)
    fifth = max(1, len(seen) // 5)
    early, late = seen[fifth : 2 * fifth] or seen, seen[-fifth:]
    return {
        "memory_mb": [round(median(look.memory for look in part) / 1e6, 1) for part in (early, late)],
        "handles": [median(look.handles for look in part) for part in (early, late)],
        "processes": [median(look.processes for look in part) for part in (early, late)],
    }
