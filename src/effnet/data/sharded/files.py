"""Index and tables of a set, from a folder or a store; tables of a store are kept on this machine."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from effnet.data.sharded.folder import read_bounded
from effnet.data.sharded.index import INDEX_FILE, MAX_INDEX_BYTES, Entry, Known, digest_of_bytes
from effnet.data.sharded.remote import PIECE, FinalError, LostError, Remote
from effnet.data.sharded.table import Table, check_table, from_bytes
from effnet.errors import DataError, EffnetError
from effnet.files import cache_folder, write_content


@dataclass(frozen=True)
class SetFiles:
    """How the files of a set are had. All functions raise DataError with the name of the file."""

    where: str
    """Folder or URL."""
    index: Callable[[], bytes]
    table: Callable[[Known], bytes]
    """Returns the bytes of a table; whether they are the right ones is not looked at."""
    digest: Callable[[Known, Callable[[int], None]], str]
    """Reads a whole shard; returns its SHA-256, and tells of the bytes read."""


def local_files(root: Path) -> SetFiles:
    """Return the files of a set in a folder."""

    def table(known: Known) -> bytes:
        path = root / known.file
        if not path.resolve().is_relative_to(root):
            raise DataError(f"{path} is a link that leads out of the folder; it is not read")
        return read_bounded(path, known.bytes)

    def digest(known: Known, on_read: Callable[[int], None]) -> str:
        found = hashlib.sha256()
        path = root / known.file
        try:
            with path.open("rb") as file:
                while content := file.read(PIECE):
                    found.update(content)
                    on_read(len(content))
        except OSError as error:
            raise DataError(f"shard {path} cannot be read: {error.strerror}") from error
        return found.hexdigest()

    return SetFiles(str(root), lambda: read_bounded(root / INDEX_FILE), table, digest)


def remote_files(remote: Remote) -> SetFiles:
    """Return the files of a set in a store."""

    def index() -> bytes:
        try:
            return remote.whole(INDEX_FILE, MAX_INDEX_BYTES)
        except FinalError as error:
            raise DataError(
                f"{remote.url}/{INDEX_FILE}: {error}; shards at a URL are read by the index that effnet "
                f"shard writes; those of others bring to a disk first"
            ) from error
        except LostError as error:
            raise DataError(f"{remote.url}/{INDEX_FILE} cannot be read: {error}") from error

    def table(known: Known) -> bytes:
        place = cache_folder() / "index" / f"{known.sha256}.index"
        with suppress(OSError):
            content = place.read_bytes()
            if digest_of_bytes(content) == known.sha256:
                return content
        try:
            content = remote.whole(known.file, known.bytes)
        except LostError as error:
            raise DataError(f"{remote.url}/{known.file} cannot be read: {error}") from error
        if digest_of_bytes(content) == known.sha256:
            with suppress(EffnetError):  # without a cache it is fetched again next time
                write_content(place, content)
        return content

    def digest(known: Known, on_read: Callable[[int], None]) -> str:
        found = hashlib.sha256()
        try:
            for content in remote.pieces(known.file, known.bytes):
                found.update(content)
                on_read(len(content))
        except LostError as error:
            raise DataError(f"shard {remote.url}/{known.file} cannot be read: {error}") from error
        return found.hexdigest()

    return SetFiles(remote.url, index, table, digest)


def read_table(entry: Entry, num_classes: int, files: SetFiles) -> Table:
    """Return the table of a shard, checked.

    Raises:
        DataError: it cannot be read, is another one than the index knows, or does not fit its shard.

    """
    where = f"{files.where}/{entry.table.file}"
    content = files.table(entry.table)
    if len(content) != entry.table.bytes or digest_of_bytes(content) != entry.table.sha256:
        raise DataError(f"{where}: damaged, or another one: its checksum is not that of the index")
    table = from_bytes(content, where)
    check_table(table, entry, num_classes, where)
    return table
