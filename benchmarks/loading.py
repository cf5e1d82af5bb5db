"""Measure how fast training images come: ours against timm's loader and a plain one of torchvision, in turns.

    python benchmarks/loading.py FOLDER
    python benchmarks/loading.py FOLDER --megapixels 1.5 --images 256 --rounds 5

With `--megapixels` every JPEG file of FOLDER is first made that large, in a folder of its own, as those of a
camera are. All give batches of random resized crops, flipped and normalised, at 224 pixels, from as many
processes: ours as `effnet train` with `data.storage = "stream"`, with and without `data.draft`; timm's
`create_loader` with its defaults; `plain` is a DataLoader over PIL's images with torchvision's transforms.
`before the device` is ours without what is done on a GPU where there is one: crops, flips, normalisation.
`difference` is what a draft changes in the stored pixels, of 255.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import cycle, islice
from multiprocessing import active_children
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from PIL import Image

import recording
from effnet.cli.main import SPIN_COUNT
from effnet.cli.output import console, table
from effnet.config import AugmentConfig, DataConfig
from effnet.data.augment import Augment
from effnet.data.datasets import open_dataset
from effnet.data.loaders import TrainLoader
from effnet.data.mixing import Mix
from effnet.data.pixels import PixelFormat, Reading
from effnet.data.samples import DataSet
from effnet.data.storage import open_pixels
from effnet.data.workers import num_workers
from effnet.device import kept_memory
from effnet.imaging.preprocess import Preprocess

SIDE, CROP, BATCH_SIZE, SEED = 224, 0.875, 32, 0
AREA = 0.08  # smallest area of a crop
Epoch = Callable[[int], int]
"""Reads the images of an epoch; returns how many came."""


def main() -> None:
    arguments = parser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = gathered(arguments.folder, Path(folder), arguments.images, arguments.megapixels)
        with kept_memory(torch.device("cpu")):  # as in training; it serves all loaders alike
            row = measure(root, arguments)
    show(row)
    if arguments.record:
        recording.append("loading", row, arguments.results)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("folder", type=Path)
    made.add_argument("--images", type=int, default=1024, help="photos in an epoch")
    made.add_argument("--megapixels", type=float, help="size that each photo is brought to")
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--workers", type=int, default=num_workers(None))
    recording.add_flags(made)
    return made


def gathered(folder: Path, into: Path, count: int, megapixels: float | None) -> Path:
    """Bring photos spread over a folder into a new one, in two classes; return it.

    Where there are fewer they come several times: an epoch is longer than what loaders read ahead.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    chosen = islice(cycle(found[:: max(1, len(found) // count)]), count)
    for number, path in enumerate(chosen):
        place = into / "ab"[number % 2] / f"{number:05d}.jpg"
        place.parent.mkdir(exist_ok=True)
        if megapixels is None:
            place.symlink_to(path.resolve())
        else:
            enlarged(path, megapixels).save(place, quality=90)
    return into


def enlarged(path: Path, megapixels: float) -> Image.Image:
    """Return a photo with so many pixels."""
    with Image.open(path) as image:
        factor = (megapixels * 1e6 / (image.width * image.height)) ** 0.5
        size = (round(image.width * factor), round(image.height * factor))
        return image.convert("RGB").resize(size, Image.Resampling.BICUBIC)


def measure(root: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Let all loaders read the images in turns; the first epoch of each is not counted."""
    sys.path.append(str(Path(__file__).parent.parent / "tests"))
    import_module("peers")  # declares what torchvision needs, which timm imports
    dataset = open_dataset(root)
    loaders = [ours(dataset, arguments.workers, draft=draft) for draft in (True, False, True)]
    contenders: dict[str, Epoch] = {
        "ours": lambda epoch: count(loaders[0].epoch(epoch)),
        "ours, no draft": lambda epoch: count(loaders[1].epoch(epoch)),
        "ours, before the device": lambda epoch: decoded(loaders[2], epoch),
        "timm": timms(root, arguments.workers),
        "plain": plain(root, arguments.workers),
    }
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    spent: dict[str, list[float]] = {name: [] for name in contenders}
    for epoch in range(arguments.rounds + 1):
        for name, read in contenders.items():
            started, used = perf_counter(), processor_seconds()
            images = read(epoch)
            if epoch:
                speeds[name].append(images / (perf_counter() - started))
                spent[name].append(1000 * (processor_seconds() - used) / images)
    return {
        "images": len(dataset.all_samples()),
        "megapixels": arguments.megapixels,
        "pixels": median_pixels(root),
        "workers": arguments.workers,
        "threads": torch.get_num_threads(),
        "rounds": arguments.rounds,
        "images_per_second": speeds,
        "processor_milliseconds": spent,
        "difference": {str(times): difference(dataset, times) for times in (1.0, 1.25, 2.0)},
    }


def processor_seconds() -> float:
    """Return the processor time of this process and of the workers that live."""
    ticks = 0
    for child in active_children():
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return process_time() + ticks / os.sysconf("SC_CLK_TCK")


def median_pixels(root: Path) -> float:
    """Return the median number of pixels of the photos."""
    return float(median(w * h for w, h in (Image.open(path).size for path in root.rglob("*.jpg"))))


def ours(dataset: DataSet, workers: int, *, draft: bool) -> TrainLoader:
    """Return the loader of a training that streams."""
    preprocess = Preprocess(SIDE, crop=CROP)
    form = PixelFormat(preprocess, preprocess.resized_short_side, draft)
    reading = Reading(DataConfig(storage="stream", workers=workers, max_broken=0.0), torch.device("cpu"))
    pixels = open_pixels(dataset.all_samples(), form, reading)
    config = AugmentConfig(resized_crop=AREA)
    return TrainLoader(pixels, Augment(config, preprocess), Mix(config, 2), BATCH_SIZE, SEED)


def decoded(loader: TrainLoader, epoch: int) -> int:
    """Take what the workers send in an epoch, which a GPU would augment."""
    order = loader.order(epoch)
    rows = [order[step * BATCH_SIZE : (step + 1) * BATCH_SIZE] for step in range(loader.num_steps)]
    return count(loader.pixels.batches(rows))


def timms(root: Path, workers: int) -> Epoch:
    """Return what reads an epoch with timm's loader."""
    from timm.data import create_dataset, create_loader  # type: ignore[attr-defined]  # no py.typed exports

    loader = create_loader(
        create_dataset("", root=str(root), is_training=True),
        input_size=(3, SIDE, SIDE),
        batch_size=BATCH_SIZE,
        is_training=True,
        use_prefetcher=False,
        color_jitter=0.0,
        interpolation="bicubic",
        num_workers=workers,
        persistent_workers=True,
    )
    return lambda epoch: count(iter(loader))


def plain(root: Path, workers: int) -> Epoch:
    """Return what reads an epoch as the tutorials of torchvision do."""
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    steps = transforms.Compose(
        [
            transforms.RandomResizedCrop(SIDE, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    data = datasets.ImageFolder(str(root), steps)
    loader: DataLoader[Any] = DataLoader(
        data, BATCH_SIZE, shuffle=True, num_workers=workers, drop_last=True, persistent_workers=workers > 0
    )
    return lambda epoch: count(iter(loader))


def count(batches: Iterator[Any]) -> int:
    """Take all batches; return how many images they had."""
    return sum(len(labels) for _, labels in batches)


def difference(dataset: DataSet, times: float) -> float:
    """Return the mean difference of stored pixels, photos decoded at no less than `times` their side."""
    preprocess = Preprocess(SIDE, crop=CROP)
    form = PixelFormat(preprocess, preprocess.resized_short_side)
    samples = dataset.all_samples()
    read: Any = samples.read
    found = []
    for name in samples.names[:64]:
        drafted = form.pixels(read.small(name, round(times * form.side))).astype(np.float32)
        found.append(float(np.abs(drafted - form.pixels(read(name))).mean()))
    return sum(found) / len(found)


def show(row: dict[str, Any]) -> None:
    """Print the speeds."""
    made = table(
        f"{row['images']} photos of {row['pixels'] / 1e6:.2f} megapixels at {SIDE}×{SIDE}, "
        f"{row['workers']} workers, images per second",
        ("loader", "median", "lowest", "highest", "processor ms/image"),
    )
    for name, speeds in row["images_per_second"].items():
        made.add_row(
            name, f"{median(speeds):.0f}", f"{min(speeds):.0f}", f"{max(speeds):.0f}", spent(row, name)
        )
    console().print(made)
    for times, value in row["difference"].items():
        console().print(f"a draft of at least {times} times the side differs by {value:.2f} of 255")


def spent(row: dict[str, Any], name: str) -> str:
    """Return what a loader took of the processors for an image, in milliseconds."""
    return f"{median(row['processor_milliseconds'][name]):.2f}"


if __name__ == "__main__":
    if (
        "GOMP_SPINCOUNT" not in os.environ
    ):  # as the command line sets it, which is read when torch is imported
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "GOMP_SPINCOUNT": SPIN_COUNT})
    main()
