"""Fine-tune a network on few photos, against training it from scratch and against a probe, in the same folds.

    python benchmarks/finetune.py /work/data/ants-bees --source-data /work/data/cifar10 --work DIR
    python benchmarks/finetune.py PHOTOS --source MODEL.safetensors --work DIR

Trains the network to begin with on --source-data (recipe cifar10-quick, --source-minutes), unless a model
file is given. Then each way is cross-validated: images, folds, network, input and resolution are the same for
all. What is done stays in DIR, and what was interrupted goes on there: run the same command again. Appends a
line for each way to docs/results/finetune.jsonl, and prints the table and the differences, paired by fold.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import effnet
from effnet.benching.machine import cpu_name
from effnet.cli.progress import TerminalReporter
from effnet.modelfile import ModelHeader, load_header
from effnet.spec import netspec
from effnet.training import state as states
from effnet.training.folds import FOLDS_FILE, is_unfinished, read_plan
from recording import append, stamp

WAYS = ("finetune", "probe", "scratch")


@dataclass(frozen=True)
class Contest:
    """What all ways have in common."""

    data: Path
    source: Path
    work: Path
    folds: int
    resolution: int
    seed: int

    @property
    def header(self) -> ModelHeader:
        """What the network to begin with says of itself."""
        return load_header(self.source)

    def settings(self, way: str) -> dict[str, Any]:
        """Return what `effnet.train` takes for a way."""
        common = {"resolution": self.resolution, "seed": self.seed, "folds": self.folds}
        if way == "scratch":
            return common | self.from_scratch()
        return common | {"source": str(self.source), "probe": way == "probe"}

    def from_scratch(self) -> dict[str, Any]:
        """Return the recipe for photos with the same network and input, drawn anew."""
        path, preprocess = self.work / "network.json", self.header.preprocess
        netspec.save(self.header.spec, path)
        given = {name: getattr(preprocess, name) for name in ("crop", "interpolation", "mean", "std")}
        given["channels"] = self.header.spec.in_channels
        return {"recipe": "photos", "model": str(path), "input": given}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--source", type=Path, help="model file to begin with")
    parser.add_argument("--source-data", default="cifar10", help="data to train it on, without --source")
    parser.add_argument("--source-minutes", type=float, default=10.0)
    parser.add_argument("--work", type=Path, required=True, help="folder of all runs")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    source = given.source or trained_source(given.work / "source", given.source_data, given.source_minutes)
    contest = Contest(given.data, source, given.work, given.folds, given.resolution, given.seed)
    plans = {way: carried_out(contest, way) for way in given.ways}
    for way, plan in plans.items():
        record(contest, way, plan)
    show(plans)


def trained_source(folder: Path, data: str, minutes: float) -> Path:
    """Train the network to begin with, or return the one that is there."""
    path = folder / "model.safetensors"
    with TerminalReporter(quiet=False) as reporter:
        if states.exists(folder):
            effnet.resume(folder, reporter=reporter)
        elif not path.exists():
            effnet.train(data, out=folder, recipe="cifar10-quick", max_minutes=minutes, reporter=reporter)
    return path


def carried_out(contest: Contest, way: str) -> dict[str, Any]:
    """Cross-validate a way, or go on with it, and return what its folds came to."""
    folder = contest.work / way
    with TerminalReporter(quiet=False) as reporter:
        reporter.message(f"{way}: {folder}")
        if is_unfinished(folder):
            effnet.resume(folder, reporter=reporter)
        elif not (folder / FOLDS_FILE).exists():
            effnet.train(contest.data, out=folder, reporter=reporter, **contest.settings(way))
    return read_plan(folder / FOLDS_FILE)


def record(contest: Contest, way: str, plan: Mapping[str, Any]) -> None:
    """Append the result of a way, once."""
    mark = contest.work / way / "recorded.json"
    if mark.exists():
        return
    header = load_header(contest.work / way / "model.safetensors")
    source = contest.header
    row = {
        **stamp(),
        "way": way,
        "data": contest.data.name,
        "resolution": contest.resolution,
        "seed": contest.seed,
        "network": header.spec.name,
        "source": {"data": source.training.get("data"), "metrics": source.metrics.get("test")},
        "scores": [{key: score[key] for key in score if key != "model"} for score in plan["scores"]],
        **{name: plan[name] for name in ("mean", "spread", "interval")},
        "final": header.metrics,
        "config": header.training["config"],
        "environment": header.training["environment"] | {"cpu": cpu_name()},
    }
    append("finetune", row)
    mark.write_text(json.dumps(row) + "\n", encoding="utf-8")


def show(plans: Mapping[str, Mapping[str, Any]]) -> None:
    """Print a line for each way, and the differences from the first one, paired by fold."""
    print(f"{'':10}  top-1 of each fold, mean ± spread (95 % interval), seconds")
    for way, plan in plans.items():
        tops = " ".join(f"{score['top1']:.1%}" for score in plan["scores"])
        low, high = plan["interval"]
        spent = sum(score["seconds"] for score in plan["scores"])
        result = f"{plan['mean']:.2%} ± {plan['spread']:.2%} ({low:.1%} to {high:.1%})"
        print(f"{way:10}  {tops}  {result}, {spent:.0f} s")
    first, *others = plans
    for way in others:
        print(f"{first} - {way}: {difference(top1s(plans[first]), top1s(plans[way]))}")


def top1s(plan: Mapping[str, Any]) -> list[float]:
    """Return the accuracy of each fold."""
    return [score["top1"] for score in plan["scores"]]


def difference(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Say the mean difference over folds with its 95 % interval (Nadeau and Bengio 2003)."""
    from scipy.stats import t

    gains, count = [one - other for one, other in zip(ours, theirs, strict=True)], len(ours)
    half = float(t.ppf(0.975, count - 1)) * stdev(gains) * sqrt(1 / count + 1 / (count - 1))
    return f"{mean(gains):+.2%} (95 % interval {mean(gains) - half:+.2%} to {mean(gains) + half:+.2%})"


if __name__ == "__main__":
    main()
