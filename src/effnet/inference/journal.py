"""The rows of a run as they come, in a file that survives whatever ends the process.

It lies beside the file that was asked for and has its name with `.partial` behind: a line of JSON that says
of which run it is, then a line of JSON for each row. What follows the last whole line is half a row, which
was being written when the process was killed; it is cut off, and its image has no row yet.
"""

import errno
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.errors import EffnetError, UsageError, some
from effnet.files import check_folder
from effnet.inference.rows import ERROR, IMAGE, Row, plain, to_line

_MARK = "effnet_predictions"
_VERSION = 1
_START = f'{{"{_MARK}": '.encode()
_DIGEST_BYTES = 16  # of a name; a million names take 16 MB


class Journal:
    """The rows of a run so far; made by `open_journal`."""

    def __init__(self, path: Path, file: FileIO) -> None:
        """Read what is there; the first line says of which run it is."""
        self.path = path
        self._file = file
        self.num_rows, self.num_errors = 0, 0
        self._done = self._read()
        """Digests of the images that have a row, sorted; rows that are added now are not among them."""

    def __contains__(self, name: str) -> bool:
        """Tell whether an image had a row when the journal was opened."""
        key = np.array(_digest(plain(name)), self._done.dtype)
        place = int(np.searchsorted(self._done, key))
        return place < len(self._done) and bool(self._done[place] == key)

    def add(self, rows: Iterable[Row]) -> None:
        """Write rows down; when this returns, the death of the process does not lose them.

        Raises:
            EffnetError: the disk is full.

        """
        added = list(rows)
        with _writing(self.path, "; rows written so far are kept, and the same command goes on after them"):
            _write(self._file, b"".join(map(to_line, added)))
        self._count(added)

    def lines(self) -> Iterator[bytes]:
        """Yield the rows, each as a line of JSON."""
        with self.path.open("rb") as file:
            next(file)
            yield from file

    def remove(self) -> None:
        """Remove the file: its rows are safe elsewhere."""
        if sys.platform == "win32":  # where no open file can be removed; and there is no lock to hold
            self._file.close()
        self.path.unlink()

    def _read(self) -> NDArray[Any]:
        """Return the digests of the names; cut off half a row at the end.

        Raises:
            EffnetError: a line is no row.

        """
        digests, end = bytearray(), 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                end += len(line)
                if number > 1:
                    row = self._row(line, number)
                    digests += _digest(row[IMAGE])
                    self._count([row])
        self._file.truncate(end)
        self._file.seek(end)
        return np.sort(np.frombuffer(digests, f"S{_DIGEST_BYTES}"))

    def _row(self, line: bytes, number: int) -> Row:
        try:
            row = json.loads(line)
            if not {IMAGE, ERROR} <= row.keys():
                raise ValueError("no row")
        except (ValueError, AttributeError, RecursionError):
            raise EffnetError(
                f"{self.path}: line {number} is damaged; remove it, and its image is read again, or "
                f"--overwrite to start anew"
            ) from None
        checked: Row = row
        return checked

    def _count(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.num_rows += 1
            self.num_errors += row[ERROR] is not None


@contextmanager
def open_journal(path: Path, run: Mapping[str, Any], *, anew: bool) -> Iterator[Journal]:
    """Open the journal of a run, which is one line if the run begins now; nobody else may have it open.

    Args:
        path: the journal's file, which stays afterwards.
        run: what may not change between the beginning of a run and its end, as JSON values by what they are.
        anew: forget what was there.

    Raises:
        EffnetError: it cannot be written, is damaged, or another process writes to it.
        UsageError: it is the journal of another run, or no journal.

    """
    check_folder(path.parent)
    with _writing(path):
        file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+")
    with file:
        _lock(path, file)
        first = file.readline()
        if not (first.startswith(_START) or _START.startswith(first)):
            raise UsageError(f"{path} is there, and holds no unfinished predictions; move it away")
        if anew or not first.endswith(b"\n"):
            with _writing(path):
                file.truncate(0)
                file.seek(0)
                _write(file, to_line({_MARK: _VERSION, **run}))
        else:
            _check_run(path, first, run)
        yield Journal(path, file)


def _check_run(path: Path, first: bytes, run: Mapping[str, Any]) -> None:
    """Check that a journal is that of a run."""
    try:
        begun = json.loads(first)
    except (ValueError, RecursionError):
        raise UsageError(f"{path}: its first line is damaged; --overwrite to start anew") from None
    if begun.get(_MARK) != _VERSION:
        raise UsageError(f"{path} was begun by another version of effnet; --overwrite to start anew")
    for key, value in run.items():
        if begun.get(key) != value:
            raise UsageError(
                f"{path} was begun with {key} = {_shown(begun.get(key))}, now it is {_shown(value)}; go on "
                f"as it was begun, choose another --out, or --overwrite to start anew"
            )


def _shown(value: Any) -> str:
    return some(map(str, value), limit=3) if isinstance(value, list) else str(value)


def _lock(path: Path, file: FileIO) -> None:
    """Keep other processes away until the file is closed; some file systems cannot."""
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise EffnetError(f"another process is writing to {path}; wait, or choose another --out") from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):  # no locks on this file system
            raise
    if os.fstat(file.fileno()).st_nlink == 0:
        raise EffnetError(f"another process has just finished with {path}; start again")


def _digest(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=_DIGEST_BYTES).digest()


def _write(file: FileIO, data: bytes) -> None:
    """Write all of it; the system may take less at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


@contextmanager
def _writing(path: Path, comfort: str = "") -> Iterator[None]:
    """Name the file that cannot be written."""
    try:
        yield
    except OSError as error:
        raise EffnetError(f"cannot write {path}: {error.strerror or error}{comfort}") from error
