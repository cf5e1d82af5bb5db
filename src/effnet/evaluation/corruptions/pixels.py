"""Pieces that corruptions share: from bytes to shares of white and back, smoothing, enlarging, shifting.

All is computed in float64, as in the authors' numpy: in float32 the result would depend on the batch in the
last bit, and where a value is a whole number (a white background) that bit decides between 254 and 255.
"""

from functools import cache
from math import ceil

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

_ROUNDING = 1e-6
"""A value this little below a whole number is that number; the authors cut it off, one grey level lower."""

LUMA = (0.299, 0.587, 0.114)


def shares(images: Tensor) -> Tensor:
    """Map `images (N, C, S, S)` uint8 to 0…1, float64."""
    return images.double() / 255.0


def levels(values: Tensor) -> Tensor:
    """Map `values` 0…1, cut off outside, to uint8; fractions are cut off, as the authors do."""
    return (values.clamp(0.0, 1.0) * 255.0 + _ROUNDING).floor().to(torch.uint8)


def grey(images: Tensor) -> Tensor:
    """Return the brightness of `images (N, C, S, S)`: `(N, 1, S, S)`."""
    if images.shape[1] == 1:
        return images
    weights = images.new_tensor(LUMA).reshape(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True)


@cache
def smoothing(side: int, sigma: float, mode: str, truncate: float) -> Tensor:
    """Return the matrix `(side, side)` of SciPy's Gaussian filter along an axis; see `smooth`."""
    from scipy.ndimage import gaussian_filter1d

    filtered = gaussian_filter1d(np.eye(side), sigma, axis=0, mode=mode, truncate=truncate)
    return torch.from_numpy(filtered)


def smooth(values: Tensor, sigma: float, *, mode: str, truncate: float) -> Tensor:
    """Blur `values (…, S, S)` by a Gaussian of `sigma` pixels; border and cut-off as SciPy has them."""
    if sigma <= 0.0:
        return values
    matrix = smoothing(values.shape[-1], sigma, mode, truncate)
    return matrix @ values @ matrix.T


def clipped_zoom(values: Tensor, factor: float) -> Tensor:
    """Enlarge the middle of `values (…, S, S)` by a factor of at least 1, bilinear; the size stays."""
    line = zoom_line(values.shape[-1], factor)
    return line @ values @ line.T


@cache
def zoom_line(side: int, factor: float) -> Tensor:
    """Return the matrix `(side, side)` that enlarges the middle of a line by a factor of at least 1."""
    taken = ceil(side / factor)
    top, enlarged = (side - taken) // 2, round(taken * factor)
    middle = torch.eye(side, dtype=torch.float64)[None, :, top : top + taken]
    line = F.interpolate(middle, enlarged, mode="linear", align_corners=True)[0]
    trim = (enlarged - side) // 2
    return line[:, trim : trim + side].T.contiguous()


def motion_kernel(radius: float, sigma: float) -> Tensor:
    """Return ImageMagick's weights along the line, `(2 ⌈radius⌉ + 1,)`: half a Gaussian, its sum 1."""
    steps = torch.arange(2 * ceil(radius) + 1, dtype=torch.float64)
    weights = torch.exp(-(steps**2) / (2.0 * sigma**2))
    return weights / weights.sum()


def motion_offsets(width: int, degrees: float) -> list[tuple[int, int]]:
    """Return where ImageMagick takes each pixel of the line from, as (rows down, columns right)."""
    angle = np.deg2rad(degrees)
    steps = np.arange(width)
    down = np.ceil(steps * np.sin(angle) - 0.5).astype(int)
    right = np.ceil(steps * np.cos(angle) - 0.5).astype(int)
    return list(zip(down.tolist(), right.tolist(), strict=True))


def motion(values: Tensor, radius: float, sigma: float, degrees: Tensor) -> Tensor:
    """Blur each of `values (N, C, S, S)` along a line of its own direction, `(N,)`; borders are continued."""
    weights = motion_kernel(radius, sigma).tolist()
    margin, side = len(weights), values.shape[-1]
    padded = F.pad(values, (margin, margin, margin, margin), mode="replicate")
    blurred = torch.zeros_like(values)
    for image, source, angle in zip(blurred, padded, degrees.tolist(), strict=True):
        for weight, (down, right) in zip(weights, motion_offsets(margin, angle), strict=True):
            top, left = margin + down, margin + right
            image.add_(source[:, top : top + side, left : left + side], alpha=weight)
    return blurred
