"""The values that a training is made of, and a trainer built from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from effnet.config import DataConfig, TrainConfig
from effnet.data.datasets import DataSet, Samples
from effnet.data.loaders import LOADERS, EvalLoader
from effnet.data.pixels import PixelFormat, PixelSource, Reading, Storage
from effnet.data.splits import Splits, absent_classes, split
from effnet.data.storage import open_pixels, place
from effnet.data.workers import num_workers
from effnet.device import pick_device, to_device
from effnet.errors import UsageError, some
from effnet.evaluation.classifier import Classifier
from effnet.imaging.preprocess import Preprocess
from effnet.network.model import ConvNet
from effnet.spec.netspec import NetSpec
from effnet.training.compute import Compute, choose
from effnet.training.group import ALONE, Group
from effnet.training.layers import frozen_parts
from effnet.training.lessons import lessons
from effnet.training.loop import Trainer
from effnet.training.reporter import Reporter
from effnet.training.setup import build_preprocess, build_spec, check
from effnet.training.teacher import NO_TEACHER, Teacher, mentor


@dataclass(frozen=True)
class Parts:
    """The values that a training is made of."""

    dataset: DataSet
    config: TrainConfig
    spec: NetSpec
    preprocess: Preprocess
    splits: Splits
    device: torch.device
    sizing: Mapping[str, Any] = field(default_factory=dict)
    """How the network was chosen, for the training record; empty if it was given."""
    start: Mapping[str, Tensor] = field(default_factory=dict)
    """Weights to begin with, by their names in the network; the others are drawn."""
    teacher: Classifier | None = None
    """Whose answers are learned, beside the labels."""
    ancestry: Mapping[str, Any] = field(default_factory=dict)
    """What the training record says of the model files that it builds on."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """What was asked for, so that the same command goes on with it; see `begun`."""
    group: Group = ALONE
    """The processes that share this training."""


def assemble(dataset: DataSet, config: TrainConfig, spec: NetSpec | None = None) -> Parts:
    """Derive all values from the configuration; a resumed training brings its network with it.

    Raises:
        UsageError: settings that exclude each other, or an unknown network.
        DataError: the images cannot be split.

    """
    check(config)
    spec = build_spec(config) if spec is None else spec
    frozen_parts(config.finetune, spec)  # refuses names that the network does not know
    preprocess, splits = build_preprocess(config, spec), split(dataset, config.data, config.seed)
    device = pick_device(config.device)
    if config.sync_bn and device.type != "cuda":
        raise UsageError(
            f"sync_bn = true and device {device.type} exclude each other: torch computes it on CUDA GPUs "
            f"only; leave sync_bn out"
        )
    return Parts(dataset, config, spec, preprocess, splits, device)


def announce(reporter: Reporter, parts: Parts) -> None:
    """Say what is about to happen, and warn where experience says it will disappoint."""
    spec, splits, dataset = parts.spec, parts.splits, parts.dataset
    test = f"{len(splits.test):,} to test" if splits.test else "no test part"
    learned = len(splits.train)
    some_of = f" of {learned + splits.num_left_out:,}" if splits.num_left_out else ""
    reporter.message(
        f"{dataset.name}: {len(dataset.class_names)} classes, {learned:,}{some_of} images to train on, "
        f"{len(splits.val):,} to choose by, {test}"
    )
    reporter.message(
        f"network {spec.name} at {spec.resolution}×{spec.resolution} pixels on {parts.device.type}"
    )
    for line in parts.group.words(min(parts.config.batch_size, learned), parts.config.optim.lr):
        reporter.message(line)
    for part, names in absent_classes(splits, dataset.class_names).items():
        reporter.message(f"warning: {part} has no images of {some(names)}: how well they do will not be seen")
    if spec.feature_size < 3 and spec.total_stride > 8:
        reporter.message(
            f"warning: the last feature map has only {spec.feature_size}×{spec.feature_size} cells "
            f"(total stride {spec.total_stride}); for small images take a -cifar network"
        )


def build_trainer(parts: Parts, reporter: Reporter, storage: Mapping[str, Storage] | None = None) -> Trainer:
    """Read the images and build the network; `storage` says where those of a resumed run were."""
    config, preprocess, device = parts.config, parts.preprocess, parts.device
    train_pixels = read("train", parts, reporter, storage or {})
    val_pixels = read("val", parts, reporter, storage or {})
    build_loader = LOADERS[config.data.balance]
    num_classes = len(parts.dataset.class_names)
    taught = lessons(config, parts.spec, preprocess, num_classes)
    loader = build_loader(train_pixels, taught[-1].augment, taught[-1].mix, config.batch_size, config.seed)
    torch.manual_seed(config.seed)
    network = ConvNet(parts.spec, num_classes, checkpoint_stages=config.checkpoint_stages)
    network.load_state_dict(parts.start, strict=False)
    network = to_device(network, device)
    if config.sync_bn:
        network = parts.group.with_common_norms(network)
    trainer = Trainer(network, loader, EvalLoader(val_pixels, preprocess, config.batch_size), config)
    trainer.lessons = taught
    trainer.guard.say = reporter.message
    compute = choose(config, device)
    trainer.teacher = teacher_of(parts, compute)
    trainer.join(parts.group.timed(config.hang_minutes))
    trainer.compute_by(compute)
    trainer.unread = left_out(parts.splits.train, train_pixels) + left_out(parts.splits.val, val_pixels)
    return trainer


def teacher_of(parts: Parts, compute: Compute) -> Teacher:
    """Bring the teacher to the device, if there is one."""
    if parts.teacher is None:
        return NO_TEACHER
    found = Classifier(parts.teacher.header, parts.teacher.network, parts.device, parts.teacher.path)
    return mentor(found, parts.dataset.class_names, parts.preprocess, parts.config.distill, compute)


def left_out(samples: Samples, pixels: PixelSource) -> tuple[str, ...]:
    """Return the names of the images that could not be read; in a stream they show themselves later."""
    return tuple(sorted(set(samples.names) - set(pixels.names)))


def read(part: str, parts: Parts, reporter: Reporter, storage: Mapping[str, Storage]) -> PixelSource:
    """Bring a part of the data within reach; training images keep the border that random crops need."""
    preprocess, data = parts.preprocess, parts.config.data
    side = preprocess.resized_short_side if part == "train" else preprocess.resolution
    samples = parts.splits.train if part == "train" else parts.splits.val
    reading = Reading(
        replace(data, storage=storage.get(part, data.storage)),
        parts.device,
        on_read=lambda done, total: reporter.reading(part, done, total),
        say=reporter.message,
    )
    form = PixelFormat(preprocess, side, data.draft and part == "train")
    if parts.group is not ALONE:
        config = data_of(parts.group, samples, form, reading)
        reading = replace(reading, config=config, num_here=parts.group.num_here)
    return open_pixels(samples, form, reading)


def data_of(group: Group, samples: Samples, form: PixelFormat, reading: Reading) -> DataConfig:
    """Return how the processes of a group read: all alike, and sharing the cores of their machine."""
    data, count = reading.config, group.num_here
    return replace(
        data,
        storage=group.from_first(lambda: place(samples, form, reading, count)),
        workers=max(1, num_workers(None) // count) if data.workers is None else data.workers,
    )
