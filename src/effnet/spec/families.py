"""The named networks: B0-B7 of the paper, for small images too; Lite and V2; a quick one; the baselines."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from effnet.errors import UsageError, unknown_name
from effnet.spec import netspec
from effnet.spec.baselines import BASELINES
from effnet.spec.lite import LITE
from effnet.spec.netspec import Head, NetSpec, Stage, Stem
from effnet.spec.resize import Multipliers, resize, round_resolution
from effnet.spec.v2 import V2

B0 = NetSpec(
    name="b0",
    # Paper, Table 1. The stem is its stage 1, the head its stage 9.
    stem=Stem(kernel_size=3, stride=2, out_channels=32),
    stages=(
        #     block   expand  k  s    c  n
        Stage("mbconv", 1, 3, 1, 16, 1),  # stage 2
        Stage("mbconv", 6, 3, 2, 24, 2),
        Stage("mbconv", 6, 5, 2, 40, 2),
        Stage("mbconv", 6, 3, 2, 80, 3),
        Stage("mbconv", 6, 5, 1, 112, 3),
        Stage("mbconv", 6, 5, 2, 192, 4),
        Stage("mbconv", 6, 3, 1, 320, 1),  # stage 8
    ),
    head=Head(out_channels=1280),
    resolution=224,
)

# Strides for images of about 32 pixels: total stride 4 instead of 32, so that 32×32 ends in 8×8 cells.
_CIFAR_STRIDES = (1, 1, 1, 2, 1, 2, 1)

B0_CIFAR = replace(
    B0,
    name="b0-cifar",
    stem=replace(B0.stem, stride=1),
    stages=tuple(
        replace(stage, stride=stride) for stage, stride in zip(B0.stages, _CIFAR_STRIDES, strict=True)
    ),
    resolution=32,
)

# For minutes on a CPU: fused blocks while maps are large, as in EfficientNetV2 (Tan & Le 2021), then MBConv
# with squeeze-and-excitation; 32×32 ends in 4×4 (docs/experiments.md).
QUICK_CIFAR = NetSpec(
    name="quick-cifar",
    stem=Stem(kernel_size=3, stride=1, out_channels=16),
    stages=(
        #     block         expand  k  s    c  n  squeeze
        Stage("fused-mbconv", 1, 3, 1, 16, 1, 0.0),
        Stage("fused-mbconv", 4, 3, 2, 32, 1, 0.0),
        Stage("fused-mbconv", 4, 3, 2, 64, 2, 0.0),
        Stage("mbconv", 4, 3, 1, 96, 2, 0.25),
        Stage("mbconv", 6, 3, 2, 128, 2, 0.25),
    ),
    head=Head(out_channels=640),
    resolution=32,
    dropout=0.0,  # a few epochs do not overfit
    drop_path=0.0,
)


@dataclass(frozen=True)
class OfficialRow:
    """One row of the official code's table of coefficients (`efficientnet_builder.py`)."""

    name: str
    width: float
    depth: float
    resolution: int
    dropout: float
    phi: float
    """The φ it stands for, judged by width and resolution; the official code does not use φ."""


OFFICIAL_TABLE = (
    #           name  width depth  res. dropout φ
    OfficialRow("b0", 1.0, 1.0, 224, 0.2, 0.0),
    OfficialRow("b1", 1.0, 1.1, 240, 0.2, 0.5),
    OfficialRow("b2", 1.1, 1.2, 260, 0.3, 1.0),
    OfficialRow("b3", 1.2, 1.4, 300, 0.3, 2.0),
    OfficialRow("b4", 1.4, 1.8, 380, 0.4, 3.5),
    OfficialRow("b5", 1.6, 2.2, 456, 0.4, 5.0),
    OfficialRow("b6", 1.8, 2.6, 528, 0.5, 6.0),
    OfficialRow("b7", 2.0, 3.1, 600, 0.5, 7.0),
)


def official(base: NetSpec, row: OfficialRow) -> NetSpec:
    """Scale `base` (B0, or B0 for small images) by a row of the official table."""
    factor = row.resolution / B0.resolution
    resized = resize(base, Multipliers(row.depth, row.width, factor))
    return replace(
        resized,
        name=base.name.replace("b0", row.name, 1),
        resolution=round_resolution(base.resolution * factor),
        dropout=row.dropout,
    )


NETWORKS: dict[str, NetSpec] = {
    spec.name: spec for base in (B0, B0_CIFAR) for spec in (official(base, row) for row in OFFICIAL_TABLE)
} | {spec.name: spec for spec in (QUICK_CIFAR, *LITE, *V2, *BASELINES)}


def get_spec(network: str | NetSpec, **changes: Any) -> NetSpec:
    """Look up a network by name, or read the JSON file that `effnet scale --out` wrote.

    Args:
        network: a name (of `NETWORKS`, which `effnet show` lists), a path that ends in `.json`, or a spec.
        changes: fields of `NetSpec` to replace, such as `in_channels=1`.

    Raises:
        UsageError: unknown name or field, or a value out of range.

    """
    spec = network if isinstance(network, NetSpec) else _named(network)
    if not changes:
        return spec
    return netspec.from_dict(netspec.to_dict(spec) | changes, origin=f"network {spec.name}")


def _named(name: str) -> NetSpec:
    if name.endswith(".json"):
        return netspec.load(Path(name))
    if name not in NETWORKS:
        raise unknown_network(name)
    return NETWORKS[name]


def usual_classes(spec: NetSpec) -> int:
    """Return the number of classes that costs are counted for where none is given.

    1000 as on ImageNet; 10 as on CIFAR-10 for networks of small images.
    """
    return 10 if spec.total_stride < 16 else 1000


def unknown_network(name: str) -> UsageError:
    """Build the error that lists the networks and says how to get another one."""
    known = unknown_name("network", name, NETWORKS)
    return UsageError(f"{known}; or a .json file from `effnet scale BASE --phi X --out FILE`")
