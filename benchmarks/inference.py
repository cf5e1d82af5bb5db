"""Measure how fast a network predicts: our exported file against what else there is, in turns.

    python benchmarks/inference.py
    python benchmarks/inference.py --batch 1 --only ours "OpenVINO, timm's export" --rounds 9

All programs compute the same network, and their logits are checked to be equal (within 1e-4 of their range)
before anything is timed; int8 and bfloat16 are not, and are shown beside. Each has a process of its own, in
which it waits while others have their turn. A turn takes `--seconds`, and its result is the median of its
calls; shown is the median of the turns. OpenVINO is no dependency: pip install -c constraints.txt openvino.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import sleep
from typing import Any

import numpy as np
from numpy.typing import NDArray

import recording
from effnet.cli.output import console, table
from predictors import INEXACT, PROGRAMS, Images, prepare, process

LIMIT = 1e-4  # of the range of logits
REST = 0.2  # seconds: threads of a program that had its turn wait in a busy loop for a while
PACKAGES = ("torch", "timm", "torchvision", "onnxruntime", "openvino")

Row = dict[str, Any]
Pipes = dict[str, Connection]


def main() -> None:
    arguments = parser().parse_args()
    with TemporaryDirectory() as made:
        folder = arguments.files or Path(made)
        sys.path.append(str(Path(__file__).parents[1] / "tests"))
        prepare(folder, arguments.network, arguments.side)
        with ExitStack() as running:
            pipes = {
                name: running.enter_context(process(name, folder, arguments.network, arguments.threads))
                for name in arguments.only
            }
            rows = [row for batch in arguments.batch for row in contest(pipes, batch, arguments)]
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
    made.add_argument("--results", type=Path, default=recording.RESULTS, help="folder of the record")
    made.add_argument("--no-record", dest="record", action="store_false", help="only print")
    return made


def contest(pipes: Pipes, batch: int, arguments: argparse.Namespace) -> list[Row]:
    """Check that all programs answer the same to a batch, then let them take turns."""
    side = arguments.side
    images = np.random.default_rng(batch).standard_normal((batch, 3, side, side)).astype(np.float32)
    differences = check(pipes, images)
    print(f"timing batches of {batch}", file=sys.stderr, flush=True)
    seconds: dict[str, list[float]] = {name: [] for name in pipes}
    for _ in range(arguments.rounds):
        for name, pipe in pipes.items():
            sleep(REST)
            pipe.send((images, arguments.seconds))
            seconds[name].append(pipe.recv())
    return [
        {
            "program": name,
            "batch": batch,
            "milliseconds": round(1e3 * median(taken), 3),
            "rounds": [round(1e3 * value, 3) for value in taken],
            "images_per_second": round(batch / median(taken), 2),
            "difference": differences[name],
        }
        for name, taken in seconds.items()
    ]


def check(pipes: Pipes, images: Images) -> dict[str, float]:
    """Return how far the logits of each program are from the first one's, as a share of their range.

    Raises:
        SystemExit: a program computes something else.

    """
    answers: dict[str, NDArray[np.float32]] = {}
    for name, pipe in pipes.items():
        pipe.send((images, None))
        answers[name] = pipe.recv()
    expected = next(iter(answers.values()))
    differences = {
        name: float(f"{np.abs(logits - expected).max() / np.ptp(expected):.2e}")
        for name, logits in answers.items()
    }
    wrong = [name for name, share in differences.items() if share > LIMIT and name not in INEXACT]
    if wrong:
        raise SystemExit(f"these compute something else: {', '.join(wrong)}: {differences}")
    return differences


def describe(arguments: argparse.Namespace) -> Row:
    """Return what holds for all programs."""
    return {
        **recording.stamp(),
        "network": arguments.network,
        "side": arguments.side,
        "threads": arguments.threads,
        "cpu": recording.cpu_name(),
        "versions": {package: installed(package) for package in PACKAGES},
    }


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


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
