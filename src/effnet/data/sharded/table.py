"""The table of a shard: of each image its name, place, bytes in the tar file, class and checksum."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from effnet.data.labels import show
from effnet.data.packed import MAX_IMAGE_BYTES
from effnet.data.sharded.index import Entry
from effnet.errors import DataError

MAX_NAME_BYTES = 4096
END_OF_NAME = b"\0"
COLUMNS = ("places", "offsets", "lengths", "labels", "crc32")


@dataclass(frozen=True, eq=False)
class Table:
    """What is known of the images of a shard, in the order in which they lie in it; all arrays are `(N,)`."""

    names: tuple[str, ...]
    """As the data that it was made from calls them."""
    places: NDArray[np.int64]
    """Number of each in its part, as it stood there: 0 for the first."""
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    labels: NDArray[np.int64]
    crc32: NDArray[np.int64]
    skipped: tuple[str, ...] = ()
    """Images that were passed over: name and reason."""
    stop: int = 0
    """How many images of the part had been dealt with, in the order of writing, when this shard was full."""
    tar: tuple[int, str] = (0, "")
    """Bytes and SHA-256 of the shard."""

    def __len__(self) -> int:
        return len(self.names)


def to_bytes(table: Table) -> bytes:
    """Return the content of the file, in safetensors format: the same table gives the same bytes."""
    blob = b"".join(name.encode(errors="surrogateescape") + END_OF_NAME for name in table.names)
    arrays: dict[str, NDArray[Any]] = {name: getattr(table, name) for name in COLUMNS}
    arrays["names"] = np.frombuffer(blob, np.uint8)
    about = json.dumps({"skipped": table.skipped, "stop": table.stop, "tar": table.tar})
    return save(arrays, {"effnet_table": about})


def from_bytes(content: bytes, where: str) -> Table:
    """Read a table.

    Raises:
        DataError: damaged, or not one of ours.

    """
    try:
        arrays = load(content)
        size = int.from_bytes(content[:8], "little")
        about = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["effnet_table"])
        names = arrays["names"].tobytes().decode(errors="surrogateescape").split(END_OF_NAME.decode())[:-1]
        columns = {name: as_numbers(arrays[name]) for name in COLUMNS}
        num_bytes, digest = about["tar"]
        rest = {"skipped": tuple(about["skipped"]), "stop": int(about["stop"])}
        return Table(tuple(names), **columns, **rest, tar=(int(num_bytes), str(digest)))
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{where}: not a table of a shard, or damaged: {show(error)}") from error


def as_numbers(array: NDArray[Any]) -> NDArray[np.int64]:
    """Return a column as whole numbers."""
    if array.ndim != 1 or array.dtype != np.int64:
        raise ValueError("a column has another form")
    return array


def check_table(table: Table, entry: Entry, num_classes: int, where: str) -> None:
    """Raise DataError where a table does not fit its shard, so that nothing else is ever read by it."""
    found = {len(getattr(table, name)) for name in ("names", *COLUMNS)}
    if found != {entry.images}:
        raise DataError(f"{where}: {some_counts(found)} rows, and the index says {entry.images:,} images")
    strange = next((name for name in table.names if not is_name(name)), None)
    if strange is not None:
        raise DataError(f"{where}: {show(strange)} is no name of an image")
    ends = table.offsets + table.lengths
    right = (table.offsets >= 0) & (table.lengths >= 0) & (table.lengths <= MAX_IMAGE_BYTES)
    right &= (table.offsets <= entry.tar.bytes) & (ends <= entry.tar.bytes)
    right &= (table.labels >= 0) & (table.labels < num_classes) & (table.places >= 0)
    right &= (table.crc32 >= 0) & (table.crc32 < 1 << 32)
    if not right.all():
        row = int(np.flatnonzero(~right)[0])
        raise DataError(
            f"{where}: {show(table.names[row])} cannot be: offset {table.offsets[row]}, {table.lengths[row]} "
            f"bytes of {entry.tar.bytes:,}, class {table.labels[row]} of {num_classes}"
        )


def is_name(name: str) -> bool:
    """Tell whether an image may be called so: text on one line that can be printed."""
    return 0 < len(name.encode(errors="surrogateescape")) <= MAX_NAME_BYTES and name.isprintable()


def written_name(name: str) -> str:
    """Return the name by which an image goes into a table: what cannot be printed is escaped."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def some_counts(counts: Sequence[int] | set[int]) -> str:
    """List numbers of rows."""
    return ", ".join(f"{count:,}" for count in sorted(counts))
