"""Parquet files with a column of encoded images, as Hugging Face writes them.

A parquet file is compressed in groups of rows, so that no image can be read alone. The images are taken out
of it once, as they are, into a file of the cache, and read there by their offset.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from effnet.data.columns import Column, find_image, find_label, from_feature
from effnet.data.download import OnProgress
from effnet.data.filesets import common_root, read_parts
from effnet.data.labels import Value
from effnet.data.packed import MAX_IMAGE_BYTES, Origin, Shard, assemble_shards, cache_place, indexed, stamp_of
from effnet.data.samples import DataSet
from effnet.data.sources import PARTS, Source
from effnet.errors import DataError, EffnetError, MissingExtraError
from effnet.files import write_bytes

OPTIONS = ("image", "label", *PARTS)
ROWS_AT_ONCE = 32
DISK_SHARE = 0.9  # of what is free


def open_parquet(source: Source, files: list[Path], on_progress: OnProgress) -> DataSet:
    """Open parquet files; what they hold is taken out into the cache, unless it is there.

    Raises:
        UsageError: an option that is not for parquet files; an unknown column, or several that may be meant.
        DataError: damaged; no column of images or labels; labels are missing; no room in the cache.
        MissingExtraError: pyarrow is not installed.

    """
    source.allow("a parquet file", OPTIONS)
    root = common_root(source, files)
    columns = columns_of(files[0])
    image, label = find_image(columns, source), find_label(columns, source)

    def read(path: Path) -> Shard:
        check_alike(path, columns_of(path), image, label)
        shard = indexed(path, ("parquet", image.name), partial(pack, path, image))
        return replace(shard, labels=labels_of(path, label.name))

    parts = read_parts(source, files, root=root, read=read, on_progress=on_progress)
    name = files[0].stem if len(files) == 1 else root.name
    origin = Origin(name, root, source.at(str(Path(source.place).absolute())), label.class_names)
    return assemble_shards(parts, origin)


def check_alike(path: Path, columns: list[Column], image: Column, label: Column) -> None:
    """Raise DataError when a file has other columns, or other classes, than the first."""
    for wanted in (image, label):
        if wanted not in columns:
            raise DataError(f"{path}: its column {wanted.name!r} is missing, or not that of the other files")


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a parquet file.

    Raises:
        MissingExtraError: pyarrow is not installed.
        DataError: it is none, or damaged.

    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtraError(
            "reading parquet files needs pyarrow; install it: pip install 'effnet[parquet]'"
        ) from None
    try:
        with path.open("rb") as source, pq.ParquetFile(source, buffer_size=1 << 20, pre_buffer=False) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error) from error


def columns_of(path: Path) -> list[Column]:
    """Return the columns of a parquet file, by its schema and by the metadata of Hugging Face in it."""
    with opened(path) as file:
        schema = file.schema_arrow
        features = features_of((schema.metadata or {}).get(b"huggingface", b"{}"))
        return [from_feature(f.name, features.get(f.name)) or from_arrow(f.name, f.type) for f in schema]


def features_of(text: bytes) -> dict[str, Any]:
    """Return what Hugging Face says of each column; nothing where that cannot be read."""
    try:
        features = json.loads(text)["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def from_arrow(name: str, kind: Any) -> Column:
    """Return a column by its type in arrow."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if (
        pa.types.is_struct(kind)
        and kind.get_field_index("bytes") >= 0
        and is_binary(kind.field("bytes").type)
    ):
        return Column(name, "image", "images")
    if is_binary(kind):
        return Column(name, "bytes", "bytes")
    if pa.types.is_integer(kind):
        return Column(name, "number", "whole numbers")
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return Column(name, "text", "text")
    return Column(name, "other", str(kind)[:60])


def is_binary(kind: Any) -> bool:
    """Tell whether an arrow type is one of bytes."""
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def pack(path: Path, image: Column) -> Shard:
    """Take the images of a parquet file out into the cache; labels are read anew each time.

    Raises:
        DataError: damaged, or an image is larger than is read.
        EffnetError: the cache has no room for them.

    """
    place = cache_place("packed", path, (image.name,), ".bytes")
    with opened(path) as file:
        check_room(place, file, path, image.name)
        lengths: list[int] = []
        write_bytes(place, lambda temporary: lengths.extend(copy_images(file, image.name, path, temporary)))
    offsets = [0]
    for length in lengths[:-1]:
        offsets.append(offsets[-1] + length)
    names = tuple(f"{row:06d}" for row in range(len(lengths)))
    unknown = (None,) * len(lengths)
    return Shard(
        place.resolve(), stamp_of(place), names, tuple(offsets[: len(lengths)]), tuple(lengths), unknown
    )


def check_room(place: Path, file: Any, path: Path, image: str) -> None:
    """Raise EffnetError when the disk of the cache cannot hold the images of a file."""
    groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
    chunks = [group.column(index) for group in groups for index in range(group.num_columns)]
    needed = sum(c.total_uncompressed_size for c in chunks if c.path_in_schema.split(".")[0] == image)
    place.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(place.parent).free
    if needed > DISK_SHARE * free:
        raise EffnetError(
            f"the images of {path} are taken out of it into {place.parent}: that needs "
            f"{needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free; set $EFFNET_CACHE to a folder with "
            f"more room"
        )


def copy_images(file: Any, image: str, path: Path, target: Path) -> list[int]:
    """Write the bytes of all images of a parquet file one behind the other; return how many each has."""
    lengths = []
    with target.open("wb") as out:
        for row, content in enumerate(contents(file, image, path)):
            if len(content) > MAX_IMAGE_BYTES:
                raise DataError(
                    f"{path}: the image of row {row} has {len(content):,} bytes; at most {MAX_IMAGE_BYTES:,} "
                    f"are read"
                )
            out.write(content)
            lengths.append(len(content))
    return lengths


def contents(file: Any, image: str, path: Path) -> Iterator[memoryview]:
    """Yield the bytes of each image; none where a row has no image.

    Raises:
        DataError: the file is damaged; said here, since its errors look like those of the file we write.

    """
    import pyarrow as pa

    try:
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=[image]):
            column = batch.column(0)
            values = column.field("bytes") if pa.types.is_struct(column.type) else column
            for value in values:
                yield memoryview(value.as_buffer() if value.is_valid else b"")
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> DataError:
    """Return the error for a file that pyarrow cannot read."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return DataError(f"{path}: not a parquet file, or damaged: {first}")


def labels_of(path: Path, label: str) -> tuple[Value, ...]:
    """Return the labels of all rows."""
    with opened(path) as file:
        return tuple(file.read(columns=[label]).column(0).to_pylist())
