"""Measure how fast an epoch of images comes: from a folder, from shards on the disk, from shards at a URL.

    python benchmarks/shards.py FOLDER
    python benchmarks/shards.py FOLDER --delay 0.03 --resize 256

FOLDER is written as shards first. A web server on this machine then serves them, in a process of its own,
after a delay in seconds that stands for the way to a store. The contenders read whole epochs in turns, by as
many workers, in the order of a training:

- `folder`: each image is a file
- `shards`: on the disk, with their index
- `url, kept`: from the server, all shards already on this machine, as in later epochs of a training
- `url, first epoch`: from the server, nothing on this machine yet; with the start of the workers
- `url, image by image`: from the server, no shard is kept: `EFFNET_SHARD_CACHE_GB=0`
"""

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch

import effnet
import recording
from effnet.benching.machine import cpu_name
from effnet.cli.output import console, table
from effnet.data.datasets import open_dataset
from effnet.data.loaders import TrainLoader
from effnet.data.workers import num_workers
from effnet.device import environment
from loading import BATCH_SIZE, ours

KEPT, FIRST, SINGLE = "url, kept", "url, first epoch", "url, image by image"


def main() -> None:
    arguments = parser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        row = measure(arguments, Path(folder))
    show(row)
    if arguments.record:
        recording.append("shards", row, arguments.results)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("folder", type=Path)
    made.add_argument("--delay", type=float, default=0.0, help="seconds before each answer of the server")
    made.add_argument("--resize", type=int, help="as of effnet shard; the folder stays as it is")
    made.add_argument("--shard-mb", type=float, default=4.0, help="as of effnet shard")
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--workers", type=int, default=num_workers(None))
    recording.add_flags(made)
    return made


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Let all contenders read an epoch in turns."""
    shards, cache = folder / "shards", folder / "cache"
    os.environ["EFFNET_CACHE"] = str(cache)
    started = perf_counter()
    made = effnet.shard(arguments.folder, shards, shard_mb=arguments.shard_mb, resize=arguments.resize)
    sharded = perf_counter() - started
    with served(shards, arguments.delay) as url:
        loaders = contenders(arguments, shards, url)
        epoch(loaders[KEPT], 0)
        speeds: dict[str, list[float]] = {name: [] for name in loaders}
        for number in range(1, arguments.rounds + 1):
            for name, loader in loaders.items():
                if name == FIRST:
                    shutil.move(cache / "shards", folder / "aside")
                begun = perf_counter()
                images = epoch(loader, number)
                speeds[name].append(images / (perf_counter() - begun))
                if name == FIRST:
                    loader.pixels.release()  # its processes, which know what they brought
                    shutil.rmtree(cache / "shards")
                    shutil.move(folder / "aside", cache / "shards")
    return {
        **recording.stamp(),
        "images": made.index.num_images,
        "bytes": made.index.num_bytes,
        "shards": len(made.index.entries),
        "resize": arguments.resize,
        "delay": arguments.delay,
        "workers": arguments.workers,
        "seconds_to_write": sharded,
        "images_per_second": speeds,
        "environment": environment(torch.device("cpu")) | {"cpu": cpu_name()},
    }


def contenders(arguments: argparse.Namespace, shards: Path, url: str) -> dict[str, TrainLoader]:
    """Return the loader of each contender, its workers started."""

    def opened(data: str) -> TrainLoader:
        return ours(open_dataset(data), arguments.workers, draft=True)

    made = {
        "folder": opened(str(arguments.folder)),
        "shards": opened(str(shards)),
        KEPT: opened(url),
        FIRST: opened(url),
    }
    cache = os.environ["EFFNET_CACHE"]
    os.environ |= {"EFFNET_SHARD_CACHE_GB": "0", "EFFNET_CACHE": f"{cache}-of-nothing"}
    made[SINGLE] = opened(url)
    del os.environ["EFFNET_SHARD_CACHE_GB"]
    os.environ["EFFNET_CACHE"] = cache
    for name in ("folder", "shards", SINGLE):
        epoch(made[name], 0)
    return made


def epoch(loader: TrainLoader, number: int) -> int:
    """Take what the workers send in an epoch; return how many images that were."""
    order = loader.order(number)
    rows = [order[start : start + BATCH_SIZE] for start in range(0, len(order), BATCH_SIZE)]
    return sum(len(labels) for _, labels in loader.pixels.batches(rows))


@contextmanager
def served(folder: Path, delay: float) -> Iterator[str]:
    """Serve a folder from another process; yield its URL."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(folder, delay, theirs))
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("stop")
        process.join()


def serve(folder: Path, delay: float, connection: Connection) -> None:
    """Serve a folder until something is received."""
    sys.path.append(str(Path(__file__).parent.parent / "tests"))
    server: Any = import_module("file_server")
    with server.serve_folder(server.Folder(folder, delay=delay)) as running:
        connection.send(running.url)
        connection.recv()


def show(row: Mapping[str, Any]) -> None:
    """Print the speeds."""
    made = table(
        f"{row['images']:,} images in {row['shards']} shards, {row['bytes'] / 1e6:.0f} MB, {row['workers']} "
        f"workers, {1000 * row['delay']:g} ms to the server; images a second",
        ("read from", "median", "lowest", "highest"),
    )
    for name, speeds in row["images_per_second"].items():
        values: list[Callable[[list[float]], float]] = [median, min, max]
        made.add_row(name, *(f"{value(speeds):.0f}" for value in values))
    console().print(made)


if __name__ == "__main__":
    main()
