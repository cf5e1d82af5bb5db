"""Measure what an evaluation costs beside the bare forward passes of its network, in turns, in one process.

    python benchmarks/evaluate.py
    python benchmarks/evaluate.py --model b0-cifar --phi -8 --resolution 16

Other flags go to `effnet train`, whose networks these are, with first weights. The images are random pixels
in memory, as many as `--images`. A turn of the evaluation is `Classifier.judge` on opened images: normalise,
forward, all metrics. A turn of the bare passes is the network on a batch that is ready, as often as the
evaluation needs it. On a CPU the time is that of this process on it, so that other processes do not count.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter, process_time
from typing import Any

import recording
from effnet.benching.machine import cpu_name
from effnet.cli.main import SPIN_COUNT

NUM_CLASSES = 10


def main() -> None:
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)  # as the command line does, before torch is imported
    arguments, flags = parser().parse_known_args()
    row = measure(arguments, flags)
    ratios, seconds = row["ratios"], row["seconds"]
    print(
        f"{row['network']}: evaluating {row['images']:,} images takes {median(ratios):.3f} times the bare "
        f"forward passes ({min(ratios):.3f} to {max(ratios):.3f} in {len(ratios)} rounds); "
        f"{median(seconds['evaluation']):.2f} and {median(seconds['bare']):.2f} s"
    )
    if arguments.record:
        recording.append("evaluate", row, arguments.results)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("--recipe", default="small-images")
    made.add_argument("--images", type=int, default=10_000)
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--threads", type=int, help="of torch; its own choice when not given")
    recording.add_flags(made)
    return made


def measure(arguments: argparse.Namespace, flags: Sequence[str]) -> dict[str, Any]:
    """Measure; return the row to record."""
    import torch

    from assembly import configure
    from effnet.device import environment, kept_memory, pick_device
    from effnet.evaluation.classifier import Classifier
    from effnet.evaluation.opened import Opened
    from effnet.modelfile import ModelHeader
    from effnet.network.model import ConvNet
    from effnet.spec.cost import cost
    from effnet.training.setup import build_preprocess, build_spec

    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    config = configure(arguments.recipe, flags)
    spec, device = build_spec(config), pick_device(config.device)
    header = ModelHeader(spec, build_preprocess(config, spec), tuple(map(str, range(NUM_CLASSES))))
    classifier = Classifier(header, ConvNet(spec, NUM_CLASSES), device)
    opened: Opened = resident(classifier, arguments.images)
    clock = process_time if device.type == "cpu" else perf_counter
    with kept_memory(device):
        rounds = range(arguments.rounds + 1)
        timed = [(bare(classifier, opened, clock), evaluation(classifier, opened, clock)) for _ in rounds][
            1:
        ]  # the first round warms both up
    return {
        **recording.stamp(),
        "network": spec.name,
        "resolution": spec.resolution,
        "macs": cost(spec, NUM_CLASSES).macs,
        "images": arguments.images,
        "batch_size": opened.batch_size,
        "ratios": [round(theirs / ours, 4) for ours, theirs in timed],
        "seconds": {
            "bare": [round(ours, 3) for ours, _ in timed],
            "evaluation": [round(theirs, 3) for _, theirs in timed],
        },
        "environment": environment(device) | {"cpu": cpu_name()},
    }


def resident(classifier: Any, num_images: int) -> Any:
    """Return images of random pixels in memory, opened for a classifier."""
    import numpy as np
    import torch
    from PIL import Image

    from effnet.data.datasets import DataSet, Samples
    from effnet.data.pixels import Pixels
    from effnet.data.splits import HeldOut
    from effnet.evaluation.opened import Opened

    preprocess, names = classifier.header.preprocess, tuple(map(str, range(num_images)))
    labels = np.arange(num_images) % NUM_CLASSES
    samples = Samples(names, labels, lambda name: Image.new("L", (1, 1)))
    dataset = DataSet("noise", classifier.header.class_names, {"test": samples}, source="noise")
    side = preprocess.resolution
    generator = torch.Generator().manual_seed(0)
    shape = (num_images, len(preprocess.mean), side, side)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    pixels = Pixels(images, torch.from_numpy(labels), names).to(classifier.device)
    return Opened(dataset, HeldOut("test", samples), pixels, preprocess)


def evaluation(classifier: Any, opened: Any, clock: Callable[[], float]) -> float:
    """Return the seconds of an evaluation with all its numbers."""
    started = clock()
    classifier.judge(opened).to_dict()
    return clock() - started


def bare(classifier: Any, opened: Any, clock: Callable[[], float]) -> float:
    """Return the seconds of the network's passes over as many batches, all of them the first one."""
    import torch

    batches = list(opened.pixels.once(opened.batch_size))
    images, _ = next(iter(opened.batches()))
    started = clock()
    with torch.inference_mode():
        for stored, _ in batches:
            outputs = classifier.network(images[: len(stored)])
        outputs.cpu()  # waits for the device
    return clock() - started


if __name__ == "__main__":
    main()
