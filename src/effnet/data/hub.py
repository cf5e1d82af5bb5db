"""Data sets of the Hugging Face Hub, by its library: downloaded whole, at one revision, kept as tables.

No code of a data set is run: the library has none that could be, and what it downloads are tables and images.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effnet.data.columns import Column, find_image, find_label, from_feature
from effnet.data.hub_library import (
    check_revision,
    folders_of,
    import_library,
    parse_name,
    pinned,
    translated,
)
from effnet.data.labels import Value, classify, show
from effnet.data.packed import MAX_IMAGE_BYTES
from effnet.data.samples import DataSet, Samples
from effnet.data.scan import EncodedReader
from effnet.data.sources import PARTS, Source, map_splits
from effnet.errors import DataError

OPTIONS = ("image", "label", "revision", *PARTS)


def open_hub(source: Source) -> DataSet:
    """Open a data set of the Hugging Face Hub. Its revision is looked up first, and kept in `source`.

    Raises:
        UsageError: an unknown name, configuration, revision, split or column.
        DataError: no connection (says what to do); no column of images or labels; labels are missing.
        MissingExtraError: `datasets` is not installed.

    """
    source.allow("a data set of the Hub", OPTIONS)
    name = parse_name(source.place)
    load = import_library()
    with translated(name):
        revision = None if name.folder else pinned(name.repo, source.options.get("revision"))
        tables = load(str(name.folder or name.repo), name.config, revision=revision)
    check_revision(tables, revision, name)
    splits = map_splits(tables, source)
    columns = [to_column(column, feature) for column, feature in next(iter(tables.values())).features.items()]
    image, label = find_image(columns, source), find_label(columns, source)
    used = {split: encoded(tables[split], image.name) for of in splits.values() for split in of}
    read = TableReader(used, folders_of(name))
    values = {
        part: [v for split in of for v in column_of(tables[split], label)] for part, of in splits.items()
    }
    where = f"{source.place}, column {label.name!r}"
    labelled = classify(values, where, label.class_names)
    parts = {
        part: Samples(
            tuple(f"{split}/{row:06d}" for split in of for row in range(len(tables[split]))),
            labelled.labels[part],
            read,
        )
        for part, of in splits.items()
    }
    text = source.at(name.text, **({"revision": revision} if revision else {}))
    return DataSet(name.short, labelled.class_names, parts, source=text)


def to_column(name: str, feature: Any) -> Column:
    """Return a column by its feature."""
    kind = type(feature).__name__
    found = from_feature(name, {"_type": kind, "names": getattr(feature, "names", None)})
    if found is not None:
        return found
    if isinstance(feature, Mapping) and is_bytes(feature.get("bytes")):  # images, but nothing says so
        return Column(name, "image", "images")
    dtype = str(getattr(feature, "dtype", kind))
    if dtype.startswith(("int", "uint")):
        return Column(name, "number", "whole numbers")
    if dtype in ("string", "large_string"):
        return Column(name, "text", "text")
    if is_bytes(feature):
        return Column(name, "bytes", "bytes")
    return Column(name, "other", kind if dtype == kind else f"{kind} {dtype}")


def is_bytes(feature: Any) -> bool:
    """Tell whether a feature is one of bytes."""
    return getattr(feature, "dtype", None) in ("binary", "large_binary")


def encoded(table: Any, image: str) -> Any:
    """Return the column of images of a table, not decoded."""
    import datasets

    only = table.select_columns([image])
    if isinstance(table.features[image], datasets.Image):
        only = only.cast_column(image, datasets.Image(decode=False))
    return only.rename_column(image, "image") if image != "image" else only


def column_of(table: Any, label: Column) -> list[Value]:
    """Return the labels of a table."""
    values: list[Value] = table.with_format(None).data.column(label.name).to_pylist()
    return values


@dataclass(frozen=True, eq=False)
class TableReader(EncodedReader):
    """Reads images out of tables, which lie on the disk and are read at any row."""

    tables: Mapping[str, Any]
    """By split; each has one column, `image`."""
    folders: tuple[Path, ...]
    """Where files that a table names may lie: a data set must not make us read others."""

    def content(self, name: str) -> Path | bytes:
        """Return the bytes of an image's file, or the file itself.

        Raises:
            DataError: the row is empty, or larger than is read.

        """
        split, _, row = name.rpartition("/")
        value = self.tables[split][int(row)]["image"]
        content = value.get("bytes") if isinstance(value, Mapping) else value
        if content is None and isinstance(value, Mapping) and value.get("path"):
            return self._file(name, value["path"])
        if content is None:
            raise DataError(f"{name}: there is no image in this row")
        if len(content) > MAX_IMAGE_BYTES:
            raise DataError(f"{name}: {len(content):,} bytes; at most {MAX_IMAGE_BYTES:,} are read")
        return bytes(content)

    def _file(self, name: str, path: str) -> Path:
        """Return the file that a table names."""
        place = Path(path).resolve() if os.path.isfile(path) else None  # a Path raises for some texts
        if place is None or not any(place.is_relative_to(folder) for folder in self.folders):
            raise DataError(
                f"{name}: the image is not in the table, and {show(path)} is no file of the data set"
            )
        return place
