"""A folder of shards between two starts: what it holds, and whether that belongs to what is asked for."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from effnet.data.samples import DataSet
from effnet.data.sharded.index import (
    INDEX_FILE,
    MAX_INDEX_BYTES,
    Entry,
    Index,
    Known,
    digest_of_bytes,
    parse_index,
)
from effnet.data.sharded.table import Table, from_bytes
from effnet.data.sharded.writer import TABLE, TAR, disk_error, stem
from effnet.errors import DataError, EffnetError, UsageError
from effnet.files import write_text

PLAN_FILE = "unfinished.json"
OURS = re.compile(r"\.?(all|train|val|test)-\d{6}\.(tar|index|tar\.part)|index\.json|unfinished\.json")


def begin(folder: Path, plan: Mapping[str, Any]) -> Index | None:
    """Return the set in a folder if it is the one that is planned and whole; else note what is planned.

    Raises:
        UsageError: the folder holds another set, or one that was begun otherwise.

    """
    path = folder / INDEX_FILE
    if path.exists():
        index = parse_index(read_bounded(path), str(path))
        if index.made != plan:
            raise UsageError(
                f"{folder} holds another set ({difference(index.made, plan)}); choose another --out, or "
                f"--overwrite to replace it"
            )
        return index
    begun = folder / PLAN_FILE
    if begun.exists():
        before = read_plan(begun)
        if before != plan:
            raise UsageError(
                f"{folder} holds an unfinished set ({difference(before, plan)}); go on with the same data "
                f"and settings, choose another --out, or --overwrite to start anew"
            )
    elif any(OURS.fullmatch(path.name) for path in folder.iterdir()):
        raise UsageError(f"{folder} holds shards of unknown origin; choose another --out, or --overwrite")
    write_text(begun, json.dumps(plan, indent=1) + "\n")
    return None


def read_plan(path: Path) -> Any:
    """Return what was planned; None where the file cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None


def difference(before: Any, plan: Mapping[str, Any]) -> str:
    """Say in which settings two plans differ."""
    if not isinstance(before, dict):
        return "its plan is damaged"
    keys = [key for key in plan if before.get(key) != plan[key]]
    shown = [
        key if key in ("fingerprint", "images") else f"{key} {before.get(key)!r}, not {plan[key]!r}"
        for key in keys
    ]
    return f"it differs in {'; '.join(shown)}"


def written(folder: Path, part: str) -> Iterator[tuple[Entry, Table]]:
    """Yield the shards of a part that are whole, in order, up to the first that is not."""
    number = 0
    while True:
        tar, path = (folder / f"{stem(part, number)}{suffix}" for suffix in (TAR, TABLE))
        try:
            content = path.read_bytes()
            size = tar.stat().st_size
        except FileNotFoundError:
            return
        try:
            table = from_bytes(content, str(path))
        except DataError:  # written again
            return
        if table.tar[0] != size:
            return
        known = Known(path.name, len(content), digest_of_bytes(content))
        yield Entry(Known(tar.name, size, table.tar[1]), known, len(table)), table
        number += 1


def clear(folder: Path, keep: Index | None = None) -> None:
    """Remove what a set has left in a folder, but for the files of one that is whole.

    Raises:
        EffnetError: a file cannot be removed.

    """
    kept = {INDEX_FILE} if keep is not None else set()
    for entry in keep.entries if keep is not None else ():
        kept |= {entry.tar.file, entry.table.file}
    try:
        # The index goes first: without it nothing in the folder counts as whole.
        for path in sorted(folder.iterdir(), key=lambda path: path.name != INDEX_FILE):
            if OURS.fullmatch(path.name) and path.name not in kept:
                path.unlink()
    except OSError as error:
        raise EffnetError(f"cannot remove {error.filename}: {error.strerror}") from error


def read_bounded(path: Path, limit: int = MAX_INDEX_BYTES) -> bytes:
    """Read a file, at most one byte more than it may have.

    Raises:
        DataError: it cannot be read.

    """
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def outside(dataset: DataSet, folder: Path) -> Path:
    """Return the folder, if shards can go there.

    Raises:
        UsageError: it lies inside the data.

    """
    root = Path(dataset.source)
    if root.is_absolute() and root.is_dir() and folder.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"{folder} lies inside the data {root}; choose another --out")
    return folder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process write to a folder.

    Raises:
        EffnetError: another one does, or the folder cannot be written to.

    """
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise EffnetError(f"another effnet shard writes to {folder}; wait, or choose another --out") from None
    except OSError as error:
        raise disk_error(folder, error) from error
    try:
        yield
    finally:
        lock.release()
