"""The page of a benchmark: one HTML file that needs nothing else; numbers and charts lie beside it."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from effnet.benching.plots import draw_speed
from effnet.benching.results import Benchmark
from effnet.benching.table4 import COLUMNS, lines
from effnet.evaluation.page import Picture, machine, picture, write_page
from effnet.files import write_text

PAGE_FILE, JSON_FILE = "bench.html", "bench.json"


def write_bench(result: Benchmark, folder: Path, *, command: str = "") -> Path:
    """Write page, charts and numbers of a benchmark; return the path of the page.

    Raises:
        EffnetError: the folder cannot be written to.

    """
    write_text(folder / JSON_FILE, json.dumps(result.to_dict(), indent=2, ensure_ascii=False) + "\n")
    content = {
        "result": result,
        "charts": {batch: draw(result, batch, folder) for batch in result.batches},
        "what": "training step" if result.task == "train" else "prediction",
        "facts": facts(result, command),
        "table4": lines(result) if result.table4 else [],
        "columns": COLUMNS,
        "has_memory": any(row.peak_bytes is not None for row in result.rows),
    }
    path = folder / PAGE_FILE
    write_page(path, PAGE_FILE, content, package="effnet.benching")
    return path


def draw(result: Benchmark, batch: int, folder: Path) -> tuple[Picture, Picture] | None:
    """Draw the rows of batches of one size, wide and narrow; None if none had a turn."""
    rows = result.of_batch(batch)
    if not any(row.turns for row in rows):
        return None
    paths = tuple(folder / f"speed-batch{batch}{end}.png" for end in ("", "-narrow"))
    for path, narrow in zip(paths, (False, True), strict=True):
        draw_speed(rows, path, narrow=narrow)
    return picture(paths[0]), picture(paths[1])


def facts(result: Benchmark, command: str) -> list[tuple[str, str]]:
    """Return how the numbers came about, as term and value."""
    place: Any = result.conditions
    libraries = ", ".join(f"{name} {version}" for name, version in place["versions"].items() if version)
    found = result.largest_difference
    rows = [
        ("Written", f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"),
        ("Command", command),
        ("On", machine(place)),
        ("Processor", place["cpu"]),
        ("Libraries", libraries),
        (
            "Turns",
            f"{place['rounds']} round{'s' * (place['rounds'] > 1)}; a turn takes {place['seconds']:g} s, "
            f"one run at least; "
            f"each contender has a process of its own and waits while others have their turn",
        ),
        (
            "Same logits",
            "" if found is None else f"within {found:.0e} of what other images change, bfloat16 aside",
        ),
    ]
    return [(term, value) for term, value in rows if value]
