"""Measure one training step: ours at its default against timm's same network, in turns.

    python benchmarks/train_step.py
    python benchmarks/train_step.py --only ours timm-channels_last --phi -6 --resolution 32

Other flags go to `effnet train`, whose trainer (recipe `small-images`) is measured. Every contender has
a process of its own, and starts twice: with no compiled code on disk, then with that of the first start. Then
they take turns. Images in 10 minutes = speed × (600 s - seconds of the start). Ours keeps freed memory while
it trains, as `effnet train` does; --same-memory lets the others do so too. The ceiling is the speed that the
network would have if it were nothing but matrix products as fast as this machine's.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import recording
from effnet.benching.process import Running, running
from effnet.cli.output import console, table

if TYPE_CHECKING:
    from contenders import Terms

TEN_MINUTES = 600.0
TRAININGS = (
    "ours",
    "timm-eager",
    "timm-channels_last",
    "timm-channels_last-bf16",
    "timm-compiled",
    "timm-compiled-bf16",
)
PRODUCTS = ("product-float32", "product-bfloat16")

Row = dict[str, Any]


@dataclass(frozen=True)
class Timing:
    """What was measured of one contender."""

    starts: tuple[float, float]
    """Seconds from building to the end of the first step: without compiled code on disk, and with it."""
    speeds: tuple[float, ...]
    """Steps per second, one number a round."""


def main() -> None:
    arguments, flags = parser().parse_known_args()
    sizes = ("--model", arguments.model, "--batch-size", str(arguments.batch))
    with TemporaryDirectory() as folder:
        terms = prepare((*sizes, *flags), arguments, Path(folder))
        timings = contest([*arguments.only, *PRODUCTS], terms, arguments.rounds, arguments.seconds)
        about = describe(terms) | {"matrix_gflops": {name: gflops(timings[name]) for name in PRODUCTS}}
    rows = [result(name, timings[name], arguments.batch) for name in arguments.only]
    show(about, rows)
    for row in rows if arguments.record else ():
        recording.append("train_step", about | row, arguments.results)


def prepare(flags: Sequence[str], arguments: argparse.Namespace, folder: Path) -> "Terms":
    """Read the flags of the training, and draw the weights that all begin with."""
    import assembly
    from contenders import Terms
    from effnet.benching.steps import RECIPE, check
    from effnet.benching.weights import write_random
    from effnet.training.setup import build_spec

    config = assembly.configure(RECIPE, flags)
    check(config)
    write_random(build_spec(config), assembly.NUM_CLASSES, folder / "model.safetensors")
    return Terms(folder / "model.safetensors", config, arguments.threads, arguments.same_memory)


def contest(names: Sequence[str], terms: "Terms", rounds: int, seconds: float) -> dict[str, Timing]:
    """Start every contender twice, then let them take turns of some seconds, of one step at least."""
    from contenders import contender, speeds

    with TemporaryDirectory(ignore_cleanup_errors=True) as caches, ExitStack() as held:
        given = {name: contender(name, terms, caches) for name in names}
        first: dict[str, float] = {}
        going: dict[str, Running] = {}
        for name in names:
            with running(given[name], Path(caches) / "log", lambda: False) as cold:
                first[name] = cold.start_seconds
            say(f"{name} started in {first[name]:.1f} s")
        for name in names:
            going[name] = held.enter_context(running(given[name], Path(caches) / "log", lambda: False))
        turns: dict[str, list[list[float]]] = {name: [] for name in names}
        for _ in range(rounds):
            for name in names:
                turns[name].append(going[name].ask("turn", seconds))
        return {name: Timing((first[name], going[name].start_seconds), speeds(turns[name])) for name in names}


def say(text: str) -> None:
    """Show whoever waits that something happens."""
    print(text, file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("--model", default="b0-cifar")
    made.add_argument("--batch", type=int, default=64)
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument(
        "--seconds", type=float, default=1.0, help="least time of a turn, which has a step at least"
    )
    made.add_argument("--threads", type=int, help="of torch; its own choice when not given")
    made.add_argument("--only", nargs="+", choices=TRAININGS, default=list(TRAININGS))
    made.add_argument("--same-memory", action="store_true", help="all keep freed memory, as ours does")
    recording.add_flags(made)
    return made


def describe(terms: "Terms") -> Row:
    """Return what holds for all contenders."""
    import torch

    import assembly
    from effnet.benching.steps import parts_of
    from effnet.modelfile import load_header

    torch.set_num_threads(terms.threads or torch.get_num_threads())
    spec = load_header(terms.file).spec
    about = assembly.describe(parts_of(terms.config, spec, assembly.NUM_CLASSES))
    return {**recording.stamp(), **about, "same_memory": terms.same_memory, "timm": version("timm")}


def gflops(timing: Timing) -> float:
    """Return the speed of a product in GFLOP/s, in the best round."""
    from contenders import SIDE

    return round(max(timing.speeds) * 2 * SIDE**3 / 1e9, 1)


def result(name: str, timing: Timing, batch: int) -> Row:
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
    out, operations = console(), 2 * 3 * about["macs"]
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
    for name, speed in about["matrix_gflops"].items():
        out.print(f"ceiling by {name}: {speed * 1e9 / operations:.1f} images/s ({speed:.0f} GFLOP/s)")


if __name__ == "__main__":
    main()
