"""A study of networks that train in a second, for the tests."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from effnet.spec import netspec
from effnet.spec.families import QUICK_CIFAR
from effnet.spec.netspec import Head

TINY_BASE = replace(
    QUICK_CIFAR,
    name="tiny",
    stem=replace(QUICK_CIFAR.stem, out_channels=16),
    stages=tuple(
        replace(stage, out_channels=channels, repeats=2)
        for stage, channels in zip(QUICK_CIFAR.stages[:3], (16, 24, 32), strict=True)
    ),
    head=Head(out_channels=64),
    resolution=12,
)

SETTINGS: dict[str, Any] = {"epochs": 1, "batch_size": 256, "resolution": 12, "device": "cpu"}


def save_base(folder: Path) -> str:
    """Write the base as `effnet scale --out` does; return its path."""
    path = folder / "tiny.json"
    netspec.save(TINY_BASE, path)
    return str(path)
