"""Measure one training step: ours at its default against timm's same network, in turns, in one process.

    python benchmarks/train_step.py
    python benchmarks/train_step.py --only ours timm-channels_last --phi -6 --resolution 32

Other flags go to `effnet train`, whose trainer (recipe `small-images`) is measured. First every contender
starts twice: with no compiled code on disk, then with that of the first start. Then all take turns. Images in
10 minutes = speed × (600 s - seconds of the first start, or of the second). The ceiling is the speed that the
network would have if it were nothing but matrix products as fast as this machine's.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import recording
from effnet.cli.main import SPIN_COUNT
from effnet.cli.output import console, table

if TYPE_CHECKING:
    from timing import Timing  # imports torch

TEN_MINUTES = 600.0
RECIPE = "small-images"

Row = dict[str, Any]


def main() -> None:
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)  # as the command line does, before torch is imported
    sys.path.append(str(Path(__file__).parents[1] / "tests"))  # timm's side is built by tests/peers.py
    from contenders import CONTENDERS

    arguments, flags = parser(CONTENDERS).parse_known_args()
    about, rows = measure(arguments, flags)
    show(about, rows)
    for row in rows if arguments.record else ():
        recording.append("train_step", about | row, arguments.results)


def parser(names: Iterable[str]) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("--model", default="b0-cifar")
    made.add_argument("--batch", type=int, default=64)
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument(
        "--seconds", type=float, default=1.0, help="least time of a turn; it has a step at least"
    )
    made.add_argument("--threads", type=int, help="of torch; its own choice when not given")
    made.add_argument("--only", nargs="+", choices=list(names), default=list(names))
    made.add_argument("--results", type=Path, default=recording.RESULTS, help="folder of the record")
    made.add_argument("--no-record", dest="record", action="store_false", help="only print")
    return made


def measure(arguments: argparse.Namespace, flags: Sequence[str]) -> tuple[Row, list[Row]]:
    """Measure; return what holds for all contenders, and a row for each."""
    import torch

    from assembly import configure, describe
    from contenders import CONTENDERS, prepare
    from timing import contest, matrix_gflops

    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    sizes = ["--model", arguments.model, "--batch-size", str(arguments.batch)]
    task = prepare(configure(RECIPE, [*sizes, *flags]))
    builds = {name: partial(CONTENDERS[name], task) for name in arguments.only}
    timings = contest(builds, arguments.rounds, arguments.seconds)
    device = task.parts.device
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    about = {
        **recording.stamp(),
        **describe(task.parts),
        "matrix_gflops": {name: round(matrix_gflops(kind, device), 1) for name, kind in kinds.items()},
        "timm": version("timm"),
    }
    return about, [result(name, timing, arguments.batch) for name, timing in timings.items()]


def result(name: str, timing: "Timing", batch: int) -> Row:
    """Return what was measured of a contender, in images per second."""
    rates = [speed * batch for speed in timing.speeds]
    return {
        "contender": name,
        "images_per_second": round(median(rates), 2),
        "rounds": [round(rate, 2) for rate in rates],
        "start_seconds": [round(seconds, 1) for seconds in timing.starts],
        "images_in_10_minutes": [
            round(median(rates) * max(0.0, TEN_MINUTES - seconds)) for seconds in timing.starts
        ],
    }


def show(about: Row, rows: Sequence[Row]) -> None:
    """Print a table; the ceiling counts three products a layer, one forward and two backward."""
    out, operations = console(), 6 * about["macs"]
    columns = ["", "images/s", "lowest", "highest", "first start", "second", "images in 10 min", "then"]
    shown = table(
        f"{about['network']}, batch {about['batch_size']}, {about['environment']['threads']} threads", columns
    )
    for row in rows:
        starts, images = row["start_seconds"], row["images_in_10_minutes"]
        shown.add_row(
            row["contender"],
            *(f"{rate:.1f}" for rate in (row["images_per_second"], min(row["rounds"]), max(row["rounds"]))),
            *(f"{seconds:.1f} s" for seconds in starts),
            *(f"{count:,}" for count in images),
        )
    out.print(shown)
    for kind, gflops in about["matrix_gflops"].items():
        out.print(f"ceiling of {kind}: {gflops * 1e9 / operations:.1f} images/s ({gflops:.0f} GFLOP/s)")


if __name__ == "__main__":
    main()
