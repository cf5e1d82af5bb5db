"""Shards of stores, kept on this machine: no more than there is room for, each named by its checksum."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from effnet.data.sharded.index import Known
from effnet.data.sharded.remote import LostError, Remote, number
from effnet.files import cache_folder

IN_USE = 60.0  # seconds in which a shard that was read stays: else sets larger than the cache would chase it
NOTED = 10.0  # seconds between two notes that a shard is in use
DEFAULT_GB = 32.0
DISK_SHARE = 0.5  # of what is free on the disk


Found = Literal["here", "under way", "no room"]
"""Whether a shard is on this machine, is being brought by another process, or finds no room."""


class StoppedError(Exception):
    """The process ends while a shard is on its way."""


@dataclass(frozen=True)
class ShardCache:
    """A folder of whole, verified shards, shared by all processes of this machine."""

    folder: Path
    limit: int
    """Bytes of all shards together."""

    @staticmethod
    def from_environment() -> "ShardCache":
        """Return the cache in `$EFFNET_CACHE/shards`, as large as $EFFNET_SHARD_CACHE_GB says."""
        limit = number("EFFNET_SHARD_CACHE_GB", DEFAULT_GB, least=0)
        return ShardCache(cache_folder() / "shards", round(limit * 1e9))

    def place(self, known: Known) -> Path:
        """Return where a shard is, or would be. Its checksum names it, which is 64 digits."""
        return self.folder / f"{known.sha256}.tar"

    def find(self, known: Known) -> Path | None:
        """Return a shard that is here, and note that it is in use; None where it is not."""
        path = self.place(known)
        try:
            found = path.stat()
            if found.st_size != known.bytes:
                return None
            if time.time() - found.st_mtime > NOTED:
                os.utime(path)
        except OSError:
            return None
        return path

    def drop(self, known: Known) -> None:
        """Remove a shard: it is no longer what it was."""
        with suppress(OSError):
            self.place(known).unlink()

    def bring(self, known: Known, remote: Remote, stopped: Callable[[], bool] = lambda: False) -> Found:
        """Bring a shard here, if there is room and no other process is doing so.

        It is written beside its place, verified, and only then renamed.

        Raises:
            LostError: it cannot be had, or what comes is not what the index says.
            StoppedError: `stopped` became true.

        """
        if known.bytes > self.limit:
            return "no room"
        try:
            with self._only_one(known):
                return "here" if self.find(known) is not None else self._bring(known, remote, stopped)
        except Timeout:
            return "under way"
        except OSError:  # a full disk, or no permission: images are read where they are
            return "no room"

    @contextmanager
    def _only_one(self, known: Known) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._lock(known.sha256), timeout=0):
            yield

    def _lock(self, name: str) -> Path:
        return self.folder / f"{name}.lock"

    def _bring(self, known: Known, remote: Remote, stopped: Callable[[], bool]) -> Found:
        part = self.folder / f"{known.sha256}.part"
        try:
            if not self._reserve(part, known):
                return "no room"
            fill(part, known, remote, stopped)
            part.replace(self.place(known))
        finally:
            part.unlink(missing_ok=True)
        return "here"

    def _reserve(self, part: Path, known: Known) -> bool:
        """Make a file of full size, so that others count it; remove shards that were not used for longest."""
        with FileLock(self._lock("room")):
            self._remove_leftovers(part)
            held = sorted(self._held(), key=lambda item: item[0])
            total = sum(size for _, size, _ in held)
            for used, size, path in held:
                if total + known.bytes <= self.limit:
                    break
                if path.suffix == ".tar" and time.time() - used > IN_USE:
                    path.unlink(missing_ok=True)
                    total -= size
            disk = os.statvfs(self.folder) if hasattr(os, "statvfs") else None
            free = known.bytes / DISK_SHARE if disk is None else disk.f_bavail * disk.f_frsize
            if total + known.bytes > self.limit or known.bytes > DISK_SHARE * free:
                return False
            with part.open("wb") as file:
                file.truncate(known.bytes)
        return True

    def _held(self) -> Iterator[tuple[float, int, Path]]:
        """Yield time of last use, bytes and path of what is here or on its way."""
        for path in self.folder.iterdir():
            if path.suffix in (".tar", ".part"):
                with suppress(OSError):
                    found = path.stat()
                    yield found.st_mtime, found.st_size, path

    def _remove_leftovers(self, own: Path) -> None:
        """Remove what killed processes left: nobody holds its lock."""
        for path in self.folder.glob("*.part"):
            if path != own:
                with suppress(Timeout, OSError), FileLock(self._lock(path.stem), timeout=0):
                    path.unlink(missing_ok=True)


def fill(part: Path, known: Known, remote: Remote, stopped: Callable[[], bool]) -> None:
    """Write a shard piece by piece.

    Raises:
        LostError: it cannot be had, or its checksum is another one.
        StoppedError: `stopped` became true.

    """
    digest = hashlib.sha256()
    with part.open("r+b") as file:
        for content in remote.pieces(known.file, known.bytes):
            if stopped():
                raise StoppedError
            digest.update(content)
            file.write(content)
    if digest.hexdigest() != known.sha256:
        raise LostError("its checksum (SHA-256) is not that of the index")
