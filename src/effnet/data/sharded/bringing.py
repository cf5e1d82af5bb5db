"""A thread that brings whole shards here, while others read images."""

import atexit
from collections import deque
from threading import Condition, Thread

from effnet.data.sharded.cache import ShardCache, StoppedError
from effnet.data.sharded.index import Known
from effnet.data.sharded.remote import LostError, Remote

PATIENCE = 5.0  # seconds that the end of a process waits for a piece that is on its way


class Bringing:
    """What one process wants to have here. Its thread begins with the first shard that is wanted."""

    def __init__(self, cache: ShardCache, remote: Remote) -> None:
        self.cache = cache
        self.remote = remote
        self._wanted: deque[Known] = deque()
        self._known: set[str] = set()
        """Shards that wait, and those that could not be brought: their images are asked for one by one."""
        self._changed = Condition()
        self._thread: Thread | None = None
        self._stopped = False

    def want(self, tar: Known) -> None:
        """Ask for a shard; returns at once."""
        if tar.bytes > self.cache.limit:
            return
        with self._changed:
            if tar.file in self._known or self._stopped:
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
        if self._thread is not None:
            self._thread.join(PATIENCE)
        atexit.unregister(self.stop)

    def _run(self) -> None:
        while (tar := self._next()) is not None:
            try:
                self.cache.bring(tar, self.remote, lambda: self._stopped)
            except StoppedError:
                return
            except LostError:
                continue  # stays known: nobody asks for it again
            self._known.discard(tar.file)

    def _next(self) -> Known | None:
        with self._changed:
            self._changed.wait_for(lambda: self._wanted or self._stopped)
            return None if self._stopped else self._wanted.popleft()
