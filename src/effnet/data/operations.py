"""Operations of the augmentation policies, on batches of tensors, each image with its own strength.

Strengths are in an operation's own unit, and 0 leaves the image as it is; which operation an image gets, and
how strong, is drawn in `policies`. What a geometric operation uncovers takes `fill`.
"""

from collections.abc import Callable
from math import cos, pi, sin

import torch
from kornia import enhance
from torch import Tensor
from torch.nn import functional as F

# From `images (N, C, H, W)`, values from 0 to 1, and `strength (N,)` to changed images.
PHOTOMETRIC: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "autocontrast": lambda images, strength: autocontrast(images),
    "equalize": lambda images, strength: enhance.equalize(images),
    "invert": lambda images, strength: 1.0 - images,
    # share of the 256 values that is inverted, from white down
    "solarize": lambda images, strength: solarize(images, (1.0 - strength) * (256 / 255)),
    # bits lost, of 8
    "posterize": lambda images, strength: posterize(images, 8 - torch.round(strength)),
    # from -1, wholly grey (dark, smooth), to any more of it
    "color": lambda images, strength: enhance.adjust_saturation_with_gray_subtraction(images, 1 + strength),
    "contrast": lambda images, strength: enhance.adjust_contrast_with_mean_subtraction(images, 1 + strength),
    "brightness": lambda images, strength: enhance.adjust_brightness_accumulative(images, 1 + strength),
    "sharpness": lambda images, strength: sharpen(images, 1 + strength),
}
# From a strength to the `(2, 3)` matrix from output to input, in coordinates where the image is [-1, 1]².
GEOMETRIC: dict[str, Callable[[float], list[list[float]]]] = {
    # degrees, counter-clockwise as in PIL (y points down)
    "rotate": lambda degrees: _rotation(degrees * pi / 180),
    # slope; PIL shears about the upper left corner, which is (-1, -1) here
    "shear_x": lambda slope: [[1, slope, slope], [0, 1, 0]],
    "shear_y": lambda slope: [[1, 0, 0], [slope, 1, slope]],
    # share of the side, which is 2 units long
    "translate_x": lambda share: [[1, 0, 2 * share], [0, 1, 0]],
    "translate_y": lambda share: [[1, 0, 0], [0, 1, 2 * share]],
}
OPERATIONS = ("identity", *PHOTOMETRIC, *GEOMETRIC)
SIGNED = frozenset({*GEOMETRIC, "color", "contrast", "brightness", "sharpness"})
"""Operations that work in two directions, by the sign of the strength."""


def apply_operations(images: Tensor, choice: Tensor, strength: Tensor, fill: Tensor) -> Tensor:
    """Apply to each image its operation; images with the same one are computed together.

    Args:
        images: `(N, C, H, W)` float, values from 0 to 1, height equal to width.
        choice: `(N,)` on the CPU, indices into OPERATIONS.
        strength: `(N,)` on the CPU, in the unit of the image's operation.
        fill: `(C,)`, the colour of what lies outside an image.

    Returns:
        `(N, C, H, W)`, values from 0 to 1.

    """
    order = torch.argsort(choice, stable=True)
    counts = torch.bincount(choice, minlength=len(OPERATIONS)).tolist()  # on the CPU: no wait for the device
    rows, strengths = torch.split(order.to(images.device), counts), torch.split(strength[order], counts)
    result = torch.empty_like(images)
    for name, members, amount in zip(OPERATIONS, rows, strengths, strict=True):
        if name not in GEOMETRIC and len(members):
            group = images.index_select(0, members)
            changed = PHOTOMETRIC[name](group, amount.to(images)) if name in PHOTOMETRIC else group
            result.index_copy_(0, members, changed)
    first = len(OPERATIONS) - len(GEOMETRIC)
    pairs = zip(GEOMETRIC.values(), strengths[first:], strict=True)
    matrices = [matrix(amount) for matrix, amounts in pairs for amount in amounts.tolist()]
    if matrices:  # one resampling for all of them
        members = torch.cat(rows[first:])
        moved = warp(images.index_select(0, members), torch.tensor(matrices).to(images), fill)
        result.index_copy_(0, members, moved)
    return result


def _rotation(angle: float) -> list[list[float]]:
    return [[cos(angle), -sin(angle), 0.0], [sin(angle), cos(angle), 0.0]]


def warp(images: Tensor, matrices: Tensor, fill: Tensor) -> Tensor:
    """Resample `images (N, C, H, W)` bilinearly by `matrices (N, 2, 3)`; outside lies `fill (C,)`."""
    offset = fill.to(images).view(1, -1, 1, 1)
    grid = affine_grid(matrices, images.shape[-1])
    moved = F.grid_sample(images - offset, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return moved.add_(offset).clamp_(0.0, 1.0)


def affine_grid(matrices: Tensor, side: int) -> Tensor:
    """Return where the pixels of square images come from, `(N, side, side, 2)`, as torch's `affine_grid`.

    Torch multiplies matrices of width 3 for it, which takes twice as long.
    """
    place = torch.linspace(-1, 1, side, device=matrices.device, dtype=matrices.dtype) * (side - 1) / side
    of_column, of_row, constant = matrices[:, None, None].unbind(-1)  # (N, 1, 1, 2) each
    return (place.view(1, 1, -1, 1) * of_column + place.view(1, -1, 1, 1) * of_row).add_(constant)


def autocontrast(images: Tensor) -> Tensor:
    """Stretch each channel of each image to the whole range; a constant channel stays."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    span = high - low
    return torch.where(span > 0, (images - low) / span.clamp(min=1e-6), images)


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert values at or above `threshold (N,)`."""
    return torch.where(images >= threshold.view(-1, 1, 1, 1), 1.0 - images, images)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the upper `bits (N,)` of the 8 bits of each value."""
    step = torch.exp2(8 - bits).view(-1, 1, 1, 1)
    return torch.floor(torch.round(images * 255) / step) * step / 255


def sharpen(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with a smoothed copy as Pillow does, by `factor (N,)`: 0 is smooth, 1 leaves, more sharpens."""
    kernel = images.new_ones(1, 1, 3, 3)
    kernel[..., 1, 1] = 5
    planes = images.reshape(-1, 1, *images.shape[2:])
    smooth = images.clone()  # the border stays
    inner = smooth[..., 1:-1, 1:-1]
    inner.copy_(F.conv2d(planes, kernel / 13).clamp_(0.0, 1.0).view_as(inner))
    return ((images - smooth).mul_(factor.view(-1, 1, 1, 1)).add_(smooth)).clamp_(0.0, 1.0)
