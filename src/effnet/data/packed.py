"""Images that lie in larger files and are read at their place there: shards, and what parquet files held."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.data.labels import Value, classify
from effnet.data.samples import DataSet, Samples
from effnet.data.scan import EncodedReader, Files
from effnet.errors import DataError, EffnetError, UsageError
from effnet.files import cache_folder, read_marked, write_text

MAX_IMAGE_BYTES = 1 << 28  # a file of one image; more is damage, or an attack on the memory
MAX_NAME_BYTES = 255
MARK = {"effnet_index": 1}

Stamp = tuple[int, int]
"""Bytes and time of the last change in nanoseconds."""


@dataclass(frozen=True)
class Shard:
    """A file that holds images, and what is known of each."""

    path: Path
    stamp: Stamp
    names: tuple[str, ...]
    """Unique within the shard."""
    offsets: tuple[int, ...]
    lengths: tuple[int, ...]
    labels: tuple[Value, ...]

    def is_whole(self) -> bool:
        """Tell whether all images lie within the file, and each has all that is known of it."""
        counts = {len(self.names), len(self.offsets), len(self.lengths), len(self.labels)}
        spans = zip(self.offsets, self.lengths, strict=False)
        return len(counts) == 1 and all(o >= 0 and n >= 0 and o + n <= self.stamp[0] for o, n in spans)


def stamp_of(path: Path) -> Stamp:
    """Return size and time of a file.

    Raises:
        DataError: it is not there.

    """
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    return found.st_size, found.st_mtime_ns


@dataclass(frozen=True, eq=False)
class PackedReader(EncodedReader):
    """Reads images out of shards: each by its offset, so in any order.

    All is kept in a few arrays, which processes share: a dictionary of a million names would be copied into
    each worker bit by bit.
    """

    paths: tuple[Path, ...]
    stamps: tuple[Stamp, ...]
    names: NDArray[np.bytes_]
    """Names of all images, sorted, `(N,)`."""
    places: NDArray[np.int64]
    """Of each: which path, offset, number of bytes; `(N, 3)`."""

    def content(self, name: str) -> bytes:
        """Return the bytes of an image's file.

        Raises:
            DataError: the shard is gone, has changed, or says that the image is larger than is read.

        """
        index, offset, length = self.places[row_of(name, self.names)].tolist()
        path = self.paths[index]
        if length > MAX_IMAGE_BYTES:
            raise DataError(f"{name}: {length:,} bytes; at most {MAX_IMAGE_BYTES:,} are read")
        if stamp_of(path) != self.stamps[index]:
            raise DataError(f"{name}: {path} has changed since the start")
        try:
            with path.open("rb", buffering=0) as file:
                file.seek(offset)
                content = file.read(length)
        except OSError as error:
            raise DataError(f"{name}: cannot read {path}: {error.strerror}") from error
        return content or b""


def row_of(name: str, names: NDArray[np.bytes_]) -> int:
    """Return where an image stands among all names, sorted, `(N,)`.

    Raises:
        DataError: none is called so.

    """
    encoded = name.encode(errors="surrogateescape")
    row = int(np.searchsorted(names, np.bytes_(encoded)))
    if row == len(names) or names[row] != encoded:
        raise DataError(f"{name}: no such image")
    return row


def build_reader(shards: Mapping[str, Shard]) -> PackedReader:
    """Make a reader of shards; the name of an image is that of its shard, a slash, and its own.

    Raises:
        DataError: a name is too long.

    """
    names: list[bytes] = []
    places: list[NDArray[np.int64]] = []
    for index, (called, shard) in enumerate(shards.items()):
        names += [f"{called}/{name}".encode(errors="surrogateescape") for name in shard.names]
        count = len(shard.names)
        places.append(np.array([[index] * count, shard.offsets, shard.lengths], np.int64).reshape(3, count))
    longest = max(names, key=len, default=b"")
    if len(longest) > MAX_NAME_BYTES:
        raise DataError(
            f"{longest[:60].decode(errors='replace')}…: a name of {len(longest)} bytes is too long"
        )
    array = np.array(names, dtype=f"S{max(1, len(longest))}")
    order = np.argsort(array, kind="stable")
    return PackedReader(
        tuple(shard.path for shard in shards.values()),
        tuple(shard.stamp for shard in shards.values()),
        array[order],
        np.ascontiguousarray(np.concatenate(places, axis=1).T[order]),
    )


@dataclass(frozen=True)
class Origin:
    """Where shards come from, for the data set made of them."""

    name: str
    root: Path
    source: str
    class_names: Sequence[str] | None = None


def assemble_shards(parts: Mapping[str, Mapping[str, Shard]], origin: Origin) -> DataSet:
    """Make a data set of the shards of each part.

    Raises:
        DataError: labels are missing or do not fit together.

    """
    labels = {
        part: one_type([label for shard in of.values() for label in shard.labels])
        for part, of in parts.items()
    }
    labelled = classify(labels, str(origin.root), origin.class_names)
    read = build_reader({called: shard for of in parts.values() for called, shard in of.items()})
    samples = {}
    for part, of in parts.items():
        names = tuple(f"{called}/{name}" for called, shard in of.items() for name in shard.names)
        stamps = [shard.stamp for shard in of.values() for _ in shard.names]
        files = Files(origin.root, np.array(stamps, np.int64).reshape(-1, 2), single=False)
        samples[part] = Samples(names, labelled.labels[part], read, files)
    return DataSet(origin.name, labelled.class_names, samples, source=origin.source)


def one_type(labels: list[Value]) -> list[Value]:
    """Return labels as text where numbers and text are mixed."""
    if {type(label) for label in labels} >= {int, str}:
        return [None if label is None else str(label) for label in labels]
    return labels


def indexed(path: Path, key: Sequence[str], build: Callable[[], Shard]) -> Shard:
    """Return the index of a shard: what the cache has for this file, size and time, else a new one.

    Args:
        path: the file that was given, which decides whether the index still holds.
        key: what else decides what is in the index.
        build: makes it; the shard may lie elsewhere.

    """
    place = cache_place("index", path, key, ".json")
    stamp = list(stamp_of(path))
    found = load_index(place, stamp)
    if found is not None:
        return found
    with locked(place):
        found = load_index(place, stamp)  # another process may have made it meanwhile
        return build_index(place, stamp, build) if found is None else found


def build_index(place: Path, stamp: list[int], build: Callable[[], Shard]) -> Shard:
    """Make an index and keep it; where the cache cannot be written to, it is made again next time."""
    shard = build()
    text = json.dumps({**MARK, "of": stamp, "path": str(shard.path), **arrays(shard)})
    with suppress(EffnetError):
        write_text(place, text)
    return shard


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Let one process make what belongs to `place`; without a cache that can be written to, any."""
    from filelock import FileLock

    lock = FileLock(f"{place}.lock")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError:
        yield
        return
    try:
        yield
    finally:
        lock.release()


def arrays(shard: Shard) -> dict[str, Any]:
    """Return all but the path of a shard as JSON."""
    return {name: value for name, value in vars(shard).items() if name != "path"}


def load_index(place: Path, stamp: list[int]) -> Shard | None:
    """Read an index; None where there is none that holds."""
    try:
        data = read_marked(place, MARK, kinds=("an index", "an index of effnet"), remedy="")
    except UsageError:
        return None
    try:
        names, offsets, lengths, labels = (tuple(data[k]) for k in ("names", "offsets", "lengths", "labels"))
        shard = Shard(Path(data["path"]), tuple(data["stamp"]), names, offsets, lengths, labels)
        if data["of"] == stamp and stamp_of(shard.path) == shard.stamp and shard.is_whole():
            return shard
    except (KeyError, TypeError, DataError):  # damaged, or what it points to is gone
        return None
    return None


def cache_place(kind: str, path: Path, key: Sequence[str], suffix: str) -> Path:
    """Return where the cache keeps what was made of a file."""
    digest = hashlib.sha256(json.dumps([str(path.resolve()), *key]).encode()).hexdigest()
    return cache_folder() / kind / f"{digest[:32]}{suffix}"
