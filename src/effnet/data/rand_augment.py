"""RandAugment (Cubuk et al. 2020), with the operations drawn for each image, on batches of tensors.

kornia's own RandAugment draws one operation per batch; here each image has its own, and images that drew the
same one are computed together. What a geometric operation uncovers takes `fill`.
"""

from collections.abc import Callable
from math import cos, pi, sin

import torch
from kornia import enhance
from torch import Tensor
from torch.nn import functional as F

MAX_MAGNITUDE = 30.0

# Amounts are `level` in [0, 1] times the published maximum; `sign` is +1 or -1 per image.
MAX_ROTATION = 30.0  # degrees
MAX_SHEAR = 0.3
MAX_TRANSLATION = 150 / 331  # share of the side: 150 pixels at the 331 pixels of the original
MAX_BLEND = 0.9

PHOTOMETRIC: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "autocontrast": lambda images, level, sign: autocontrast(images),
    "equalize": lambda images, level, sign: enhance.equalize(images),
    "solarize": lambda images, level, sign: solarize(images, (1.0 - level) * (256 / 255)),
    "posterize": lambda images, level, sign: posterize(images, 8 - torch.round(4 * level)),
    "color": lambda images, level, sign: enhance.adjust_saturation_with_gray_subtraction(
        images, blend(level, sign)
    ),
    "contrast": lambda images, level, sign: enhance.adjust_contrast_with_mean_subtraction(
        images, blend(level, sign)
    ),
    "brightness": lambda images, level, sign: enhance.adjust_brightness_accumulative(
        images, blend(level, sign)
    ),
    "sharpness": lambda images, level, sign: enhance.sharpness(images, blend(level, sign)),
}
GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
OPERATIONS = ("identity", *PHOTOMETRIC, *GEOMETRIC)
DRAWS_PER_OPERATION = 2  # which one, and which way


def rand_augment(images: Tensor, draws: Tensor, magnitude: float, fill: Tensor) -> Tensor:
    """Apply a random sequence of operations to each image.

    Args:
        images: `(N, C, H, W)` float, values from 0 to 1, height equal to width.
        draws: `(N, 2 · operations)` on the CPU, uniform in [0, 1).
        magnitude: 0 to 30, the same for all operations.
        fill: `(C,)`, the colour of what lies outside an image.

    Returns:
        `(N, C, H, W)`, values from 0 to 1.

    """
    for column in range(0, draws.shape[1], DRAWS_PER_OPERATION):
        choice = (draws[:, column] * len(OPERATIONS)).long()  # (N,)
        sign = torch.where(draws[:, column + 1] < 0.5, -1.0, 1.0)  # (N,)
        images = apply_operations(images, choice, sign * (magnitude / MAX_MAGNITUDE), fill)
    return images


def apply_operations(images: Tensor, choice: Tensor, amount: Tensor, fill: Tensor) -> Tensor:
    """Apply operation `choice (N,)`, an index into OPERATIONS, to each image, with a signed `amount (N,)`."""
    result = images.clone()
    for index, name in enumerate(OPERATIONS):
        members = torch.nonzero(choice == index)[:, 0]  # known on the CPU: no wait for the device
        if name in PHOTOMETRIC and len(members):
            rows = members.to(images.device)
            signed = amount[members].to(images)
            result[rows] = PHOTOMETRIC[name](images[rows], signed.abs(), torch.sign(signed))
    return _apply_geometric(result, choice, amount, fill)


def _apply_geometric(images: Tensor, choice: Tensor, amount: Tensor, fill: Tensor) -> Tensor:
    """Apply all geometric operations of a batch in one resampling."""
    members = torch.nonzero(choice >= OPERATIONS.index(GEOMETRIC[0]))[:, 0]
    if not len(members):
        return images
    matrices = torch.stack(
        [geometric_matrix(OPERATIONS[int(choice[i])], float(amount[i])) for i in members.tolist()]
    )
    rows = members.to(images.device)
    images[rows] = warp(images[rows], matrices.to(images), fill)
    return images


def geometric_matrix(name: str, amount: float) -> Tensor:
    """Return the `(2, 3)` matrix from output to input, in coordinates where the image is [-1, 1]²."""
    shear, shift = amount * MAX_SHEAR, 2 * amount * MAX_TRANSLATION  # the image is 2 units wide
    matrices: dict[str, list[list[float]]] = {
        "rotate": _rotation(amount * MAX_ROTATION * pi / 180),
        # PIL shears about the upper left corner, which is (-1, -1) here.
        "shear_x": [[1, shear, shear], [0, 1, 0]],
        "shear_y": [[1, 0, 0], [shear, 1, shear]],
        "translate_x": [[1, 0, shift], [0, 1, 0]],
        "translate_y": [[1, 0, 0], [0, 1, shift]],
    }
    return torch.tensor(matrices[name], dtype=torch.float32)


def _rotation(angle: float) -> list[list[float]]:
    """Rotate the picture by `angle` radians, counter-clockwise as PIL does (y points down)."""
    return [[cos(angle), -sin(angle), 0.0], [sin(angle), cos(angle), 0.0]]


def warp(images: Tensor, matrices: Tensor, fill: Tensor) -> Tensor:
    """Resample `images (N, C, H, W)` bilinearly by `matrices (N, 2, 3)`; outside lies `fill (C,)`."""
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    offset = fill.to(images).view(1, -1, 1, 1)
    moved = F.grid_sample(images - offset, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return (moved + offset).clamp(0.0, 1.0)


def blend(level: Tensor, sign: Tensor) -> Tensor:
    """Return the factor of colour, contrast, brightness and sharpness: 1 leaves an image as it is."""
    return 1.0 + sign * level * MAX_BLEND


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
