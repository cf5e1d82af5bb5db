"""A CSV file as a data set: a path, a label and perhaps a split in each line."""

import csv
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np

from effnet.data.labels import classify, show
from effnet.data.samples import DataSet, Samples
from effnet.data.scan import FileReader, Files
from effnet.data.sources import PARTS, Source, map_splits
from effnet.errors import DataError, some

SUFFIXES = {".csv": ",", ".tsv": "\t"}
OPTIONS = ("image", "label", "split", "header", *PARTS)
KNOWN = {
    "image": ("path", "file", "filename", "file_name", "image", "image_path", "filepath"),
    "label": ("label", "class", "class_name", "target", "category"),
    "split": ("split", "part", "subset"),
}
ORDER = ("image", "label", "split")  # of columns without a header


@dataclass(frozen=True)
class Row:
    """A line: where it stands, and its cells."""

    line: int
    path: str
    label: str
    split: str


def open_manifest(source: Source) -> DataSet:
    """Open a CSV file (`.tsv`: with tabs) whose lines name images, relative to the file, and their labels.

    Raises:
        UsageError: an option that is not for CSV files.
        DataError: not such a file; the message names the line and what is wrong with it.

    """
    source.allow("a CSV file", OPTIONS)
    path = Path(source.place).resolve()
    rows = list(read_rows(path, source))
    if not rows:
        raise DataError(f"{path}: no images are listed")
    check_twice(rows, path)
    stamps = stamps_of(rows, path)
    splits = map_splits(dict.fromkeys(row.split for row in rows), source)
    members = {
        part: np.array([i for i, row in enumerate(rows) if row.split in names], np.int64)
        for part, names in splits.items()
    }
    labelled = classify({p: [rows[i].label for i in of] for p, of in members.items()}, str(path))
    read = FileReader(path.parent)
    parts = {
        part: Samples(
            tuple(rows[i].path for i in of),
            labelled.labels[part],
            read,
            Files(path.parent, stamps[of]),
        )
        for part, of in members.items()
    }
    return DataSet(path.stem, labelled.class_names, parts, source=source.at(str(path)))


def read_rows(path: Path, source: Source) -> Iterator[Row]:
    """Yield the lines of a file.

    Raises:
        DataError: it cannot be read, lacks a column, or a line has too few cells or an empty one.

    """
    lines = read_cells(path)
    first = next(lines, None)
    if first is None:
        raise DataError(f"{path}: the file is empty")
    columns = find_columns(first[1], path, source)
    if columns is None:
        columns = {kind: place for place, kind in enumerate(ORDER[: len(first[1])])}
        yield to_row(*first, columns, len(first[1]), path)
    for line, cells in lines:
        yield to_row(line, cells, columns, len(first[1]), path)


def read_cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each line that is not blank, and its cells."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            start = file.readline()
            file.seek(0)
            delimiter = ";" if "," not in start and ";" in start else SUFFIXES[path.suffix.lower()]
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield reader.line_num, [cell.strip() for cell in cells]
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file in UTF-8: {error.reason} at byte {error.start}") from error
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not CSV: {error}") from error


def find_columns(cells: Sequence[str], path: Path, source: Source) -> dict[str, int] | None:
    """Return where path, label and split stand by the first line; None where it is no header.

    Raises:
        DataError: a column that is needed is missing, or one is not known.

    """
    asked = {kind: source.options[kind] for kind in KNOWN if kind in source.options}
    if source.options.get("header") == "no":
        check_width(cells, path)
        return None
    lowered = [cell.casefold() for cell in cells]
    columns = {}
    for kind, names in KNOWN.items():
        found = (
            [i for i, cell in enumerate(cells) if cell == asked[kind]]
            if kind in asked
            else [i for i, cell in enumerate(lowered) if cell in names]
        )
        if len(found) > 1:
            listed = some(show(cells[i]) for i in found)
            raise DataError(f"{path}, line 1: {listed} may all be the {kind}; say which: {kind}=NAME")
        if found:
            columns[kind] = found[0]
    if not columns and not asked and (path.parent / cells[0]).is_file():
        check_width(cells, path)
        return None
    missing = [asked.get(kind, KNOWN[kind][0]) for kind in ("image", "label") if kind not in columns]
    missing += [asked["split"]] if "split" in asked and "split" not in columns else []
    if missing:
        raise DataError(
            f"{path}, line 1: no column {some(map(show, missing))}; there are {some(map(show, cells))}; "
            f"say which are meant: image=NAME, label=NAME, or header=no"
        )
    check_known(cells, columns, path, asked=bool(asked))
    return columns


def check_width(cells: Sequence[str], path: Path) -> None:
    """Raise DataError where a file without a header has other columns than path, label and split."""
    if not 2 <= len(cells) <= len(ORDER):
        raise DataError(
            f"{path}, line 1: {len(cells)} columns; without a header there are two or three: path, label, "
            f"split"
        )


def check_known(cells: Sequence[str], columns: dict[str, int], path: Path, *, asked: bool) -> None:
    """Raise DataError for further columns, unless columns were asked for: `spilt` must not go unnoticed."""
    unknown = [cell for place, cell in enumerate(cells) if place not in columns.values()]
    if unknown and not asked:
        named = f"image={cells[columns['image']]},label={cells[columns['label']]}"
        raise DataError(
            f"{path}, line 1: unknown columns {some(map(show, unknown))}; known are path, label and split; "
            f"to leave others aside say which are meant: {path.name},{named}"
        )


def to_row(line: int, cells: Sequence[str], columns: dict[str, int], width: int, path: Path) -> Row:
    """Return a line as a value.

    Raises:
        DataError: it has another number of cells than the first, or an empty one.

    """
    if len(cells) != width:
        raise DataError(f"{path}, line {line}: {len(cells)} cells instead of {width}")
    found = {kind: cells[place] for kind, place in columns.items()}
    for kind, cell in found.items():
        if not cell:
            raise DataError(f"{path}, line {line}: the {kind} is empty")
    return Row(line, PurePath(found["image"]).as_posix(), found["label"], found.get("split", "all"))


def check_twice(rows: Sequence[Row], path: Path) -> None:
    """Raise DataError when an image is listed twice."""
    lines: dict[str, int] = {}
    for row in rows:
        if row.path in lines:
            raise DataError(
                f"{path}, line {row.line}: {show(row.path)} stands in line {lines[row.path]} already"
            )
        lines[row.path] = row.line


def stamps_of(rows: Sequence[Row], path: Path) -> "np.ndarray[tuple[int, int], np.dtype[np.int64]]":
    """Return size and time of each image, `(N, 2)`.

    Raises:
        DataError: files are missing; names the first ones and their lines.

    """
    stamps, missing = [], []
    for row in rows:
        try:
            found = (path.parent / row.path).stat()
        except (OSError, ValueError):
            found = None
        if found is None or not stat.S_ISREG(found.st_mode):
            missing.append(f"line {row.line}: {show(row.path)}")
        else:
            stamps.append((found.st_size, found.st_mtime_ns))
    if missing:
        raise DataError(
            f"{path}: {len(missing):,} of {len(rows):,} files are not there, seen from {path.parent}: "
            f"{some(missing, limit=5)}"
        )
    return np.array(stamps, np.int64)
