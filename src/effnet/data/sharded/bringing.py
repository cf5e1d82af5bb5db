"""A thread that brings whole shards here, while others read images."""

import atexit
from collections import deque
from threading import Condition, Thread
from time import monotonic

from effnet.data.sharded.cache import ShardCache, StoppedError
from effnet.data.sharded.index import Known
from effnet.data.sharded.remote import LostError, Remote

PAUSE = 5.0  # seconds until it is tried again whether a shard finds room
IDLE = 1.0  # seconds without a shard to bring, after which the thread ends
PATIENCE = 5.0  # seconds that the end of a process waits for a piece that is on its way


class Bringing:
    """What one process wants to have here. Its thread lives while there is something to bring."""

    def __init__(self, cache: ShardCache, remote: Remote) -> None:
        self.cache = cache
        self.remote = remote
        self._wanted: deque[Known] = deque()
        self._known: set[str] = set()
        """Shards that wait, and those that could not be brought: their images are asked for one by one."""
        self._changed = Condition()
        self._thread: Thread | None = None
        self._stopped = False
        self._not_before = 0.0

    def want(self, tar: Known) -> None:
        """Ask for a shard; returns at once."""
        with self._changed:
            if tar.file in self._known or self._stopped or monotonic() < self._not_before:
                return
            self._known.add(tar.file)
            self._wanted.append(tar)
            if self._thread is None:
                atexit.register(self.stop)
                self._thread = Thread(target=self._run, daemon=True, name="effnet-shards")
                self._thread.start()
            self._changed.notify()

    def stop(self) -> None:
        """End the thread, at the latest after the piece that is on its way."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(PATIENCE)

    def _run(self) -> None:
        while (tar := self._next()) is not None:
            try:
                found = self.cache.bring(tar, self.remote, lambda: self._stopped)
            except (StoppedError, LostError):
                continue  # stays known: nobody asks for it again
            with self._changed:
                self._known.discard(tar.file)
                if found == "no room":
                    self._not_before = monotonic() + PAUSE
                    self._known -= {waiting.file for waiting in self._wanted}
                    self._wanted.clear()

    def _next(self) -> Known | None:
        """Return the next shard; None when the thread is to end, which is forgotten then."""
        with self._changed:
            self._changed.wait_for(lambda: self._wanted or self._stopped, IDLE)
            if self._wanted and not self._stopped:
                return self._wanted.popleft()
            self._thread = None
            atexit.unregister(self.stop)
            return None
