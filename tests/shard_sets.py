"""Small sets of shards with an index, written by `effnet shard`, and ways to falsify them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import effnet
from effnet.data.datasets import open_digits
from effnet.data.sharded.index import INDEX_FILE, Index, digest_of_bytes, parse_index
from effnet.data.sharded.table import Table, from_bytes, to_bytes

SHARD_MB = 0.0513  # of which 60 digits fill three


def write_folder(root: Path, count: int = 60, part: str = "") -> Path:
    """Write digits as a folder of classes."""
    digits = open_digits().parts["all"]
    for index, (name, label) in enumerate(zip(digits.names[:count], digits.labels[:count], strict=True)):
        place = root / part / str(label) / f"{index:04d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        digits.read(name).save(place)
    return root


def write_set(out: Path, images: Path, **settings: Any) -> Path:
    effnet.shard(images, out, **{"shard_mb": SHARD_MB, "workers": 1, **settings})
    return out


def index_of(folder: Path) -> Index:
    return parse_index((folder / INDEX_FILE).read_bytes(), "index")


def change_index(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Let `change` alter the JSON of an index."""
    path = folder / INDEX_FILE
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def first_entry(data: dict[str, Any]) -> Any:
    return next(iter(data["parts"].values()))[0]


def change_table(folder: Path, change: Callable[[Table], Table]) -> None:
    """Let `change` alter the table of the first shard; the index knows the new one."""
    entry = index_of(folder).entries[0]
    path = folder / entry.table.file
    changed = change(from_bytes(path.read_bytes(), "table"))
    content = to_bytes(changed)
    path.write_bytes(content)

    def adjust(data: dict[str, Any]) -> None:
        first_entry(data)["table"] |= {"bytes": len(content), "sha256": digest_of_bytes(content)}

    change_index(folder, adjust)


def with_row(table: Table, column: int, value: int) -> Table:
    """Return a table whose first row has another value."""
    rows = np.array(table.rows)
    rows[0, column] = value
    return Table(table.names, rows, table.skipped, table.stop, table.tar)


def files_in(folder: Path) -> dict[str, bytes]:
    """Return the content of all files that are not hidden."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}
