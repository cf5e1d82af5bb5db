"""A process for each contender: none inherits what another one set, compiled or kept in memory.

No torch here: a contender that does without it, as onnxruntime does, has none in its memory.
"""

import os
import pickle
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from time import perf_counter
from typing import Any

from effnet.benching.programs import Contender, Program
from effnet.errors import EffnetError
from effnet.sizing.budget.timing import times, warm_up

POLL_SECONDS = 0.1  # until a wish to stop is heard
LAST_SECONDS = 5.0  # for a process to end by itself
NUM_MEASURED = 2  # runs under which memory is measured: after the first one the allocator keeps holes


class ContenderError(EffnetError):
    """A contender failed; the message is its reason."""


class StoppedError(EffnetError):
    """The contest was asked to stop."""


@dataclass
class Running:
    """A contender's process, and the pipe to it."""

    process: SpawnProcess
    pipe: Connection
    log: Path
    """What it wrote to its output and its errors."""
    is_stopped: Callable[[], bool]
    start_seconds: float = 0.0
    """From building, libraries loaded, to the end of the first run."""

    def ask(self, request: str, value: Any = None) -> Any:
        """Let the process do something, and return its answer.

        Raises:
            ContenderError: it failed or is gone.
            StoppedError: a wish to stop was heard.

        """
        if self.is_stopped():
            raise StoppedError("stopped")
        try:
            self.pipe.send((request, value))
        except OSError:
            raise ContenderError(self._last_words()) from None
        return self.reply()

    def reply(self) -> Any:
        """Wait for an answer, with the errors of `ask`."""
        while not self.pipe.poll(POLL_SECONDS):
            if self.is_stopped():
                raise StoppedError("stopped")
        try:
            is_well, answer = self.pipe.recv()
        except (EOFError, OSError):
            raise ContenderError(self._last_words()) from None
        if not is_well:
            raise ContenderError(answer)
        return answer

    def peak_bytes(self) -> int | None:
        """Return the most memory that it takes while it runs: of a GPU, else of the process with libraries.

        None where the system does not say. What starting took and gave back again is not in it.
        """
        self.ask("trim")
        folder = Path("/proc") / str(self.process.pid)
        try:
            (folder / "clear_refs").write_text("5", encoding="ascii")  # `man 5 proc`: the peak starts anew
        except OSError:
            return self._gpu_bytes()
        on_gpu = self._gpu_bytes()
        if on_gpu is not None:
            return on_gpu
        found = re.search(r"^VmHWM:\s+(\d+) kB$", (folder / "status").read_text("utf-8"), re.MULTILINE)
        return None if found is None else int(found[1]) * 1024

    def _gpu_bytes(self) -> int | None:
        answer: int | None = self.ask("measure")
        return answer

    def end(self) -> None:
        """Let the process end, and make it end if it does not."""
        with suppress(OSError):
            if self.is_stopped():
                self.process.terminate()
            self.pipe.send(None)
        self.process.join(LAST_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()

    def _last_words(self) -> str:
        self.process.join(LAST_SECONDS)
        code = self.process.exitcode
        ended = f"its process ended with {_code(code)}"
        lines = [line.strip() for line in self.log.read_text("utf-8", "replace").splitlines() if line.strip()]
        return f"{ended}: {lines[-1]}" if lines else ended


def _code(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"{name}, as when memory runs out" if name == "SIGKILL" else name


@contextmanager
def running(contender: Contender, log: Path, is_stopped: Callable[[], bool]) -> Iterator[Running]:
    """Run a contender until the end of the context; give it when its first run is over.

    Args:
        contender: what to run.
        log: file for what it prints.
        is_stopped: tells whether whoever waits should stop waiting.

    Raises:
        ContenderError: it did not get that far.
        StoppedError: a wish to stop was heard.

    """
    context = get_context("spawn")
    pipe, other_end = context.Pipe()
    payload = pickle.dumps((contender.prepare, contender.build))
    given = (other_end, str(log), dict(contender.environment), payload)
    process = context.Process(target=serve, args=given, daemon=True)
    log.touch()
    with _deaf():
        process.start()
    other_end.close()  # or its end would never be noticed
    made = Running(process, pipe, log, is_stopped)
    try:
        made.start_seconds = made.reply()
        yield made
    finally:
        made.end()


@contextmanager
def _deaf() -> Iterator[None]:
    """Ignore Ctrl-C while a process starts, which inherits that: it goes to all of a terminal's processes."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def serve(pipe: Connection, log: str, environment: Mapping[str, str | None], payload: bytes) -> None:
    """Be a contender: start, say how long it took, then do what is asked until told to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _write_to(log)
    for name, value in environment.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    try:
        prepare, build = pickle.loads(payload)  # only now: it loads torch, which reads the environment
        ready, started = prepare(), perf_counter()
        with build(ready) as program:
            program.run()
            pipe.send((True, perf_counter() - started))
            while (asked := pipe.recv()) is not None:
                request, value = asked
                pipe.send((True, REQUESTS[request](program, value)))
    except EOFError:  # whoever asked is gone
        return
    except Exception as error:
        pipe.send((False, reason(error)))


def reason(error: BaseException) -> str:
    """Say in one line what went wrong: our own errors as they are, others with their kind."""
    lines = str(error).strip().splitlines()
    words = lines[0].strip() if lines else ""
    if isinstance(error, EffnetError):
        return words
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _write_to(log: str) -> None:
    """Let a process write to a file what it would print: the terminal belongs to whoever started it."""
    with open(log, "ab") as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(file.fileno(), stream.fileno())


def _trim(program: Program, value: object) -> None:
    """Give back what starting took; a process without torch stays without it."""
    if "torch" in sys.modules:
        from effnet.device import trim

        trim()
    if program.gpu_bytes is not None:
        program.gpu_bytes()


def _measure(program: Program, value: object) -> int | None:
    for _ in range(NUM_MEASURED):
        program.run()
    return None if program.gpu_bytes is None else program.gpu_bytes()


REQUESTS: dict[str, Callable[[Program, Any], Any]] = {
    "answer": lambda program, images: program.answer(images),
    "trim": _trim,
    "measure": _measure,
    "warm": lambda program, _: warm_up(program.run),
    "turn": lambda program, seconds: times(program.run, seconds),
}
