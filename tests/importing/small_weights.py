"""Small networks in the layouts of other libraries: seconds matter, sizes do not."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from effnet.layouts.catalogue import LAYOUTS
from effnet.spec.families import get_spec
from effnet.spec.netspec import NetSpec
from effnet.spec.scale import scale

SPEC = get_spec(scale("b0", -8), resolution=32)
"""Of no library: it is told by a spec file."""


def state(layout: str = "timm", spec: NetSpec | str = "lite0", num_classes: int = 1000) -> dict[str, Tensor]:
    """Return weights by the names of a layout: small random numbers."""
    generator = torch.Generator().manual_seed(0)
    shapes = LAYOUTS[layout].shapes(get_spec(spec), num_classes)
    return {
        name: torch.tensor(0) if shape == () else torch.rand(shape, generator=generator) * 0.1
        for name, shape in shapes.items()
    }


def card(architecture: str = "tf_efficientnet_lite0", **facts: Any) -> bytes:
    """Return what timm says beside weights."""
    known = {
        "input_size": [3, 224, 224],
        "crop_pct": 0.875,
        "interpolation": "bilinear",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
        "license": "apache-2.0",
    }
    return json.dumps(
        {"architecture": architecture, "num_classes": 1000, "pretrained_cfg": known | facts}
    ).encode()


def safetensors(tensors: dict[str, Tensor]) -> bytes:
    """Return a file of weights."""
    return save(tensors)


def pickled(content: object) -> bytes:
    """Return what `torch.save` writes."""
    buffer = BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def written(folder: Path, name: str, content: bytes) -> Path:
    """Write a file."""
    path = folder / name
    path.write_bytes(content)
    return path
