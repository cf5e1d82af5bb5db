"""The corruptions by name, in the authors' order, and what of ours is not comparable with theirs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from effnet.errors import UsageError, unknown_name
from effnet.evaluation.corruptions.blur import defocus_blur, glass_blur, motion_blur, zoom_blur
from effnet.evaluation.corruptions.digital import (
    brightness,
    contrast,
    elastic_transform,
    jpeg_compression,
    pixelate,
)
from effnet.evaluation.corruptions.draws import Draws
from effnet.evaluation.corruptions.noise import gaussian_noise, impulse_noise, shot_noise
from effnet.evaluation.corruptions.severities import NUM_SEVERITIES, severities_for
from effnet.evaluation.corruptions.weather import fog, frost, snow

MIN_SIDE = 8  # pixels; of less the geometry of several corruptions leaves nothing

CHUNK_VALUES = 1 << 18
"""Values corrupted at once: in float64 they fit into a processor's cache, which halves the time."""

Change = Callable[[Tensor, Any, Draws], Tensor]
"""From images `(N, C, S, S)` uint8 on the CPU, the constants of a severity, and draws, to images."""


@dataclass(frozen=True)
class Corruption:
    """One of the 15."""

    title: str
    family: str
    change: Change
    caveat: str = ""
    """How ours differs from the published images by more than a grey level and the random numbers."""


CORRUPTIONS = {
    "gaussian_noise": Corruption("Gaussian noise", "noise", gaussian_noise),
    "shot_noise": Corruption("shot noise", "noise", shot_noise),
    "impulse_noise": Corruption("impulse noise", "noise", impulse_noise),
    "defocus_blur": Corruption("defocus blur", "blur", defocus_blur),
    "glass_blur": Corruption("glass blur", "blur", glass_blur),
    "motion_blur": Corruption("motion blur", "blur", motion_blur),
    "zoom_blur": Corruption("zoom blur", "blur", zoom_blur),
    "snow": Corruption("snow", "weather", snow),
    "frost": Corruption(
        "frost", "weather", frost, "the panes of frost are drawn; the authors' are photographs"
    ),
    "fog": Corruption("fog", "weather", fog),
    "brightness": Corruption("brightness", "weather", brightness),
    "contrast": Corruption("contrast", "digital", contrast),
    "elastic_transform": Corruption("elastic transform", "digital", elastic_transform),
    "pixelate": Corruption("pixelate", "digital", pixelate),
    "jpeg_compression": Corruption("JPEG", "digital", jpeg_compression),
}


def corrupt(
    images: Tensor, name: str, severity: int, *, seed: int, indices: NDArray[np.integer[Any]]
) -> Tensor:
    """Corrupt images.

    Args:
        images: `(N, C, S, S)` uint8, C = 1 or 3, on any device; the work is done on the CPU.
        name: one of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: at least 0.
        indices: number of each image, at least 0, `(N,)`: what is drawn for an image depends on seed,
            corruption, severity and this number alone.

    Returns:
        Images of the same shape, type and device.

    Raises:
        UsageError: no such corruption or severity, or the images are smaller than 8 pixels.

    """
    if name not in CORRUPTIONS:
        raise unknown_name("corruption", name, CORRUPTIONS)
    if severity not in range(1, NUM_SEVERITIES + 1):
        raise UsageError(f"severity {severity}: must be 1 to {NUM_SEVERITIES}")
    side = images.shape[-1]
    if side < MIN_SIDE:
        raise UsageError(f"images of {side}×{side} pixels: corruptions need at least {MIN_SIDE}×{MIN_SIDE}")
    place = list(CORRUPTIONS).index(name) * NUM_SEVERITIES + severity
    change, constants = CORRUPTIONS[name].change, getattr(severities_for(side), name)[severity - 1]
    count = max(1, CHUNK_VALUES // images[0].numel())
    parts = [slice(start, start + count) for start in range(0, len(images), count)]
    source = images.cpu()
    changed = [change(source[part], constants, Draws(seed, place, indices[part])) for part in parts]
    return torch.cat(changed).to(images.device)
