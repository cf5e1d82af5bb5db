"""The record of a contest that goes on where it stopped: what is in its file is not done again."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import recording
from effnet.errors import DataError

Row = dict[str, Any]


def digest(value: Any) -> str:
    """Return a short hash of JSON values; tuples count as lists, and the order of keys does not."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


class Ledger:
    """Rows in the results file of a name; with no folder nothing is found and nothing written."""

    def __init__(self, name: str, folder: Path | None) -> None:
        self.name, self.folder = name, folder
        self.rows = [] if folder is None else read(folder / f"{name}.jsonl")

    def find(self, terms: Mapping[str, Any]) -> Row | None:
        """Return the latest row with these values."""
        wanted = terms.items()
        return next((row for row in reversed(self.rows) if wanted <= flat(row, terms).items()), None)

    def add(self, row: Row) -> Row:
        """Append a row, and return it."""
        if self.folder is not None:
            recording.append(self.name, row, self.folder)
        self.rows.append(row)
        return row


def flat(row: Row, terms: Mapping[str, Any]) -> Row:
    """Return the entries of a row that are asked for."""
    return {name: row[name] for name in terms if name in row}


def read(path: Path) -> list[Row]:
    """Read the rows of a file, none if there is no file.

    Raises:
        DataError: a line is no JSON object, such as one that was cut off.

    """
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            rows.append(dict(json.loads(line)))
        except (ValueError, TypeError):
            raise DataError(
                f"{path}, line {number} is no result: remove it, or take another --name"
            ) from None
    return rows
