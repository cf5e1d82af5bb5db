"""The table of a shard: of each image its name, place, bytes in the tar file, class and checksum."""

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from effnet.data.labels import show
from effnet.data.packed import MAX_IMAGE_BYTES
from effnet.data.sharded.index import Entry
from effnet.errors import DataError
from effnet.files import tensor_metadata

MAX_NAME_BYTES = 1024  # all names take as many as the longest
END_OF_NAME = b"\0"
KEY = "effnet_table"
PLACE, OFFSET, LENGTH, LABEL, CRC32 = range(5)


@dataclass(frozen=True, eq=False)
class Table:
    """What is known of the images of a shard, in the order in which they lie in it."""

    names: tuple[str, ...]
    """As the data that it was made from calls them."""
    rows: NDArray[np.int64]
    """Of each: its number in its part, from 0; offset and bytes in the tar file; class; CRC-32; `(N, 5)`."""
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
    blob = b"".join(name.encode() + END_OF_NAME for name in table.names)
    about = json.dumps({"skipped": table.skipped, "stop": table.stop, "tar": table.tar})
    return save({"names": np.frombuffer(blob, np.uint8), "rows": table.rows}, {KEY: about})


def from_bytes(content: bytes, where: str) -> Table:
    """Read a table.

    Raises:
        DataError: damaged, or not one of ours.

    """
    try:
        arrays = load(content)
        about = json.loads(tensor_metadata(content)[KEY])
        names = arrays["names"].tobytes().decode(errors="backslashreplace").split(END_OF_NAME.decode())[:-1]
        rows = arrays["rows"]
        if rows.dtype != np.int64 or rows.ndim != 2 or rows.shape[1] != CRC32 + 1:
            raise ValueError("its rows have another form")
        num_bytes, digest = about["tar"]
        skipped = tuple(map(str, about["skipped"]))
        return Table(tuple(names), rows, skipped, int(about["stop"]), (int(num_bytes), str(digest)))
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{where}: not a table of a shard, or damaged: {show(error)}") from error


def check_table(table: Table, entry: Entry, num_classes: int, where: str) -> None:
    """Raise DataError where a table does not fit its shard, so that nothing else is ever read by it."""
    if not len(table.names) == len(table.rows) == entry.images:
        raise DataError(
            f"{where}: {len(table.names):,} names, {len(table.rows):,} rows, and the index says "
            f"{entry.images:,} images"
        )
    strange = next((name for name in table.names if not is_name(name)), None)
    if strange is not None:
        raise DataError(f"{where}: {show(strange)} is no name of an image")
    places, offsets, lengths, labels, checksums = table.rows.T
    right = (offsets >= 0) & (lengths >= 0) & (lengths <= MAX_IMAGE_BYTES) & (offsets <= entry.tar.bytes)
    right &= offsets + lengths <= entry.tar.bytes
    right &= (labels >= 0) & (labels < num_classes) & (places >= 0) & (checksums >= 0) & (checksums < 1 << 32)
    if not right.all():
        row = int(np.flatnonzero(~right)[0])
        raise DataError(
            f"{where}: {show(table.names[row])} cannot be: offset {offsets[row]:,}, {lengths[row]:,} bytes "
            f"of {entry.tar.bytes:,}, class {labels[row]} of {num_classes}, number {places[row]}"
        )


def is_name(name: str) -> bool:
    """Tell whether an image may be called so: text on one line that can be printed."""
    return 0 < len(name.encode()) <= MAX_NAME_BYTES and name.isprintable()


def written_name(name: str) -> str:
    """Return the name by which an image goes into a table: what cannot be printed is escaped."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
