"""Images to corrupt: like photographs, smooth regions with edges, in colour or grey."""

import numpy as np
import torch
from torch import Tensor

from effnet.evaluation.corruptions.catalogue import corrupt


def scenes(count: int, side: int, channels: int = 3) -> Tensor:
    """Return images `(count, channels, side, side)` uint8 of discs over shaded ground."""
    generator = np.random.default_rng(side + channels)
    rows, columns = np.mgrid[:side, :side] / side
    images = np.empty((count, channels, side, side))
    for image in images:
        slope = generator.uniform(-60, 60, (channels, 2, 1, 1))
        image[:] = generator.uniform(60, 190, (channels, 1, 1)) + slope[:, 0] * rows + slope[:, 1] * columns
        for _ in range(6):
            row, column, radius = generator.uniform((0, 0, 0.05), (1, 1, 0.25))
            inside = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
            image[:, inside] = generator.uniform(20, 235, (channels, 1))
    return torch.from_numpy(images.clip(0, 255).astype(np.uint8))


def ours(images: Tensor, name: str, severity: int, *, seed: int = 0, first: int = 0) -> Tensor:
    """Corrupt images that are numbered from `first` on."""
    return corrupt(images, name, severity, seed=seed, indices=np.arange(first, first + len(images)))


def change(images: Tensor, name: str, severity: int) -> float:
    """Return by how many grey levels a value changes on average."""
    return (ours(images, name, severity).float() - images.float()).abs().mean().item()
