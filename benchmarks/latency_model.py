"""How well the model of latency foretells networks it never saw, beside what MACs alone foretell.

    python benchmarks/latency_model.py
    python benchmarks/latency_model.py --batch 16 --threads 1

Both are learned here and now from the same calibration networks, without the cache. Then the networks below
are timed. Under two minutes on a free machine. Other work on it makes the times worthless; it spoils
--cpu-time with one thread least: the processor's seconds instead of the clock's.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import torch

import recording
from effnet.benching.machine import cpu_name
from effnet.cli.output import big, console, table
from effnet.device import environment, kept_memory
from effnet.sizing.budget.calibration import run_all
from effnet.sizing.budget.latency import Timer, conditions, torch_run
from effnet.sizing.budget.latency_model import CALIBRATION, NUM_CLASSES, by_macs, learn
from effnet.sizing.budget.timing import Latency
from effnet.spec.cost import cost
from effnet.spec.families import B0, B0_CIFAR, NETWORKS, QUICK_CIFAR
from effnet.spec.netspec import NetSpec
from effnet.spec.resize import Multipliers, resize
from effnet.spec.scale import scale

UNSEEN: tuple[NetSpec, ...] = (
    NETWORKS["b0"],
    NETWORKS["b1"],
    NETWORKS["b2"],
    NETWORKS["b3"],
    NETWORKS["b4"],
    scale(B0, -5.5),
    scale(B0, -2.5),
    scale(B0, 0.7),
    replace(B0, name="b0 at 128", resolution=128),
    replace(B0, name="b0 at 320", resolution=320),
    replace(resize(B0, Multipliers(depth=2.0, width=1.0, resolution=1.0)), name="b0, twice as deep"),
    replace(resize(B0, Multipliers(depth=1.0, width=2.0, resolution=0.6)), name="b0, twice as wide"),
    scale(B0_CIFAR, -3),
    scale(B0_CIFAR, -8),
    NETWORKS["b2-cifar"],
    scale(QUICK_CIFAR, 3),
    replace(QUICK_CIFAR, name="quick-cifar at 96", resolution=96),
    replace(scale(QUICK_CIFAR, 4), name="quick-cifar-phi4 at 224", resolution=224),
)
ROUNDS = 5


@dataclass(frozen=True)
class Result:
    """A network that was foretold and timed; seconds."""

    spec: NetSpec
    latency: Latency
    foretold: float
    by_macs: float

    def error(self, foretold: float) -> float:
        """Return by how much a foretold time is too long, as a share."""
        return foretold / self.latency.median - 1

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        values = {"measured": self.latency.median, "foretold": self.foretold, "by_macs": self.by_macs}
        return {
            "network": self.spec.name,
            "resolution": self.spec.resolution,
            "macs": cost(self.spec, NUM_CLASSES).macs,
            **{f"{name}_ms": round(1e3 * seconds, 3) for name, seconds in values.items()},
            "quartiles_ms": [round(1e3 * self.latency.low, 3), round(1e3 * self.latency.high, 3)],
        }


def main() -> None:
    arguments = parser().parse_args()
    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    started = perf_counter()
    with kept_memory(torch.device("cpu")):
        results, num_learned = measure(arguments)
    show(results)
    errors = {name: summary(results, name) for name in ("foretold", "by_macs")}
    print(f"took {perf_counter() - started:.0f} s")
    if arguments.record:
        row = {
            **recording.stamp(),
            "batch": arguments.batch,
            "learned_from": [spec.name for spec in CALIBRATION[:num_learned]],
            "errors": errors,
            "networks": [result.to_dict() for result in results],
            "environment": environment(torch.device(arguments.device)) | {"cpu": cpu_name()},
        }
        recording.append("latency-model", row, arguments.results)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("--batch", type=int, default=1)
    made.add_argument("--device", default="cpu")
    made.add_argument("--threads", type=int, help="of torch; its own choice when not given")
    made.add_argument("--seconds", type=float, default=0.4, help="of runs, for each network in each round")
    made.add_argument("--only", nargs="+", choices=[spec.name for spec in UNSEEN], metavar="NETWORK")
    made.add_argument("--cpu-time", action="store_true", help="seconds of the processor, not of the clock")
    recording.add_flags(made)
    return made


def measure(arguments: argparse.Namespace) -> tuple[list[Result], int]:
    """Learn, then foretell and time the networks; return the results, and how many networks taught."""
    given = conditions(arguments.device, "torch", arguments.batch, NUM_CLASSES)
    clock = process_time if arguments.cpu_time else perf_counter
    networks, profiles = run_all(given, clock=clock)
    model, line = learn(networks, profiles, given.batch), by_macs(networks, profiles, given.batch)
    timer = Timer(lambda spec: torch_run(spec, given, Path()), clock)
    results = []
    for spec in (spec for spec in UNSEEN if not arguments.only or spec.name in arguments.only):
        timer.measure([spec], arguments.seconds, rounds=ROUNDS)
        foretold = model.seconds(spec, NUM_CLASSES)
        results.append(Result(spec, timer.latency(spec), foretold, line(spec, NUM_CLASSES)))
    return results, len(networks)


def summary(results: list[Result], name: str) -> dict[str, float]:
    """Return the median and the largest of the relative errors, without their signs."""
    errors = [abs(result.error(getattr(result, name))) for result in results]
    return {"median": round(median(errors), 4), "largest": round(max(errors), 4)}


def show(results: list[Result]) -> None:
    """Print all networks, and the errors of both."""
    columns = [
        "network",
        "pixels",
        "MACs",
        "ms, measured",
        "quartiles",
        "foretold",
        "error",
        "by MACs",
        "error",
    ]
    shown = table("", columns)
    for result in results:
        latency = result.latency
        shown.add_row(
            result.spec.name,
            str(result.spec.resolution),
            big(cost(result.spec, NUM_CLASSES).macs),
            f"{1e3 * latency.median:.2f}",
            f"{1e3 * latency.low:.2f}–{1e3 * latency.high:.2f}",
            f"{1e3 * result.foretold:.2f}",
            f"{result.error(result.foretold):+.1%}",
            f"{1e3 * result.by_macs:.2f}",
            f"{result.error(result.by_macs):+.1%}",
        )
    out = console()
    out.print(shown)
    for name, words in (("foretold", "the model"), ("by_macs", "MACs alone")):
        errors = summary(results, name)
        out.print(f"{words}: median error {errors['median']:.1%}, largest {errors['largest']:.1%}")


if __name__ == "__main__":
    main()
