"""Where the images of shards are read: on a disk, or in a store, with whole shards kept on this machine."""

import os
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from effnet.data.sharded.bringing import Bringing
from effnet.data.sharded.cache import ShardCache
from effnet.data.sharded.index import Known
from effnet.data.sharded.remote import LostError, Remote
from effnet.errors import DataError

WHOLE_FROM = 2  # images asked of a shard by one process; from then on it is brought whole


@dataclass(frozen=True)
class Span:
    """Where in a shard an image lies, and the checksum of its bytes."""

    offset: int
    length: int
    crc32: int

    def holds(self, content: bytes | None) -> bool:
        """Tell whether these are the bytes."""
        return content is not None and len(content) == self.length and zlib.crc32(content) == self.crc32


class Store(Protocol):
    """Gives the bytes of images in shards. It can be sent to another process."""

    def read(self, tar: Known, span: Span) -> bytes:
        """Return the bytes of an image, sure to be those that were written.

        Raises:
            DataError: they are not, or cannot be had; names the shard.

        """


def read_span(path: Path, span: Span) -> bytes | None:
    """Return bytes of a file, as many as there are; None where it cannot be read."""
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(span.offset)
            return file.read(span.length)
    except OSError:
        return None


@dataclass(frozen=True)
class LocalStore:
    """Shards in a folder."""

    root: Path

    def read(self, tar: Known, span: Span) -> bytes:
        """Return the bytes of an image; see `Store`."""
        path = self.root / tar.file
        content = read_span(path, span)
        if content is None:
            raise DataError(f"shard {path} cannot be read")
        if not span.holds(content):
            raise DataError(damaged(str(path)))
        return content


def damaged(shard: str) -> str:
    """Say that the bytes of an image are other ones."""
    return f"shard {shard} is damaged here: these bytes are not those that were written (CRC-32)"


class CachedStore:
    """Shards in a store of files.

    The first image that a process wants of a shard is asked for alone; from the second on a thread brings the
    shard whole, and until it is here its images are asked for one by one. So no batch waits for a shard.
    What is known of shards that fail belongs to a process, and is not sent to others.
    """

    def __init__(self, remote: Remote, cache: ShardCache) -> None:
        self.remote = remote
        self.cache = cache
        self._begin()

    def __reduce__(self) -> tuple[type["CachedStore"], tuple[Remote, ShardCache]]:
        return CachedStore, (self.remote, self.cache)

    def _begin(self) -> None:
        self._process = os.getpid()
        self._asked: Counter[str] = Counter()
        self._lost: dict[str, str] = {}
        """Shards that cannot be had, and why: their other images are not waited for."""
        self._bringing = Bringing(self.cache, self.remote)

    def read(self, tar: Known, span: Span) -> bytes:
        """Return the bytes of an image; see `Store`."""
        if self._process != os.getpid():  # forked: threads and what they knew stayed behind
            self._begin()
        path = self.cache.find(tar)
        if path is not None:
            content = read_span(path, span)
            if content is not None and span.holds(content):
                return content
            self.cache.drop(tar)  # something has happened to this copy
        self._asked[tar.file] += 1
        if self._asked[tar.file] >= WHOLE_FROM:
            self._bringing.want(tar)
        return self._ask(tar, span)

    def _ask(self, tar: Known, span: Span) -> bytes:
        shard = f"{self.remote.url}/{tar.file}"
        if tar.file in self._lost:
            raise DataError(f"shard {shard} cannot be read: {self._lost[tar.file]}")

        def ask() -> bytes:
            content = self.remote.once(tar.file, span.offset, span.length)
            if not span.holds(content):
                raise WrongBytesError("wrong bytes")
            return content

        try:
            return self.remote.tried(ask)
        except WrongBytesError:
            raise DataError(damaged(shard)) from None
        except LostError as error:
            self._lost[tar.file] = str(error)
            raise DataError(f"shard {shard} cannot be read: {error}") from error


class WrongBytesError(LostError):
    """What came is not what was written: damaged on the way, or where it lies."""
