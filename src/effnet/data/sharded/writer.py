"""Shards as they are written: tar files whose bytes follow from their images alone."""

import hashlib
import os
import tarfile
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from effnet.data.sharded.index import Entry, Known, digest_of_bytes
from effnet.data.sharded.pieces import Piece
from effnet.data.sharded.table import Table, to_bytes, written_name
from effnet.errors import EffnetError
from effnet.files import write_content

TAR, TABLE, UNFINISHED = ".tar", ".index", ".part"
RECORD = tarfile.RECORDSIZE


@dataclass(frozen=True)
class Labelled:
    """An image that goes into a shard."""

    name: str
    place: int
    """Its number in its part."""
    label: int
    piece: Piece


@dataclass
class Columns:
    """The table of a shard as it grows."""

    names: list[str] = field(default_factory=list)
    rows: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    """Place, offset, length, label, CRC-32."""

    def table(self, skipped: list[str], stop: int, tar: tuple[int, str]) -> Table:
        """Return it as a value."""
        return Table(tuple(self.names), np.array(self.rows, np.int64), tuple(skipped), stop, tar)


class ShardWriter:
    """One shard on its way. It gets its name when it is whole; a table beside it says that it is."""

    def __init__(self, folder: Path, stem: str) -> None:
        self.tar = folder / f"{stem}{TAR}"
        self.table = folder / f"{stem}{TABLE}"
        self.part = folder / f".{stem}{TAR}{UNFINISHED}"
        self.columns = Columns()
        self.size = 0
        self._digest = hashlib.sha256()
        self._file = self.part.open("wb")

    def __len__(self) -> int:
        return len(self.columns.names)

    def size_with(self, piece: Piece) -> int:
        """Return how large the shard would be in the end with this image, too."""
        headers, label = 2 * tarfile.BLOCKSIZE, tarfile.BLOCKSIZE
        return ended(self.size + headers + label + blocks(len(piece.content)))

    def add(self, image: Labelled) -> None:
        """Append an image and its class; the number of the image in its part is their key."""
        key = f"{image.place:09d}"
        offset = self._member(f"{key}.{image.piece.extension}", image.piece.content)
        self._member(f"{key}.cls", str(image.label).encode())
        content = image.piece.content
        self.columns.names.append(written_name(image.name))
        self.columns.rows.append((image.place, offset, len(content), image.label, zlib.crc32(content)))

    def _member(self, name: str, content: bytes) -> int:
        """Append a file; return where its content begins. Nothing but name and content makes a difference."""
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = len(content), 0o644, 0
        self._write(info.tobuf(tarfile.USTAR_FORMAT))
        offset = self.size
        self._write(content.ljust(blocks(len(content)), b"\0"))
        return offset

    def _write(self, content: bytes) -> None:
        self._file.write(content)
        self._digest.update(content)
        self.size += len(content)

    def finish(self, skipped: list[str], stop: int) -> Entry:
        """End the shard and bring it to the disk, first itself, then its table."""
        self._write(bytes(ended(self.size) - self.size))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self.part.replace(self.tar)
        tar = Known(self.tar.name, self.size, self._digest.hexdigest())
        content = to_bytes(self.columns.table(skipped, stop, (tar.bytes, tar.sha256)))
        write_content(self.table, content)
        return Entry(tar, Known(self.table.name, len(content), digest_of_bytes(content)), len(self))

    def abandon(self) -> None:
        """Leave nothing of a shard that is not whole."""
        with suppress(OSError):  # what a full disk did not take
            self._file.close()
        self.part.unlink(missing_ok=True)


def blocks(size: int) -> int:
    """Return the bytes that so many bytes of a member take."""
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def ended(size: int) -> int:
    """Return the bytes of a tar file whose members take so many: two empty blocks, up to a whole record."""
    return -(-(size + 2 * tarfile.BLOCKSIZE) // RECORD) * RECORD


def stem(part: str, number: int) -> str:
    """Return the name of a shard without its suffix."""
    return f"{part}-{number:06d}"


def disk_error(path: Path, error: OSError) -> EffnetError:
    """Return what to say when shards cannot be written."""
    return EffnetError(
        f"cannot write {path}: {error.strerror or error}; shards that are whole are kept, and the same "
        f"command goes on after them"
    )
