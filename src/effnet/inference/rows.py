"""Predictions as rows: their columns, and the files that they are written to."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.util import find_spec
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

from effnet.errors import MissingExtraError, UsageError
from effnet.inference.prediction import Classes

Row = Mapping[str, Any]
"""Values by column: text, probabilities as floats, None where there is nothing to say."""

Write = Callable[[Iterable[bytes], tuple[str, ...], Path], None]
"""Writes rows, given as lines of JSON, with these columns into a file."""

IMAGE, ERROR = "image", "error"

_LINE_END = "\r\n"
_ROWS_PER_GROUP = 50_000  # of a parquet file; so many are in memory


def columns(num_top: int) -> tuple[str, ...]:
    """Name the columns for so many classes: image, class, probability, class2, probability2, …, error."""
    classes = [(f"class{rank}", f"probability{rank}") for rank in ("", *range(2, num_top + 1))]
    return (IMAGE, *chain(*classes), ERROR)


def answer_row(image: str, classes: Classes, names: tuple[str, ...]) -> Row:
    """Return the row of an image that was classified."""
    values = chain(*((plain(name), float(f"{probability:.6g}")) for name, probability in classes))
    return dict(zip(names, [plain(image), *values, None], strict=True))


def error_row(image: str, reason: str, names: tuple[str, ...]) -> Row:
    """Return the row of an image that cannot be read."""
    return dict.fromkeys(names) | {IMAGE: plain(image), ERROR: plain(reason)}


def plain(text: str) -> str:
    r"""Return text that every file can hold: a byte of a file's name that is no UTF-8 becomes `\udcXX`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def to_line(row: Row) -> bytes:
    """Return a row as a line of JSON."""
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def write_jsonl(lines: Iterable[bytes], names: tuple[str, ...], path: Path) -> None:
    """Write lines of JSON."""
    with path.open("wb") as file:
        file.writelines(lines)


def write_csv(lines: Iterable[bytes], names: tuple[str, ...], path: Path) -> None:
    """Write comma-separated values in UTF-8; text with commas, quotes or line ends stands in quotes."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(_UnixLines(file), names, lineterminator=_LINE_END)
        writer.writeheader()
        writer.writerows(map(json.loads, lines))


class _UnixLines:
    """Ends rows with a line feed alone.

    The writer puts names with a carriage return into quotes only where that is part of the lines' end.
    """

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def write(self, row: str) -> None:
        """Write a row, which ends with `_LINE_END`."""
        self.file.write(row.removesuffix(_LINE_END) + "\n")


def write_parquet(lines: Iterable[bytes], names: tuple[str, ...], path: Path) -> None:
    """Write a parquet file, text as strings and probabilities as 32-bit floats."""
    import pyarrow
    from pyarrow import parquet

    kinds = [pyarrow.float32() if name.startswith("probability") else pyarrow.string() for name in names]
    schema = pyarrow.schema(list(zip(names, kinds, strict=True)))
    rows = map(json.loads, lines)
    with parquet.ParquetWriter(path, schema) as writer:
        for group in _groups(rows):
            writer.write_table(pyarrow.Table.from_pylist(group, schema))


def _groups(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while group := list(islice(rows, _ROWS_PER_GROUP)):
        yield group


WRITERS: Mapping[str, Write] = {".csv": write_csv, ".jsonl": write_jsonl, ".parquet": write_parquet}
"""How to write a file, by its suffix."""


def writer_of(out: Path) -> Write:
    """Return how to write a file of this name.

    Raises:
        UsageError: the suffix says no format that is known.
        MissingExtraError: the format needs a package that is not installed.

    """
    suffix = out.suffix.lower()
    if suffix not in WRITERS:
        raise UsageError(f"--out {out}: unknown suffix {suffix!r}; known: {', '.join(WRITERS)}")
    if suffix == ".parquet" and find_spec("pyarrow") is None:
        raise MissingExtraError(
            f"--out {out}: parquet needs pyarrow; install it with: pip install 'effnet[parquet]', "
            f"or take .csv or .jsonl"
        )
    return WRITERS[suffix]
