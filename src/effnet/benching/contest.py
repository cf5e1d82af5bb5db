"""A contest: contenders start one after the other, prove that they compute the same, and take turns.

What disturbs the machine for a while then disturbs all of them. While one has its turn the others wait.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep
from typing import Protocol

import numpy as np

from effnet.benching.process import ContenderError, Running, running
from effnet.benching.programs import Contender, Images, Logits

LIMIT = 1e-3  # of what another batch changes: float32 rounds by less, another network differs by about 1
REST_SECONDS = 0.2  # between turns: threads of a program that had its turn wait in a busy loop for a while


class Listener(Protocol):
    """Follows a contest."""

    def message(self, text: str) -> None:
        """Receive one line worth reading."""

    def working(self, what: str, done: int, total: int) -> None:
        """Follow what is being done."""


@dataclass
class Entry:
    """What is known of a contender so far."""

    contender: Contender
    start_seconds: float | None = None
    peak_bytes: int | None = None
    difference: float | None = None
    turns: list[list[float]] = field(default_factory=list)
    failure: str = ""


@dataclass(frozen=True)
class Rules:
    """How a contest goes."""

    rounds: int
    seconds: float
    """Least time of a turn, which has one run at least."""
    limit: float = LIMIT
    """How far logits of programs that compute the same may differ."""


class Contest:
    """Contenders that take turns; what is known of each is there at any time, also after an interruption."""

    def __init__(
        self,
        contenders: Sequence[Contender],
        rules: Rules,
        listener: Listener,
        is_stopped: Callable[[], bool],
    ) -> None:
        self.entries = [Entry(contender) for contender in contenders]
        self.rules = rules
        self.listener = listener
        self.is_stopped = is_stopped
        self._going: dict[int, Running] = {}
        """Processes by the place of their entry."""

    def run(self) -> None:
        """Start all, check them, let them take turns, end them.

        Raises:
            StoppedError: a wish to stop was heard; `entries` say what is known.

        """
        with TemporaryDirectory() as logs, ExitStack() as processes:
            count = len(self.entries)
            for place in range(count):
                self._show("starting", place, count)
                self._attempt(place, partial(self._start, place, Path(logs), processes))
            self._show("starting", count, count)
            self._check()
            for place in tuple(self._going):
                self._attempt(place, partial(self._measure, place))
            self._take_turns()

    def _attempt(self, place: int, act: Callable[[], None]) -> None:
        """Let a contender do something; one that fails is out, with its reason."""
        try:
            act()
        except ContenderError as error:
            self._drop(place, str(error))

    def _drop(self, place: int, reason: str) -> None:
        entry = self.entries[place]
        entry.failure = reason
        self._going.pop(place, None)
        self.listener.message(f"warning: {entry.contender.label}: {reason}")

    def _start(self, place: int, logs: Path, processes: ExitStack) -> None:
        entry = self.entries[place]
        going = running(entry.contender, logs / f"{place}.log", self.is_stopped)
        self._going[place] = processes.enter_context(going)
        entry.start_seconds = self._going[place].start_seconds
        self.listener.message(f"{entry.contender.label}: started in {entry.start_seconds:.1f} s")

    def _measure(self, place: int) -> None:
        """Read off the memory, and warm up once more: other programs ran in between."""
        self.entries[place].peak_bytes = self._going[place].peak_bytes()
        self._going[place].ask("warm")

    def _check(self) -> None:
        """Compare the logits of programs on one network; those that compute something else are out."""
        networks = dict.fromkeys(self.entries[place].contender.network for place in self._going)
        for network in networks:
            places = [place for place in self._going if self.entries[place].contender.network == network]
            if len(places) > 1:
                self._compare(places)

    def _compare(self, places: Sequence[int]) -> None:
        """Compare the logits of some contenders with those of the first one that answers."""
        expected: tuple[Logits, Logits] | None = None
        for place in places:
            entry = self.entries[place]
            try:
                found = self._answers(place)
            except ContenderError as error:
                self._drop(place, str(error))
                continue
            expected = expected or found
            entry.difference = difference(found, expected)
            if entry.contender.is_exact and not entry.difference <= self.rules.limit:
                self._drop(place, f"computes something else: logits differ by {entry.difference:.1e}")

    def _answers(self, place: int) -> tuple[Logits, Logits]:
        """Ask a contender for the logits of two batches of other images."""
        one, other = batches(self.entries[place].contender.shape)
        going = self._going[place]
        return going.ask("answer", one), going.ask("answer", other)

    def _take_turns(self) -> None:
        done, total = 0, self.rules.rounds * len(self._going)
        for _ in range(self.rules.rounds):
            for place in tuple(self._going):
                self._show("in turns", done, total)
                self._attempt(place, partial(self._turn, place))
                done += 1
        self._show("in turns", total, total)

    def _turn(self, place: int) -> None:
        sleep(REST_SECONDS if len(self._going) > 1 else 0.0)
        self.entries[place].turns.append(self._going[place].ask("turn", self.rules.seconds))

    def _show(self, what: str, done: int, total: int) -> None:
        if total:
            self.listener.working(what, done, total)


def batches(shape: Sequence[int]) -> tuple[Images, Images]:
    """Return two batches of noise `(N, C, S, S)` that differ in contrast too, so that any logits differ."""
    noise = np.random.default_rng(0)
    one, other = (noise.standard_normal(tuple(shape)).astype(np.float32) for _ in range(2))
    return one, 0.5 * other + 0.5


def difference(found: tuple[Logits, Logits], expected: tuple[Logits, Logits]) -> float:
    """Return how far logits of two batches are from others, as a share of what separates the batches."""
    apart = max(float(np.abs(one - other).max()) for one, other in zip(found, expected, strict=True))
    return apart / float(np.abs(expected[0] - expected[1]).max())
