"""Plant faults in a data set, let `effnet check` look for them, and count what it finds.

    python benchmarks/planted_faults.py digits --images 1000 --swaps 20 --copies 10 --seeds 3
    python benchmarks/planted_faults.py CIFAR10_FOLDER --images 10000 --swaps 200 --copies 50 --model MODEL

Labels are exchanged for others, drawn at random; copies are resized, darkened, or have less contrast.
Each result is a line in docs/results/planted_faults.jsonl.
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageEnhance

import recording
from effnet.data.datasets import DataSet, Samples, open_dataset
from effnet.device import environment
from effnet.doctor.result import CheckResult
from effnet.doctor.run import check

Change = Callable[[Image.Image], Image.Image]

COPY = "copy of "
CHANGES: Sequence[Change] = (
    lambda image: ImageEnhance.Brightness(image).enhance(0.85),
    lambda image: ImageEnhance.Contrast(image).enhance(0.9),
    lambda image: image.resize((2 * image.width, 2 * image.height), Image.Resampling.BICUBIC),
    lambda image: image.resize((3 * image.width // 2, 3 * image.height // 2), Image.Resampling.BICUBIC),
    lambda image: image.point(lambda value: value // 2 + 40),
)


@dataclass(frozen=True)
class Planted:
    """Images of a data set, some of them with a wrong label, and near copies of others."""

    dataset: DataSet
    swapped: frozenset[str]
    """Names of those with a wrong label."""
    copies: frozenset[frozenset[str]]
    """Pairs of names: an image and its copy."""


def plant(source: DataSet, *, images: int, swaps: int, copies: int = 0, seed: int = 0) -> Planted:
    """Draw images, give some a wrong label, and add near copies of some of the others."""
    rng, everything = np.random.default_rng(seed), source.all_samples()
    drawn = everything.take(np.sort(rng.permutation(len(everything))[:images]))
    rows, num_classes = rng.permutation(len(drawn)), len(source.class_names)
    labels = drawn.labels.copy()
    labels[rows[:swaps]] = (labels[rows[:swaps]] + rng.integers(1, num_classes, swaps)) % num_classes
    originals = rows[swaps : swaps + copies]
    changes = {f"{COPY}{drawn.names[row]}": CHANGES[n % len(CHANGES)] for n, row in enumerate(originals)}
    samples = Samples(
        drawn.names + tuple(changes),
        np.concatenate([labels, labels[originals]]),
        partial(changed, drawn, changes),
    )
    return Planted(
        DataSet("planted", source.class_names, {"all": samples}, source="planted"),
        frozenset(drawn.names[row] for row in rows[:swaps]),
        frozenset(frozenset({name, name.removeprefix(COPY)}) for name in changes),
    )


def changed(samples: Samples, changes: Mapping[str, Change], name: str) -> Image.Image:
    """Return the image of a name, changed if it is a copy."""
    image = samples.read(name.removeprefix(COPY))
    return changes[name](image) if name in changes else image


def count(faults: Planted, result: CheckResult) -> dict[str, Any]:
    """Count what was found of the planted faults."""
    ranked = [f.path for f in result.findings if f.kind in ("label", "doubt")]
    accused = [f.path for f in result.findings if f.kind == "label"]
    pairs = {frozenset({f.path, f.other}) for f in result.findings if f.other}
    return {
        "swaps": len(faults.swapped),
        "found_in_first": {n: len(faults.swapped.intersection(ranked[:n])) for n in (20, 40, 100, 200)},
        "accused": len(accused),
        "rightly": len(faults.swapped.intersection(accused)),
        "copies": len(faults.copies),
        "copies_found": len(pairs & faults.copies),
        "other_pairs": len(pairs - faults.copies),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--swaps", type=int, default=20)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--model", type=Path)
    arguments = parser.parse_args()
    source = open_dataset(arguments.data)
    settings = {name: getattr(arguments, name) for name in ("images", "swaps", "copies")}
    for seed in range(arguments.seeds):
        faults = plant(source, **settings, seed=seed)
        started = process_time()
        with tempfile.TemporaryDirectory() as folder:
            result = check(faults.dataset, folder, model=arguments.model)
        row = {
            **recording.stamp(),
            "data": source.name,
            "seed": seed,
            **settings,
            **count(faults, result),
            "labels": result.to_dict()["labels"],
            "cpu_seconds": round(process_time() - started, 1),
            "environment": environment(torch.device("cpu")),
        }
        recording.append("planted_faults", row)
        print({name: row[name] for name in (*count(faults, result), "cpu_seconds")}, flush=True)


if __name__ == "__main__":
    main()
