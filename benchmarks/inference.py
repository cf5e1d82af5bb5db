"""Measure how fast a network predicts: our exported file against what else there is, in turns.

    python benchmarks/inference.py
    python benchmarks/inference.py --batch 1 --only ours "OpenVINO, timm's export" --rounds 9

All programs compute the same network, and their logits are checked to be equal (within 1e-3 of what other
images change) before anything is timed; int8 and bfloat16 are not, and are shown beside. Each has a process
of its own, in which it waits while others have their turn. A turn takes `--seconds`, and its result is the
median of its calls; shown is the median of the turns. OpenVINO is no dependency: pip install -c
constraints.txt openvino.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import recording
from effnet.benching.contest import Contest, Entry, Rules
from effnet.benching.machine import PACKAGES, cpu_name, versions
from effnet.cli.output import console, table
from effnet.cli.progress import TerminalReporter
from predictors import PROGRAMS, contender, prepare

Row = dict[str, Any]


def main() -> None:
    arguments = parser().parse_args()
    with TemporaryDirectory() as made, TerminalReporter(quiet=False) as reporter:
        folder = arguments.files or Path(made)
        prepare(folder, arguments.network, arguments.side)
        rows: list[Row] = []
        for batch in arguments.batch:
            given = [contender(name, folder, batch, arguments.threads) for name in arguments.only]
            contest = Contest(given, Rules(arguments.rounds, arguments.seconds), reporter, lambda: False)
            contest.run()
            rows += [result(entry, batch) for entry in contest.entries]
    about = describe(arguments)
    show(about, rows)
    for row in rows if arguments.record else ():
        recording.append("inference", about | row, arguments.results)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("--network", default="b0", help="b0 to b7")
    made.add_argument("--side", type=int, default=224, help="of the images, in pixels")
    made.add_argument("--batch", type=int, nargs="+", default=[1, 16])
    made.add_argument("--threads", type=int, default=2)
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--seconds", type=float, default=0.5, help="least time of a turn")
    made.add_argument("--only", nargs="+", choices=tuple(PROGRAMS), default=list(PROGRAMS))
    made.add_argument(
        "--files", type=Path, help="folder that keeps files and compiled code for the next time"
    )
    recording.add_flags(made)
    return made


def result(entry: Entry, batch: int) -> Row:
    """Return what was measured of a program.

    Raises:
        SystemExit: it failed, or computes something else.

    """
    if entry.failure:
        raise SystemExit(f"{entry.contender.program}: {entry.failure}")
    taken = [median(turn) for turn in entry.turns]
    return {
        "program": entry.contender.program,
        "batch": batch,
        "milliseconds": round(1e3 * median(taken), 3),
        "rounds": [round(1e3 * value, 3) for value in taken],
        "images_per_second": round(batch / median(taken), 2),
        "difference": float(f"{entry.difference or 0.0:.2e}"),
    }


def describe(arguments: argparse.Namespace) -> Row:
    """Return what holds for all programs."""
    return {
        **recording.stamp(),
        "network": arguments.network,
        "side": arguments.side,
        "threads": arguments.threads,
        "cpu": cpu_name(),
        "versions": versions((*PACKAGES, "openvino")),
    }


def show(about: Row, rows: Sequence[Row]) -> None:
    """Print a table."""
    title = f"{about['network']} at {about['side']}, {about['threads']} threads, {about['cpu']}"
    shown = table(title, ["program", "batch", "ms", "lowest", "highest", "images/s", "difference"])
    for row in sorted(rows, key=lambda row: (row["batch"], row["milliseconds"])):
        shown.add_row(
            row["program"],
            str(row["batch"]),
            *(f"{value:.2f}" for value in (row["milliseconds"], min(row["rounds"]), max(row["rounds"]))),
            f"{row['images_per_second']:.1f}",
            f"{row['difference']:.0e}",
        )
    console().print(shown)


if __name__ == "__main__":
    main()
