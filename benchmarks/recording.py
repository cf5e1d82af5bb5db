"""What every benchmark writes down: one JSON line a result, with commit, command, date, machine, versions."""

import json
import subprocess
import sys
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "docs" / "results"


def add_flags(parser: ArgumentParser) -> None:
    """Add the flags by which a benchmark is told where to write, or to write nothing."""
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the record")
    parser.add_argument("--no-record", dest="record", action="store_false", help="only print")


def append(name: str, row: dict[str, Any], folder: Path = RESULTS) -> None:
    """Add a line to the file of a benchmark."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def stamp(command: str | None = None) -> dict[str, str]:
    """Say when, at which commit and by which command a result came about; without one by this program's."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "command": command or " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
    }


def commit() -> str:
    """Return the commit, marked when the working tree differs from it."""
    git = ["git", "-C", str(RESULTS.parents[1])]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True)
    dirty = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "src"], check=False).returncode
    return head.stdout.strip() + ("+" if dirty else "")
