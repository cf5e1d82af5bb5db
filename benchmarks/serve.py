"""Measure how much of what a core can compute is left behind HTTP, in turns, on the same bytes.

    python benchmarks/serve.py MODEL.onnx FOLDER

The server has one core, its clients another. A turn of the bare loop decodes, preprocesses and computes image
by image on the server's core, in a process of its own; so does a second one, sixteen images at a time. A turn
of the server answers clients that ask again as soon as they are answered. Nothing else should run.
"""

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import recording
from effnet.benching.machine import cpu_name
from serving import Serving, closed_loop, request, serving

NUM_IMAGES = 64
BATCH = 16


def main() -> None:
    arguments = parser().parse_args()
    bodies = read_bodies(arguments.images)
    turns: dict[str, list[Any]] = {}
    os.sched_setaffinity(0, {arguments.client_core})
    with (
        serving(arguments.model, *arguments.flag, cores=[arguments.server_core]) as server,
        bare_loop(arguments.model, bodies, arguments.server_core) as bare,
    ):
        contenders = contenders_of(server, bare, bodies, arguments)
        for contender in contenders.values():
            contender(0.5)  # first batches are slower
        for _ in range(arguments.rounds):
            for name, contender in contenders.items():
                turns.setdefault(name, []).append(contender(arguments.seconds))
    row = summary(turns, arguments, bodies)
    print_row(row)
    if arguments.record:
        recording.append("serve", row, arguments.results)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("model", type=Path)
    made.add_argument("images", type=Path, help="folder of images")
    made.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--seconds", type=float, default=3.0, help="of a turn")
    made.add_argument("--server-core", type=int, default=1)
    made.add_argument("--client-core", type=int, default=0)
    made.add_argument("--flag", action="append", default=[], help="for effnet serve, as --flag=--max-batch=8")
    recording.add_flags(made)
    return made


def read_bodies(folder: Path) -> list[bytes]:
    """Return the bytes of some images, the same ones each time."""
    from effnet.inference.scan import images_below

    paths = [path for path, _ in zip(images_below(folder), range(NUM_IMAGES), strict=False)]
    return [path.read_bytes() for path in paths]


Contender = Callable[[float], Any]
"""Works for some seconds; gives images per second of a bare loop, or what `closed_loop` gives."""


def contenders_of(
    server: Serving,
    bare: Callable[[int, float], float],
    bodies: Sequence[bytes],
    arguments: argparse.Namespace,
) -> dict[str, Contender]:
    """Return what takes turns, by name."""
    requests = [request(body) for body in bodies]
    made: dict[str, Contender] = {
        "bare": lambda seconds: bare(1, seconds),
        f"bare, {BATCH} at a time": lambda seconds: bare(BATCH, seconds),
    }
    for clients in arguments.clients:
        made[f"{clients} clients"] = partial(closed_loop, server.port, requests, clients)
    return made


@contextmanager
def bare_loop(model: Path, bodies: Sequence[bytes], core: int) -> Iterator[Callable[[int, float], float]]:
    """Run the loop without HTTP in a process on a core; give a function that lets it work."""
    pipe, other_end = get_context("spawn").Pipe()
    process = get_context("spawn").Process(
        target=work, args=(other_end, model, list(bodies), core), daemon=True
    )
    process.start()
    pipe.recv()

    def run(batch: int, seconds: float) -> float:
        pipe.send((batch, seconds))
        rate: float = pipe.recv()
        return rate

    yield run
    pipe.send(None)
    process.join()


def work(pipe: Connection, model: Path, bodies: list[bytes], core: int) -> None:
    """Decode, preprocess and compute, when told to, for some seconds."""
    import numpy as np

    from effnet.inference.answers import read_pixels
    from effnet.inference.prediction import top_classes
    from effnet.inference.runtime import load

    os.sched_setaffinity(0, {core})
    classifier = load(model, num_threads=1)
    names, preprocess = classifier.header.class_names, classifier.header.preprocess
    pipe.send("ready")
    while (task := pipe.recv()) is not None:
        batch, seconds = task
        count, started = 0, perf_counter()
        while perf_counter() - started < seconds:
            chosen = [bodies[(count + place) % len(bodies)] for place in range(batch)]
            pixels = np.stack([read_pixels(preprocess, body, "image") for body in chosen])
            for probs in classifier.probs(pixels):
                top_classes(probs, names, 5)
            count += batch
        pipe.send(count / (perf_counter() - started))


def summary(
    turns: dict[str, list[Any]], arguments: argparse.Namespace, bodies: Sequence[bytes]
) -> dict[str, Any]:
    """Return the row to record."""
    from effnet.inference.onnxfile import read

    header = read(arguments.model).header
    bare = {name: rates for name, rates in turns.items() if name.startswith("bare")}
    served = {
        name: describe(rounds, median(bare["bare"])) for name, rounds in turns.items() if name not in bare
    }
    return {
        **recording.stamp(),
        "network": header.spec.name,
        "resolution": header.preprocess.resolution,
        "images": len(bodies),
        "mean_bytes": round(sum(map(len, bodies)) / len(bodies)),
        "cpu": cpu_name(),
        "bare_images_per_second": {name: [round(rate, 2) for rate in rates] for name, rates in bare.items()},
        "served": served,
    }


def describe(rounds: Sequence[tuple[list[float], float]], bare: float) -> dict[str, Any]:
    """Return speed and latencies of a number of clients, over all rounds."""
    rates = [len(latencies) / seconds for latencies, seconds in rounds]
    latencies = sorted(latency for given, _ in rounds for latency in given)
    cuts = quantiles(latencies, n=100, method="inclusive")
    return {
        "images_per_second": [round(rate, 2) for rate in rates],
        "share_of_bare": round(median(rates) / bare, 4),
        "p50_ms": round(1000 * cuts[49], 2),
        "p99_ms": round(1000 * cuts[98], 2),
    }


def print_row(row: dict[str, Any]) -> None:
    print(f"{row['network']} at {row['resolution']}, {row['images']} images of {row['mean_bytes']:,} bytes")
    for name, rates in row["bare_images_per_second"].items():
        print(f"{name:>22}: {median(rates):7.2f} images/s ({min(rates):.2f} to {max(rates):.2f})")
    for name, found in row["served"].items():
        rate, share = median(found["images_per_second"]), found["share_of_bare"]
        latency = f"p50 {found['p50_ms']} ms, p99 {found['p99_ms']} ms"
        print(f"{name:>22}: {rate:7.2f} images/s, {share:.1%} of bare, {latency}")


if __name__ == "__main__":
    main()
