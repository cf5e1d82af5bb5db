"""What maps cost beside the forward pass of the same batch, in turns: CAM, Grad-CAM, `explain`, captum.

    python benchmarks/explain.py
    python benchmarks/explain.py --only b0-cifar --batch 16 --threads 1 --cpu-time

All map the same three classes. `explain` is what `effnet predict --explain` does with a batch: probabilities,
then CAM of the most probable. captum is its LayerGradCam, once for each class, at the same layer.
Under two minutes on a free machine; other work on it spoils --cpu-time with one thread least.
"""

import argparse
from collections.abc import Callable
from statistics import median
from time import perf_counter, process_time
from typing import Any

import torch
from captum.attr import LayerGradCam
from torch import Tensor

import recording
from effnet.benching.machine import cpu_name
from effnet.cli.output import console, table
from effnet.device import environment, kept_memory, to_device
from effnet.evaluation.cam import cam, grad_cam
from effnet.evaluation.metrics import predict_probs
from effnet.network.model import ConvNet
from effnet.spec.families import NETWORKS, usual_classes

MAPS = 3  # classes mapped for each image, as `effnet predict --explain` does
CPU = torch.device("cpu")

Row = dict[str, Any]


def main() -> None:
    arguments = parser().parse_args()
    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    about = {
        **recording.stamp(),
        "batch": arguments.batch,
        "maps": MAPS,
        "environment": environment(CPU) | {"cpu": cpu_name()},
    }
    with kept_memory(CPU):
        rows = [row for name in arguments.only for row in measure(name, arguments)]
    show(rows)
    for row in rows if arguments.record else ():
        recording.append("explain", about | row, arguments.results)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument(
        "--only", nargs="+", default=["b0", "b0-cifar"], choices=list(NETWORKS), metavar="NETWORK"
    )
    made.add_argument("--batch", type=int, default=16)
    made.add_argument("--rounds", type=int, default=7)
    made.add_argument("--threads", type=int, help="of torch; its own choice when not given")
    made.add_argument("--cpu-time", action="store_true", help="seconds of the processor, not of the clock")
    recording.add_flags(made)
    return made


def tasks(name: str, batch: int) -> dict[str, Callable[[], Tensor]]:
    """Return what is timed of a network, by name."""
    spec = NETWORKS[name]
    torch.manual_seed(0)
    network = to_device(ConvNet(spec, usual_classes(spec)), CPU).eval()
    images = torch.randn(batch, spec.in_channels, spec.resolution, spec.resolution)
    images = images.contiguous(memory_format=torch.channels_last)
    classes = torch.randint(network.num_classes, (batch, MAPS))
    captum = LayerGradCam(network, network.head)

    def forward() -> Tensor:
        with torch.inference_mode():
            logits: Tensor = network(images)
        return logits

    def explain() -> Tensor:
        best = predict_probs(network, images, CPU).topk(MAPS).indices
        return cam(network, images, best)

    return {
        "forward": forward,
        "CAM": lambda: cam(network, images, classes),
        "Grad-CAM": lambda: grad_cam(network, images, classes),
        "explain": explain,
        "captum": lambda: torch.cat([captum.attribute(images, target=each) for each in classes.T], 1),
    }


def measure(name: str, arguments: argparse.Namespace) -> list[Row]:
    """Time all tasks in turns; ratios are of the same round."""
    timed, clock = tasks(name, arguments.batch), process_time if arguments.cpu_time else perf_counter
    for run in timed.values():
        run()  # the first run also finds memory
    seconds: dict[str, list[float]] = {task: [] for task in timed}
    for _ in range(arguments.rounds):
        for task, run in timed.items():
            started = clock()
            run()
            seconds[task].append(clock() - started)
    forward = seconds["forward"]
    return [
        {
            "network": name,
            "task": task,
            "seconds": [round(value, 5) for value in values],
            "ratios": [round(value / base, 3) for value, base in zip(values, forward, strict=True)],
        }
        for task, values in seconds.items()
    ]


def show(rows: list[Row]) -> None:
    """Print medians, and how many forward passes they are."""
    shown = table("", ["network", "task", "ms a batch", "× forward", "lowest", "highest"], left=2)
    for row in rows:
        ratios = row["ratios"]
        shown.add_row(
            row["network"],
            row["task"],
            f"{1e3 * median(row['seconds']):.1f}",
            *(f"{value:.2f}" for value in (median(ratios), min(ratios), max(ratios))),
        )
    console().print(shown)


if __name__ == "__main__":
    main()
