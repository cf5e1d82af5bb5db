"""Configuration: typed values only. Built once at the edge, validated once, never mutated."""

import json
from collections.abc import Mapping
from dataclasses import field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from effnet.errors import UsageError, bad_value, key_of, unknown_name
from effnet.recipe import read_recipe
from effnet.spec.scale import Coefficients
from effnet.transfer.settings import DistillConfig, FinetuneConfig, ProgressiveConfig

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

Share = Annotated[float, Field(gt=0.0, lt=0.9)]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]
Alpha = Annotated[float, Field(ge=0.0, le=100.0)]
Means = Annotated[tuple[float, ...], Field(min_length=1, max_length=3)]

OptimizerName = Literal["sgd", "adamw", "rmsprop"]
ScheduleName = Literal["cosine", "exponential", "onecycle"]
PolicyName = Literal["none", "rand", "auto-imagenet", "auto-cifar10", "auto-svhn", "trivial"]
PrecisionName = Literal["auto", "float32", "bfloat16"]
DeviceName = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True, config=_STRICT)
class DataConfig:
    """Which images are held out, and how they are read."""

    val_fraction: Share = 0.1
    """Share of the training images kept for every choice made during training."""
    test_fraction: Share = 0.2
    """Share of all images kept for the final test, when the data set has no split of its own."""
    max_train: Annotated[int, Field(ge=2)] | None = None
    """Images to train on, of each class its share, drawn by the seed; all when not given."""
    max_val: Annotated[int, Field(ge=2)] | None = None
    """Images to choose by, of each class its share; all of the validation part when not given."""
    fold: Annotated[str, Field(pattern=r"^[1-9]\d{0,3}/[1-9]\d{0,3}$")] | None = None
    """Cross-validation: 2/5 holds out the second of five folds of the training images as the test part."""
    balance: Literal["none", "weights", "sampling"] = "none"
    """For unequal classes: weigh the loss by 1 / frequency, or draw images of all classes equally often."""
    max_broken: Annotated[float, Field(ge=0.0, le=1.0)] = 0.01
    """Share of unreadable images that may be skipped, each one named; more is an error."""
    storage: Literal["auto", "memory", "stream"] = "auto"
    """Decoded images stay in memory, or workers decode them for every epoch; auto: in memory if they fit."""
    workers: Annotated[int, Field(ge=0, le=1024)] | None = None
    """Processes that decode a stream, 0: the training's own; one per core, at most 16, when not given."""
    window: Annotated[int, Field(ge=1)] = 64
    """Shards whose images are mixed with one another, in a set of more of them; see docs/data.md."""
    draft: bool = True
    """Large JPEG photos to train on are decoded at half their size or less, above what is kept of them."""


@dataclass(frozen=True, config=_STRICT)
class InputConfig:
    """How an image becomes the network's input; stored in the model file."""

    channels: Literal[1, 3] = 3
    """3 for colour, 1 for greyscale."""
    crop: Annotated[float, Field(gt=0.1, le=1.0)] = 1.0
    """The middle of the image that evaluation sees, as a share of its short side."""
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bicubic"
    """Filter used for resizing."""
    mean: Means = (0.485, 0.456, 0.406)
    """Mean of each channel, of values from 0 to 1."""
    std: Means = (0.229, 0.224, 0.225)
    """Standard deviation of each channel."""


@dataclass(frozen=True, config=_STRICT)
class AugmentConfig:
    """Random changes to training images, drawn for each image from (seed, epoch, image index)."""

    flip: bool = True
    """Mirror half of the images left to right."""
    crop_padding: Annotated[int, Field(ge=0, le=256)] = 0
    """Pixels added around the image by reflection before a crop at a random place."""
    resized_crop: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Smallest area, as a share of the image, of a crop that is then resized; 0 keeps the plain crop."""
    policy: PolicyName = "none"
    """Which operations change the look: RandAugment, AutoAugment's tables, TrivialAugment."""
    rand_ops: Annotated[int, Field(ge=1, le=14)] = 2
    """rand: operations per image."""
    rand_magnitude: Annotated[float, Field(ge=0.0, le=30.0)] = 9.0
    """rand: strength of the operations, 0 to 30."""
    erasing: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Share of the images in which a rectangle is filled with noise."""
    mixup: Alpha = 0.0
    """Images are added to one another by a share from Beta(mixup, mixup); 0 switches it off."""
    cutmix: Alpha = 0.0
    """Rectangles pasted between images, by area from Beta(cutmix, cutmix); with mixup, in half of all."""


@dataclass(frozen=True, config=_STRICT)
class OptimConfig:
    """Optimizer and learning-rate schedule."""

    name: OptimizerName = "sgd"
    """Update rule; rmsprop is TensorFlow's, which the paper used."""
    lr: Annotated[float, Field(gt=0.0, le=100.0)] = 0.05
    """Peak learning rate."""
    momentum: Rate = 0.9
    """Momentum of sgd (Nesterov) and rmsprop."""
    weight_decay: Annotated[float, Field(ge=0.0, le=1000.0)] = 5e-4
    """Weight decay; biases and batch normalisation are left alone."""
    rho: Rate = 0.9
    """rmsprop: decay of the mean square."""
    beta1: Rate = 0.9
    """adamw: decay of the first moment."""
    beta2: Rate = 0.999
    """adamw: decay of the second moment."""
    eps: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """rmsprop: added to the mean square, inside the root, 1e-3; adamw: beside the root, 1e-8."""
    schedule: ScheduleName = "cosine"
    """Shape of the learning rate over the training."""
    warmup_epochs: Annotated[float, Field(ge=0.0)] = 1.0
    """Epochs of linear rise from 0; for onecycle, of its rising part."""
    decay_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.97
    """exponential: factor applied every decay_epochs."""
    decay_epochs: Annotated[float, Field(ge=0.001)] = 2.4
    """exponential: epochs between two decays."""
    clip_norm: Annotated[float, Field(gt=0.0, le=1e6)] | None = None
    """Largest norm of all gradients together; longer ones are shortened to it."""
    accumulate: Annotated[int, Field(ge=1, le=4096)] = 1
    """Pieces that a batch is computed in, one after the other: less memory, the same step (but for BN)."""
    label_smoothing: Rate = 0.1
    """Share of each label spread over all classes."""
    ema_decay: Rate = 0.999
    """Decay of the moving average of the weights, warmed up from 0.1; 0 switches the average off."""


@dataclass(frozen=True, config=_STRICT)
class TrainConfig:
    """Everything that decides a training, except the data and the folder."""

    model: str = "b0"
    """Network: a name from `effnet show`, or a .json file from `effnet scale --out`."""
    phi: Annotated[float, Field(ge=-12.0, le=12.0)] = 0.0
    """Compound coefficient that scales the network, any number; negative is smaller."""
    resolution: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Side of the input in pixels; the network's own when not given."""
    dropout: Rate | None = None
    """Dropout before the classifier; the network's own when not given."""
    drop_path: Rate | None = None
    """Stochastic depth at the end of the network; the network's own when not given."""
    bn_momentum: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Weight of a new batch in BN statistics (the paper's 0.99 is 0.01); the network's own if not given."""
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 30
    """Passes over the training images."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 64
    """Images per optimizer step."""
    auto_batch: bool = False
    """Raise optim.accumulate as far as a step needs to fit into the free memory; batch and schedule stay."""
    checkpoint_stages: bool = False
    """Compute each stage twice instead of keeping what it computed: less memory, about a third more time."""
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    """Seed of everything random: split, weights, order, augmentation, dropout."""
    max_minutes: Annotated[float, Field(gt=0.0, le=1e6)] | None = None
    """Wall time for the whole run, reading and testing included; the schedule is fitted to what it allows."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Stop after so many epochs without a higher validation accuracy; never when not given."""
    save_minutes: Annotated[float, Field(gt=0.0)] = 10.0
    """The state is saved after every epoch, and in long ones every so many minutes."""
    hang_minutes: Annotated[float, Field(gt=0.0, le=10_000.0)] = 10.0
    """Of several processes, one that is silent for so long counts as hung, and all are ended."""
    sync_bn: bool = False
    """Batch normalisation over the images of all processes, on GPUs; else each normalises by its own."""
    device: DeviceName = "auto"
    """Where to compute: auto takes a GPU if there is one."""
    precision: PrecisionName = "auto"
    """Number format of convolutions: auto is bfloat16 where the processor computes with it, else float32."""
    native: bool = True
    """On a CPU, train with effnet's own kernels; a C++ compiler makes them in seconds at the first start."""
    compile: Literal["auto", "on", "off"] = "auto"
    """torch.compile: auto is on for CUDA only; on a CPU, minutes of compiling do not pay off."""
    data: DataConfig = field(default_factory=DataConfig)
    input: InputConfig = field(default_factory=InputConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    coefficients: Coefficients = field(default_factory=Coefficients)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    progressive: ProgressiveConfig = field(default_factory=ProgressiveConfig)


_ADAPTER = TypeAdapter(TrainConfig)


def to_dict(config: TrainConfig) -> dict[str, Any]:
    """Return the configuration as plain JSON values."""
    data: dict[str, Any] = _ADAPTER.dump_python(config, mode="json")
    return data


def from_dict(data: Mapping[str, Any], origin: str) -> TrainConfig:
    """Build a configuration from nested values; what is not given keeps its default.

    Raises:
        UsageError: unknown key, wrong type or value out of range; the message names `origin` and the key.

    """
    try:
        return _ADAPTER.validate_json(json.dumps(data))
    except ValidationError as error:
        raise UsageError(f"{origin}: {explain(error)}") from None
    except (TypeError, ValueError) as error:
        raise UsageError(f"{origin}: {error}") from None


def override(config: TrainConfig, settings: Mapping[str, Any], origin: str = "settings") -> TrainConfig:
    """Lay nested settings over a configuration: `{"optim": {"lr": 0.1}}`; raises as `from_dict`."""
    return from_dict(_merge(to_dict(config), settings), origin) if settings else config


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, given in above.items():
        value = str(given) if isinstance(given, Path) else given
        inner = merged.get(key)
        both = isinstance(inner, dict) and isinstance(value, Mapping)
        merged[key] = _merge(inner, value) if both else value  # type: ignore[arg-type]
    return merged


def load_recipe(name: str | Path) -> TrainConfig:
    """Read a recipe by name, or from a path that ends in `.toml`; UsageError if it is none."""
    return from_dict(read_recipe(str(name)), origin=f"recipe {name}")


def explain(error: ValidationError) -> str:
    """Say the first problem of a failed validation in one line, naming the key and the nearest known ones."""
    problem = error.errors()[0]
    if problem["type"] == "unexpected_keyword_argument":
        return str(unknown_name("key", key_of(problem), _known_keys()))
    return bad_value(problem)


def _known_keys() -> list[str]:
    keys: list[str] = []
    for item in fields(TrainConfig):
        if isinstance(item.type, type) and is_dataclass(item.type):
            keys += [f"{item.name}.{inner.name}" for inner in fields(item.type)]
        else:
            keys.append(item.name)
    return keys
