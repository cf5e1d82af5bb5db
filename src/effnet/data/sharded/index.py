"""The index of a set of shards: which there are, and what shows that each is the one that was written."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from effnet.data.labels import check_classes, show
from effnet.errors import DataError, key_of

INDEX_FILE = "index.json"
MARK, VERSION = "effnet_shards", 1
MAX_INDEX_BYTES = 64 << 20  # that of 100,000 shards has half of it
MAX_TABLE_BYTES = 256 << 20  # of one shard: some millions of images
MAX_TABLES_BYTES = 16 << 30  # of all together
MAX_SHARD_BYTES = 1 << 40
MAX_SHARDS = 100_000
MAX_IMAGES = 100_000_000  # of one shard

_STRICT = ConfigDict(extra="ignore", strict=True)

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$")]
"""A file beside the index. It becomes part of a path: no slash, no leading point, nothing that is no name."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
PartName = Literal["all", "train", "val", "test"]


@dataclass(frozen=True, config=_STRICT)
class Known:
    """A file as the index knows it."""

    file: FileName
    bytes: Annotated[int, Field(ge=0, le=MAX_SHARD_BYTES)]
    sha256: Digest


@dataclass(frozen=True, config=_STRICT)
class Entry:
    """A shard, and the table of what is in it."""

    tar: Known
    table: Known
    images: Annotated[int, Field(ge=1, le=MAX_IMAGES)]


@dataclass(frozen=True, config=_STRICT)
class Index:
    """A whole set."""

    class_names: tuple[str, ...]
    parts: dict[PartName, tuple[Entry, ...]]
    made: dict[str, Any]
    """From what, and with which settings."""
    skipped: tuple[str, ...] = ()
    """Images that could not be read: name and reason."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All shards."""
        return tuple(entry for of in self.parts.values() for entry in of)

    @property
    def num_images(self) -> int:
        """Images in all shards."""
        return sum(entry.images for entry in self.entries)

    @property
    def num_bytes(self) -> int:
        """Bytes of all shards."""
        return sum(entry.tar.bytes for entry in self.entries)

    def to_json(self) -> str:
        """Return the text of the file."""
        content = {MARK: VERSION, **asdict(self)}
        return json.dumps(content, indent=1, ensure_ascii=True) + "\n"


_ADAPTER = TypeAdapter(Index)


def digest_of_bytes(content: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def is_index(content: bytes) -> bool:
    """Tell whether a text begins as an index of ours does."""
    return content[:200].lstrip().removeprefix(b"{").lstrip().startswith(f'"{MARK}"'.encode())


def parse_index(content: bytes, where: str) -> Index:
    """Read an index; all that is in it is checked before it is used.

    Raises:
        DataError: of another version, damaged, or with names that are none of files beside it.

    """
    if len(content) > MAX_INDEX_BYTES:
        raise DataError(f"{where}: larger than {MAX_INDEX_BYTES:,} bytes; that is no index of shards")
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not an index of shards: {error}") from error
    if not isinstance(data, dict) or MARK not in data:
        raise DataError(f"{where}: not an index of shards that effnet wrote")
    if data[MARK] != VERSION:
        raise DataError(
            f"{where}: version {show(data[MARK])} of the index; this effnet reads version {VERSION}: take "
            f"one that fits, or write the shards again"
        )
    try:
        index = _ADAPTER.validate_json(content)
    except ValidationError as error:
        raise DataError(f"{where}: {why_not(error.errors()[0])}") from None
    check(index, where)
    return index


def why_not(problem: Mapping[str, Any]) -> str:
    """Say which key of an index has which value that cannot be; what cannot be printed is escaped."""
    key = key_of(problem)
    rule = "must be the name of a file beside the index" if key.endswith(".file") else problem["msg"].lower()
    return f"{key if key.isprintable() else show(key)} = {show(problem['input'])}: {rule}"


def check(index: Index, where: str) -> None:
    """Raise DataError for what no single value shows."""
    check_classes(index.class_names, None, where)
    if len(set(index.class_names)) < len(index.class_names):
        raise DataError(f"{where}: two classes have the same name")
    entries = index.entries
    files = [known.file for entry in entries for known in (entry.tar, entry.table)]
    if not entries or len(entries) > MAX_SHARDS:
        raise DataError(f"{where}: {len(entries):,} shards; there must be 1 to {MAX_SHARDS:,}")
    if len(set(files)) < len(files):
        raise DataError(f"{where}: a file is listed twice")
    check_sizes([entry.table for entry in entries], where)


def check_sizes(tables: Sequence[Known], where: str) -> None:
    """Raise DataError where the tables would fill the memory."""
    largest, total = max(table.bytes for table in tables), sum(table.bytes for table in tables)
    if largest > MAX_TABLE_BYTES or total > MAX_TABLES_BYTES:
        raise DataError(
            f"{where}: tables of {largest:,} bytes, {total:,} together; at most {MAX_TABLE_BYTES:,} and "
            f"{MAX_TABLES_BYTES:,} are read"
        )
