"""Whether maps point at what says the class: on images with one object at any place, borders included.

    python benchmarks/localisation.py
    python benchmarks/localisation.py --seeds 3 --only near-sighted

Each network is trained on images that are drawn anew for each seed, and judged on others: how often the map
of the true class is highest on the object, before and after the training. An object covers a ninth of
its image. About ten minutes on one core.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch

import recording
from effnet.benching.machine import cpu_name
from effnet.cli.output import console, table
from effnet.device import environment
from effnet.spec.families import QUICK_CIFAR
from effnet.spec.netspec import NetSpec
from effnet.spec.scale import scale

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from planted_objects import CHANCE, NETWORK, NOTHING, OBJECT, SIDE, fresh, hits, plant, top1, train

IMAGES, EPOCHS = 640, 8
TEST_IMAGES, TEST_SEED = 500, 10_000

Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A network and how it is trained."""

    name: str
    spec: NetSpec
    smoothing: float = 0.1


FAR = replace(NETWORK, stages=(NETWORK.stages[0], replace(NETWORK.stages[1], repeats=3)))
CASES = (
    Case("near-sighted", NETWORK),
    Case("near-sighted, same padding", replace(NETWORK, padding="same")),
    Case("near-sighted, no smoothing", NETWORK, smoothing=0.0),
    Case("far-sighted", FAR),
    Case("quick-cifar-phi-6", replace(scale(QUICK_CIFAR, -6), in_channels=1, resolution=SIDE)),
)


def main() -> None:
    arguments = parser().parse_args()
    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    about = {
        **recording.stamp(),
        "images": arguments.images,
        "epochs": arguments.epochs,
        "object": OBJECT,
        "side": SIDE,
        "environment": environment(torch.device("cpu")) | {"cpu": cpu_name()},
    }
    rows = list(measure(arguments))
    show(rows)
    for row in rows if arguments.record else ():
        recording.append("localisation", about | row, arguments.results)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("--seeds", type=int, default=5)
    made.add_argument("--images", type=int, default=IMAGES, help="to train on")
    made.add_argument("--epochs", type=int, default=EPOCHS)
    made.add_argument("--only", nargs="+", choices=[case.name for case in CASES], metavar="NETWORK")
    made.add_argument("--threads", type=int, help="of torch; its own choice when not given")
    recording.add_flags(made)
    return made


def measure(arguments: argparse.Namespace) -> Iterator[Row]:
    """Train and judge each network with each seed."""
    test = plant(TEST_IMAGES, TEST_SEED, num_classes=NOTHING)
    for case in (case for case in CASES if not arguments.only or case.name in arguments.only):
        row: Row = {
            "network": case.name,
            "receptive_field": receptive_field(case.spec),
            "cells": case.spec.feature_size,
            "untrained": [],
            "trained": [],
            "top1": [],
        }
        for seed in range(arguments.seeds):
            network = fresh(case.spec, seed)
            row["untrained"].append(hits(network, test))
            train(network, plant(arguments.images, seed), arguments.epochs, seed, smoothing=case.smoothing)
            row["trained"].append(hits(network, test))
            row["top1"].append(top1(network, test))
            print(f"{case.name}, seed {seed}: {row['trained'][-1]:.1%}", file=sys.stderr, flush=True)
        yield row


def receptive_field(spec: NetSpec) -> int:
    """Return the side of the square of pixels that a cell of the last features sees."""
    stages = [
        (stage.kernel_size, stage.stride if repeat == 0 else 1)
        for stage in spec.stages
        for repeat in range(stage.repeats)
    ]
    side, step = 1, 1
    for kernel_size, stride in ((spec.stem.kernel_size, spec.stem.stride), *stages):
        side, step = side + (kernel_size - 1) * step, step * stride
    return side


def show(rows: list[Row]) -> None:
    """Print means over the seeds, and the lowest and highest."""
    columns = ["network", "pixels seen", "cells", "top-1", "untrained", "trained", "lowest", "highest"]
    shown = table(f"map highest on the object; chance {CHANCE:.1%}", columns)
    for row in rows:
        shares = [mean(row["top1"]), mean(row["untrained"]), mean(row["trained"]), min(row["trained"])]
        shown.add_row(
            row["network"],
            str(row["receptive_field"]),
            f"{row['cells']}×{row['cells']}",
            *(f"{share:.1%}" for share in (*shares, max(row["trained"]))),
        )
    console().print(shown)


if __name__ == "__main__":
    main()
