"""Map a function over items on the machines of a Ray cluster: results as they come, each once."""

import os
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from effnet import __version__, errors
from effnet.cluster.connection import joined, one_line
from effnet.cluster.machines import Cluster, has, sized, slots_of, wish
from effnet.errors import EffnetError, UsageError

T = TypeVar("T")
R = TypeVar("R")

MAX_DEATHS = 5  # an item that no worker survived so often, for want of memory for example, is given up
LOOK_SECONDS = 0.2  # between two looks at what is done
COUNT_SECONDS = 5.0  # between two counts of what the cluster has; machines may join
MISSING = re.compile(r"No module named '([\w.]+)'")
STOP_SECONDS = 20.0  # that workers get to save what they do, when all is stopped


class Listener(Protocol):
    """Is told how the work goes on."""

    def message(self, text: str) -> None:
        """Receive one line worth reading."""

    def at_work(self, done: int, running: int) -> None:
        """Follow how many items are done, and how many the cluster has now."""

    def heed(self) -> None:
        """Raise to stop; asked several times a second."""


class Later:
    """Stands in the place of an item that is not there yet; the next one is asked for at the next look."""


class WorkerStoppedError(EffnetError):
    """Raised by the function where its machine asked it to stop: the item is done again elsewhere."""


class WorkersDiedError(EffnetError):
    """No worker survived an item: it is given up."""


@dataclass(frozen=True)
class _Refusal:
    """What a worker says instead of a result."""

    kind: str
    text: str

    def error(self) -> EffnetError:
        kind: type[EffnetError] = getattr(errors, self.kind, EffnetError)
        return kind(self.text)


@dataclass(frozen=True)
class _Attempt(Generic[T]):
    """An item that a worker has."""

    place: int
    item: T
    deaths: int = 0


def map_on_cluster(
    function: Callable[[T], R],
    items: Iterable[T | Later],
    cluster: Cluster,
    listener: Listener,
    *,
    max_ahead: int | None = None,
) -> Iterator[tuple[T, R | EffnetError]]:
    """Yield each item, once, with what the function makes of it, as the results come.

    An item whose worker dies is done again, at most `MAX_DEATHS` times in all. When the caller stops, by
    an exception or by closing the iterator, the workers get SIGINT and `STOP_SECONDS`, then they are killed.

    Args:
        function: runs on any machine of the cluster, in the folder that this process is in, where it exists
            there. It can be pickled; what it holds is sent once to each machine.
        items: can be pickled; their text names them. Taken one by one as workers get free.
        cluster: which one, and what an item takes.
        listener: told of the progress.
        max_ahead: how many items may be begun behind the oldest one that is not done; any number without it.

    Yields:
        An `EffnetError` instead of a result where the function raised one, or its workers died.

    Raises:
        EffnetError: the cluster cannot be joined.
        UsageError: the address has no meaning, or no machine of a local cluster has what an item takes.

    """
    with joined(cluster.address) as ray:
        work: _Work[T] = _Work(ray, sized(ray, cluster), listener)
        work.function = ray.put(function)
        try:
            yield from work.run(iter(items), max_ahead)
        finally:
            work.stop()


class _Work(Generic[T]):
    """Items on their way."""

    def __init__(self, ray: Any, cluster: Cluster, listener: Listener) -> None:
        self.ray = ray
        self.cluster = cluster
        self.listener = listener
        self.function: Any = None
        self.running: dict[Any, _Attempt[T]] = {}
        self.done = self.begun = 0
        self._counted, self._slots = float("-inf"), 0
        options = {"num_cpus": cluster.cpus, "num_gpus": cluster.gpus, "max_retries": 0}
        self.task = ray.remote(_attempt).options(**options)

    def run(self, items: Iterator[T | Later], max_ahead: int | None) -> Iterator[tuple[T, Any]]:
        """Yield items with their answers until none is left."""
        has_more = True
        while True:
            self.listener.heed()
            has_more = has_more and self._fill(items, max_ahead)
            if not (has_more or self.running):
                return
            for reference in self._ready():
                attempt = self.running.pop(reference)
                answer = self._answer(reference, attempt)
                if answer is not None:
                    self.done += 1
                    yield attempt.item, answer[0]

    def _fill(self, items: Iterator[T | Later], max_ahead: int | None) -> bool:
        """Begin as many items as there is room for; tell whether there may be more."""
        while len(self.running) < self._room():
            oldest = min((attempt.place for attempt in self.running.values()), default=self.begun)
            if max_ahead is not None and self.begun - oldest > max_ahead:
                break
            item = next(items, None)
            if item is None:
                return False
            if isinstance(item, Later):
                break
            self._begin(_Attempt(self.begun, item))
            self.begun += 1
        return True

    def _begin(self, attempt: _Attempt[T]) -> None:
        reference = self.task.remote(self.function, attempt.item, __version__, os.getcwd())
        self.running[reference] = attempt
        self.listener.at_work(self.done, len(self.running))

    def _ready(self) -> list[Any]:
        """Wait a moment for results."""
        if not self.running:
            time.sleep(LOOK_SECONDS)
            return []
        found: list[Any] = self.ray.wait(list(self.running), timeout=LOOK_SECONDS)[0]
        return found

    def _answer(self, reference: Any, attempt: _Attempt[T]) -> tuple[Any] | None:
        """Return what came of an attempt; None if its worker died and another one has the item now."""
        try:
            answer = self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            missing = MISSING.search(str(error))
            if missing is None:  # a bug, which shows itself as one
                raise
            text = f"a machine of the cluster lacks the module {missing[1]}; install what is installed here"
            return (EffnetError(text),)
        except _deaths(self.ray) as error:
            return self._again(attempt, type(error).__name__)
        except self.ray.exceptions.RayError as error:
            return (EffnetError(f"{attempt.item}: the cluster failed: {one_line(error)}"),)
        if not isinstance(answer, _Refusal):
            return (answer,)
        if answer.kind == WorkerStoppedError.__name__:
            return self._again(attempt, answer.text)
        return (answer.error(),)

    def _again(self, attempt: _Attempt[T], reason: str) -> tuple[EffnetError] | None:
        deaths = attempt.deaths + 1
        if deaths >= MAX_DEATHS:
            text = f"{attempt.item}: its worker died {deaths} times (out of memory?), the last time: {reason}"
            return (WorkersDiedError(text),)
        self.listener.message(
            f"warning: the worker that had {attempt.item} died ({reason}); it is done again, attempt "
            f"{deaths + 1} of {MAX_DEATHS}"
        )
        self._begin(replace(attempt, deaths=deaths))
        return None

    def _room(self) -> int:
        """Return how many items the cluster can have at a time; machines may have come or gone."""
        if time.monotonic() - self._counted > COUNT_SECONDS:
            slots = slots_of(self.ray, self.cluster)
            if not slots and self.cluster.address == "local":
                raise UsageError(f"--cluster local: {wish(self.cluster)}; this machine has {has(self.ray)}")
            if not slots and self._slots != 1:
                self.listener.message(f"waiting: {wish(self.cluster)}; the cluster has {has(self.ray)}")
            self._slots, self._counted = max(1, slots), time.monotonic()
        return self._slots

    def stop(self) -> None:
        """Stop what still runs, in order, then at once."""
        left = list(self.running)
        if not left:
            return
        for reference in left:
            self.ray.cancel(reference)
        _, left = self.ray.wait(left, num_returns=len(left), timeout=STOP_SECONDS)
        for reference in left:
            self.ray.cancel(reference, force=True)


def _attempt(function: Callable[[T], R], item: T, version: str, folder: str) -> R | _Refusal:
    """Do an item; runs on a machine of the cluster."""
    if version != __version__:
        return _Refusal(
            "EffnetError",
            f"{socket.gethostname()} has effnet {__version__}, and this machine {version}; install the same",
        )
    with suppress(OSError):
        os.chdir(folder)
    try:
        return function(item)
    except EffnetError as error:
        kinds = [
            kind.__name__ for kind in type(error).__mro__ if kind is WorkerStoppedError or _is_ours(kind)
        ]
        return _Refusal(kinds[0], str(error))


def _is_ours(kind: type) -> bool:
    return getattr(errors, kind.__name__, None) is kind


def _deaths(ray: Any) -> tuple[type[Exception], ...]:
    """Return what Ray raises when a worker or its machine has died."""
    known = ray.exceptions
    return known.WorkerCrashedError, known.NodeDiedError, known.OutOfMemoryError, known.ObjectLostError
