"""Measure the prediction of a folder of images: ours against a plain loop with timm's loader, in turns.

    python benchmarks/predict_folder.py model.safetensors model.onnx FOLDER
    python benchmarks/predict_folder.py model.safetensors model.onnx FOLDER --images 2000 --rounds 5

Both write a row for each image. Ours is `effnet predict model.onnx FOLDER --out`, without its start. The
plain loop is that of timm's inference.py with its defaults: torch computes batches that two workers read.
`reading` is what ours would reach if the network cost nothing: threads that decode and resize. The shares are
those of one thread that does all of it, one thing after the other.
"""

import argparse
import csv
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter, thread_time
from typing import Any

import numpy as np

import recording
from effnet.benching.machine import cpu_name
from effnet.cli.main import SPIN_COUNT
from effnet.cli.output import console, table
from effnet.imaging.decode import decode
from effnet.inference.answers import batches, read_pixels
from effnet.inference.runtime import OnnxClassifier, load, num_cores
from effnet.inference.scan import images_below
from effnet.inference.tofile import in_order, predict_to

BATCH_SIZE, WORKERS = 64, 2  # of the plain loop


def main() -> None:
    arguments = parser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        names = linked(arguments.folder, place / "images", arguments.images)
        row = measure(arguments, names, place)
    show(row)
    if arguments.record:
        recording.append("predict_folder", row, arguments.results)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("model", type=Path, help="a model file")
    made.add_argument("exported", type=Path, help="the .onnx file made of it")
    made.add_argument("folder", type=Path)
    made.add_argument("--images", type=int, default=500, help="how many of the folder")
    made.add_argument("--rounds", type=int, default=5)
    recording.add_flags(made)
    return made


def linked(folder: Path, into: Path, count: int) -> list[Path]:
    """Link so many images, spread over the folder, into a new one; return their new names."""
    found = list(images_below(folder))
    chosen = found[:: max(1, len(found) // count)][:count]
    (into / "all").mkdir(parents=True)
    for number, path in enumerate(chosen):
        (into / "all" / f"{number:06d}{path.suffix}").symlink_to(path.resolve())
    return list(images_below(into))


def measure(arguments: argparse.Namespace, names: list[Path], place: Path) -> dict[str, Any]:
    """Let all take turns; return the row to record."""
    model = load(arguments.exported, num_threads=1)
    contenders: Mapping[str, Callable[[], object]] = {
        "effnet": partial(ours, model, place),
        "plain loop": plain_loop(arguments.model, place),
        "reading": partial(reading, model, names),
    }
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    spent: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(arguments.rounds):
        for name, run in contenders.items():
            began, busy = perf_counter(), processor_seconds()
            run()
            speeds[name].append(round(len(names) / (perf_counter() - began), 2))
            spent[name].append(round((processor_seconds() - busy) / len(names) * 1000, 3))
    return {
        **recording.stamp(),
        "cpu": cpu_name(),
        "cores": num_cores(),
        "data": arguments.folder.name,
        "network": model.header.spec.name,
        "resolution": model.header.preprocess.resolution,
        "num_images": len(names),
        "images_per_second": speeds,
        "processor_milliseconds": spent,
        "milliseconds": shares(model, names),
    }


def processor_seconds() -> float:
    """Return what this process and those that it began and ended have computed: others do not count."""
    return sum(os.times()[:4])


def ours(model: OnnxClassifier, place: Path) -> None:
    predict_to(place / "ours.csv", model, [place / "images"], overwrite=True)


def plain_loop(path: Path, place: Path) -> Callable[[], None]:
    """Return the loop of timm's inference.py over the folder, with the network of a model file."""
    import torch

    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    import_module("peers")  # declares what torchvision needs, which timm imports
    from timm.data import create_dataset, create_loader  # type: ignore[attr-defined]  # no py.typed exports

    from effnet.evaluation import classifier

    model = classifier.load(path, device="cpu")
    preprocess = model.header.preprocess
    loader = create_loader(
        create_dataset("", root=str(place / "images")),
        input_size=(3, preprocess.resolution, preprocess.resolution),
        batch_size=BATCH_SIZE,
        use_prefetcher=False,
        interpolation=preprocess.interpolation,
        mean=preprocess.mean,
        std=preprocess.std,
        num_workers=WORKERS,
        crop_pct=preprocess.crop,
    )

    def run() -> None:
        rows: list[list[Any]] = []
        with torch.inference_mode():
            for images, _ in loader:
                probs, places = model.network(images).softmax(-1).topk(min(5, model.header.num_classes))
                rows += torch.hstack([places, probs]).tolist()
        names = loader.dataset.filenames(basename=True)
        with (place / "plain.csv").open("w", newline="") as file:
            csv.writer(file).writerows([name, *row] for name, row in zip(names, rows, strict=True))

    return run


def reading(model: OnnxClassifier, names: list[Path]) -> None:
    """Decode and resize in as many threads as there are cores."""
    preprocess = model.header.preprocess

    def read(batch: list[Path]) -> None:
        for path in batch:
            read_pixels(preprocess, path, str(path))

    for _ in in_order(read, batches(names, model.batch_size), num_cores()):
        pass


def shares(model: OnnxClassifier, names: list[Path]) -> dict[str, float]:
    """Return milliseconds of the processor an image for each part, in one thread: the median over batches."""
    preprocess, spent = model.header.preprocess, []
    for batch in islice(batches(names, model.batch_size), 50):
        moments = [thread_time()]
        images = [decode(path, preprocess.mode) for path in batch]
        moments.append(thread_time())
        pixels = np.stack([preprocess.pixels(image) for image in images])
        moments.append(thread_time())
        preprocess.normalise(pixels.astype(np.float32) / 255.0)
        moments.append(thread_time())
        model.logits(pixels)
        moments.append(thread_time())
        spent.append(np.diff(moments) / len(batch) * 1000)
    parts = np.median(spent, axis=0)
    parts[3] -= parts[2]  # logits normalise too
    return dict(zip(("decode", "resize", "normalise", "session"), map(float, parts.round(3)), strict=True))


def show(row: Mapping[str, Any]) -> None:
    """Print the speeds and the shares."""
    made = table(
        f"{row['num_images']} images of {row['data']}, {row['network']} at {row['resolution']}, "
        f"{row['cores']} cores",
        ["contender", "images/s", "slowest", "fastest", "processor ms/image"],
    )
    for name, speeds in row["images_per_second"].items():
        shown = (median(speeds), min(speeds), max(speeds))
        spent = median(row["processor_milliseconds"][name])
        made.add_row(name, *(f"{value:,.1f}" for value in shown), f"{spent:.2f}")
    console().print(made)
    parts = ", ".join(f"{name} {value:.2f}" for name, value in row["milliseconds"].items())
    console().print(f"processor ms/image in one thread: {parts}")


if __name__ == "__main__":
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)  # as the command line does, before torch is imported
    main()
