"""Programs that take one training step: ours as `effnet train` does, others as their users would.

All do the same work: forward, cross-entropy with label smoothing, backward, SGD with Nesterov momentum and
weight decay on kernels and matrices only, and a moving average of weights and buffers.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from effnet.benching import peers
from effnet.benching.modes import Library, Mode
from effnet.benching.prediction import answerer, gpu_bytes
from effnet.benching.programs import Program
from effnet.benching.weights import in_order
from effnet.config import OptimConfig, TrainConfig, load_recipe, override
from effnet.data.datasets import DataSet, Samples
from effnet.data.loaders import Batch
from effnet.data.splits import Splits
from effnet.device import kept_memory, pick_device
from effnet.errors import UsageError
from effnet.spec.netspec import NetSpec
from effnet.training.loop import Trainer
from effnet.training.parts import Parts, build_trainer
from effnet.training.reporter import Silent
from effnet.training.setup import build_preprocess

RECIPE = "small-images"
LR = 1e-3  # for steps that are only timed: weights stay finite, however many


@dataclass(frozen=True)
class Lesson:
    """What is trained, and how."""

    file: Path
    """A model file with the weights that training begins with."""
    config: TrainConfig
    threads: int
    """Of torch; 0 leaves it the choice."""
    library: Library | None = None
    """To be loaded before the clock runs."""
    keeps_memory: bool = False
    """Whether freed memory is kept, as `effnet train` keeps it."""


@dataclass(frozen=True)
class Task:
    """What all contenders train on: one batch, as the loader of `effnet train` makes it."""

    parts: Parts
    batch: Batch
    weights: list[Tensor]


Step = Callable[[], float]
"""Takes one training step and returns its loss, so that the device is done."""


def configure(spec: NetSpec, batch: int, device: str) -> TrainConfig:
    """Return the settings of a training that is timed."""
    channels = spec.in_channels
    given = {"channels": channels, "mean": (0.5,) * channels, "std": (0.5,) * channels}
    return override(load_recipe(RECIPE), {"batch_size": batch, "device": device, "input": given})


def check(config: TrainConfig) -> None:
    """Refuse what other libraries' steps here do not do.

    Raises:
        UsageError: an optimizer or a setting that they lack.

    """
    settings = config.optim
    if settings.name != "sgd" or settings.accumulate > 1 or settings.clip_norm or not settings.ema_decay:
        raise UsageError("only sgd with a moving average, without accumulation and clipping, is compared")


def parts_of(config: TrainConfig, spec: NetSpec, num_classes: int) -> Parts:
    """Put a training on random pixels together; what a step costs does not depend on them."""
    side, channels = spec.resolution, spec.in_channels
    mode = (side, side) if channels == 1 else (side, side, channels)
    num_images = 2 * config.batch_size
    generator = np.random.default_rng(0)
    pixels = {f"{i}.png": generator.integers(0, 256, mode, dtype=np.uint8) for i in range(num_images)}
    samples = Samples(
        tuple(pixels), np.arange(num_images) % num_classes, lambda name: Image.fromarray(pixels[name])
    )
    names = tuple(map(str, range(num_classes)))
    dataset = DataSet("noise", names, {"train": samples, "val": samples}, source="noise")
    splits = Splits(samples, samples, None, {})  # not drawn: a few images cannot hold all classes
    return Parts(dataset, config, spec, build_preprocess(config, spec), splits, pick_device(config.device))


def ready(parts: Parts) -> Trainer:
    """Build the trainer, in training mode."""
    trainer = build_trainer(parts, Silent())
    trainer.network.train()
    return trainer


def prepare(lesson: Lesson) -> tuple[Lesson, Task]:
    """Prepare the batch; nothing is compiled for that."""
    if lesson.threads:
        torch.set_num_threads(lesson.threads)
    if lesson.library is not None:
        peers.load(lesson.library)
    header, weights = in_order(lesson.file)
    plain = override(lesson.config, {"native": False, "compile": "off"})
    loader = ready(parts_of(plain, header.spec, header.num_classes)).train
    parts = parts_of(lesson.config, header.spec, header.num_classes)
    return lesson, Task(parts, next(loader.epoch(0)), weights)


def bare_step(trainer: Trainer, batch: Batch) -> Step:
    """Return the trainer's step on one batch that is ready."""

    def step() -> float:
        loss, _ = trainer.update(batch, LR)
        return loss.item()

    return step


@contextmanager
def ours(prepared: tuple[Lesson, Task]) -> Iterator[Program]:
    """Train as `effnet train` does."""
    lesson, task = prepared
    with ExitStack() as settings:
        if lesson.keeps_memory:
            settings.enter_context(kept_memory(task.parts.device))
        trainer = ready(task.parts)
        begin(trainer.network, task)
        yield program(bare_step(trainer, task.batch), trainer.network, task)


@contextmanager
def peer(prepared: tuple[Lesson, Task], *, library: Library, mode: Mode) -> Iterator[Program]:
    """Train a library's network with that library's optimizer and moving average."""
    lesson, task = prepared
    device, settings = task.parts.device, task.parts.config.optim
    layout = torch.channels_last if mode.channels_last else torch.contiguous_format
    with ExitStack() as held:
        if lesson.keeps_memory:
            held.enter_context(kept_memory(device))
        network = peers.build(task.parts.spec, len(task.parts.dataset.class_names), library, task.weights)
        network.train().to(device).to(memory_format=layout)  # type: ignore[call-overload]  # torch's stub lacks it
        optimizer, average = PRACTICES[library](network, settings)
        logits_of: Callable[[Tensor], Tensor] = torch.compile(network) if mode.compiled else network
        images, labels = task.batch[0].contiguous(memory_format=layout), task.batch[1]

        def step() -> float:
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device.type, torch.bfloat16, enabled=mode.bf16):
                loss = F.cross_entropy(logits_of(images), labels, label_smoothing=settings.label_smoothing)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            average()
            return loss.item()

        yield program(step, network, task)


def begin(network: nn.Module, task: Task) -> None:
    """Give a network the weights that all begin with; layers have one order in all libraries."""
    network.load_state_dict(dict(zip(network.state_dict(), task.weights, strict=True)))


def program(step: Step, network: nn.Module, task: Task) -> Program:
    """Put a program together; asked for logits, it goes back to the weights that all began with."""
    device = task.parts.device

    def logits(images: Tensor) -> Tensor:
        begin(network, task)
        network.eval()
        found: Tensor = network(images.to(device))
        network.train()
        return found

    return Program(step, answerer(logits), gpu_bytes(device))


Practice = tuple[torch.optim.Optimizer, Callable[[], object]]
"""An optimizer, and what updates the moving average."""


def timm_practice(network: nn.Module, settings: OptimConfig) -> Practice:
    """Return timm's optimizer and average, as its `train.py` makes them."""
    from timm.optim import create_optimizer_v2  # type: ignore[attr-defined]  # timm has no py.typed exports
    from timm.utils.model_ema import ModelEmaV3

    average = ModelEmaV3(network, decay=settings.ema_decay)
    optimizer: torch.optim.Optimizer = create_optimizer_v2(
        network, "sgd", lr=LR, momentum=settings.momentum, weight_decay=settings.weight_decay
    )
    return optimizer, partial(average.update, network)


def torchvision_practice(network: nn.Module, settings: OptimConfig) -> Practice:
    """Return torch's optimizer and average, as torchvision's reference training makes them."""
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay), use_buffers=True)  # type: ignore[no-untyped-call]
    matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.SGD(groups, lr=LR, momentum=settings.momentum, nesterov=True)
    return optimizer, partial(average.update_parameters, network)


PRACTICES: dict[Library, Callable[[nn.Module, OptimConfig], Practice]] = {
    "timm": timm_practice,
    "torchvision": torchvision_practice,
}
