"""A network as a value: frozen, printable, comparable, hashable, and storable as JSON."""

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, ValidationInfo, field_validator
from pydantic.dataclasses import dataclass

from effnet.errors import UsageError, bad_value, key_of
from effnet.files import read_marked, write_text

T = TypeVar("T")

BlockKind = Literal["mbconv", "fused-mbconv", "separable", "basic", "bottleneck"]
Activation = Literal["silu", "relu", "relu6", "hardswish", "gelu"]
Padding = Literal["symmetric", "same"]

# Far beyond any network, so that a slip of the finger is an error and not an endless computation.
Channels = Annotated[int, Field(ge=1, le=65_536)]
Repeats = Annotated[int, Field(ge=1, le=1_000)]
Resolution = Annotated[int, Field(ge=1, le=16_384)]
KernelSize = Literal[1, 3, 5, 7, 9, 11]
Stride = Annotated[int, Field(ge=1, le=4)]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]

POOL_SIZE, POOL_STRIDE = 3, 2

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, config=_STRICT)
class Stem:
    """The first convolution: dense, followed by batch normalisation, the activation and perhaps a pool."""

    kernel_size: KernelSize = 3
    stride: Stride = 2
    out_channels: Channels = 32
    pool: bool = False
    """Whether a max pool of 3×3 at stride 2 follows, as in ResNet."""

    @property
    def total_stride(self) -> int:
        """Pixels of the image per cell behind the convolution and the pool, along one side."""
        return self.stride * POOL_STRIDE if self.pool else self.stride


@dataclass(frozen=True, config=_STRICT)
class Stage:
    """One row of the paper's Table 1: `repeats` blocks, of which only the first one strides."""

    block: BlockKind
    expand_ratio: Repeats
    """mbconv: inner channels over the block's input; bottleneck: its output over the inner channels."""
    kernel_size: KernelSize
    stride: Stride
    out_channels: Channels
    repeats: Repeats
    se_ratio: Annotated[float, Field(ge=0.0, le=1.0, validate_default=True)] = 0.25
    """Squeeze-and-excitation width as a share of the block's *input* channels; 0 leaves it out."""

    @field_validator("expand_ratio")
    @classmethod
    def _has_expansion(cls, ratio: int, info: ValidationInfo) -> int:
        block = info.data.get("block")
        if ratio != 1 and block in ("separable", "basic"):
            raise ValueError(f"block {block!r} does not expand; write 1")
        return ratio

    @field_validator("out_channels")
    @classmethod
    def _divides(cls, channels: int, info: ValidationInfo) -> int:
        ratio = info.data.get("expand_ratio", 1)
        if info.data.get("block") == "bottleneck" and channels % ratio:
            raise ValueError(f"must be a multiple of expand_ratio, {ratio}, in a bottleneck")
        return channels

    @field_validator("se_ratio")
    @classmethod
    def _has_gates(cls, ratio: float, info: ValidationInfo) -> float:
        block = info.data.get("block")
        if ratio and block in ("separable", "basic", "bottleneck"):
            raise ValueError(f"block {block!r} has no squeeze-and-excitation; write 0")
        return ratio


@dataclass(frozen=True, config=_STRICT)
class Head:
    """The last 1×1 convolution, before global average pooling, dropout and the classifier."""

    out_channels: Channels = 1280


@dataclass(frozen=True, config=_STRICT)
class NetSpec:
    """Everything that defines a network except the number of classes.

    Defaults are those of the paper's B0. `bn_momentum` is torch's: the weight of the *new* batch
    (the paper's 0.99 is 0.01 here; docs/decisions/0002 says why the default is 0.1).
    """

    name: Annotated[str, Field(min_length=1)]
    stem: Stem
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    head: Head | None
    """None where the classifier sees the features of the last stage, as in MobileNetV1 and ResNet."""
    resolution: Resolution
    dropout: Rate = 0.2
    drop_path: Rate = 0.2
    """Stochastic depth: block i of n has the rate drop_path · i / n, from 0 (official code)."""
    in_channels: Channels = 3
    activation: Activation = "silu"
    padding: Padding = "symmetric"
    bn_eps: Annotated[float, Field(gt=0.0)] = 1e-3
    bn_momentum: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1

    @property
    def num_blocks(self) -> int:
        """Number of blocks over all stages."""
        return sum(stage.repeats for stage in self.stages)

    @property
    def total_stride(self) -> int:
        """Pixels of the image per cell of the last feature map, along one side."""
        return self.stem.total_stride * prod(stage.stride for stage in self.stages)

    @property
    def feature_size(self) -> int:
        """Side of the last feature map at the training resolution."""
        return -(-self.resolution // self.total_stride)  # padding makes every stride round up

    @property
    def feature_channels(self) -> int:
        """Channels of the last feature map: of the head, or of the last stage where there is none."""
        return self.stages[-1].out_channels if self.head is None else self.head.out_channels


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return what TensorFlow's "SAME" adds before and behind `size` pixels: an odd pixel goes behind."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


_ADAPTER = TypeAdapter(NetSpec)


def to_dict(spec: NetSpec) -> dict[str, Any]:
    """Return the spec as plain JSON values."""
    data: dict[str, Any] = _ADAPTER.dump_python(spec, mode="json")
    return data


def from_dict(data: object, origin: str = "network spec") -> NetSpec:
    """Build a spec from JSON values.

    Raises:
        UsageError: a key is unknown or missing, or a value is out of range. `origin` names the source.

    """
    try:
        return _ADAPTER.validate_python(data)
    except ValidationError as error:
        raise UsageError(f"{origin}: {first_problem(error)}") from error


def first_problem(error: ValidationError) -> str:
    """Say the first problem of a failed validation in one line, naming the key."""
    problem = error.errors()[0]
    if problem["type"] == "unexpected_keyword_argument":
        return f"unknown key {key_of(problem)!r}"
    return f"{key_of(problem)} is missing" if problem["type"] == "missing" else bad_value(problem)


def read_values(adapter: TypeAdapter[T], values: Mapping[str, Any]) -> T:
    """Make a checked value of what was given by name.

    Raises:
        UsageError: an unknown name, a wrong value, or values that do not go together.

    """
    try:
        return adapter.validate_python(values)
    except ValidationError as error:
        raise UsageError(first_problem(error)) from None


def save(spec: NetSpec, path: Path) -> None:
    """Write the spec as a JSON file, whole or not at all."""
    write_text(path, json.dumps({"effnet_spec": 1, "spec": to_dict(spec)}, indent=2) + "\n")


def load(path: Path) -> NetSpec:
    """Read a spec that `save` wrote.

    Raises:
        UsageError: no such file, not JSON, or not a network spec.

    """
    remedy = "`effnet scale BASE --phi X --out FILE` writes one"
    data = read_marked(path, {"effnet_spec": 1}, kinds=("a network spec", "a network spec"), remedy=remedy)
    return from_dict(data.get("spec"), origin=str(path))
