"""What happens to images on their way: contrast, distortion, too few pixels, JPEG; and brightness."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from effnet.evaluation.corruptions.constants import Elastic
from effnet.evaluation.corruptions.draws import Draws
from effnet.evaluation.corruptions.pixels import levels, shares, smooth


def brightness(images: Tensor, added: float, draws: Draws) -> Tensor:
    """Add to the value of HSV, which is the largest of a pixel's channels; hue and saturation stay."""
    values = shares(images)
    value = values.amax(1, keepdim=True)
    brighter = (value + added).clamp(max=1.0)
    return levels(torch.where(value > 0.0, values * (brighter / value.clamp(min=1 / 255)), brighter))


def contrast(images: Tensor, kept: float, draws: Draws) -> Tensor:
    """Move each channel towards its mean."""
    values = shares(images)
    means = values.mean((2, 3), keepdim=True)
    return levels((values - means) * kept + means)


def elastic_transform(images: Tensor, elastic: Elastic, draws: Draws) -> Tensor:
    """Distort the image as a whole by a random affine map, then each pixel by a smooth random field."""
    side = images.shape[-1]
    mapped = sample(shares(images), affine_places(side, elastic.affine, draws), mirror_edge=False)
    noise = draws.uniform(2, side, side, stream=1) * 2.0 - 1.0
    shift = smooth(noise, elastic.sigma, mode="reflect", truncate=3.0) * elastic.alpha
    return levels(sample(mapped, pixel_grid(side) + shift, mirror_edge=True))


def pixel_grid(side: int) -> Tensor:
    """Return row and column of each pixel, `(2, side, side)` float64."""
    line = torch.arange(side, dtype=torch.float64)
    return torch.stack(torch.meshgrid(line, line, indexing="ij"))


def affine_places(side: int, reach: float, draws: Draws) -> Tensor:
    """Return where each pixel is taken from, `(N, 2, side, side)`, when three corners of the middle move."""
    centre, half = side // 2, side // 3
    corners = torch.tensor(
        [[centre + half, centre + half], [centre + half, centre - half], [centre - half, centre - half]],
        dtype=torch.float64,
    )  # column, row
    moved = corners + (draws.uniform(3, 2, stream=0) * 2.0 - 1.0) * reach
    ones = torch.ones(len(moved), 3, 1, dtype=torch.float64)
    matrix = torch.linalg.solve(torch.cat([moved, ones], 2), corners.expand(len(moved), -1, -1))  # (N, 3, 2)
    rows, columns = pixel_grid(side)
    from_columns, from_rows = (
        matrix[:, 0, k, None, None] * columns
        + matrix[:, 1, k, None, None] * rows
        + matrix[:, 2, k, None, None]
        for k in (0, 1)
    )
    return torch.stack([from_rows, from_columns], 1)


def sample(values: Tensor, places: Tensor, *, mirror_edge: bool) -> Tensor:
    """Take `values (N, C, S, S)` from between their pixels at `places (N, 2, S, S)`, bilinear.

    Beyond the border they are mirrored, with or without the outermost pixel.
    """
    side = values.shape[-1]
    scaled = (2 * places + 1) / side - 1 if mirror_edge else 2 * places / max(1, side - 1) - 1
    grid = scaled.flip(1).permute(0, 2, 3, 1)
    return F.grid_sample(values, grid, "bilinear", "reflection", align_corners=not mirror_edge)


def pixelate(images: Tensor, share: float, draws: Draws) -> Tensor:
    """Reduce the image and enlarge it again, by areas."""
    side = images.shape[-1]
    small = max(1, int(side * share))

    def reduced(image: Image.Image) -> Image.Image:
        return image.resize((small, small), Image.Resampling.BOX).resize((side, side), Image.Resampling.BOX)

    return with_pillow(images, reduced)


def jpeg_compression(images: Tensor, quality: int, draws: Draws) -> Tensor:
    """Compress the image."""

    def compressed(image: Image.Image) -> Image.Image:
        file = BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return with_pillow(images, compressed)


def with_pillow(images: Tensor, change: Callable[[Image.Image], Image.Image]) -> Tensor:
    """Apply a function of Pillow images to each of `images (N, C, S, S)` uint8."""
    arrays = images.permute(0, 2, 3, 1).contiguous().numpy()
    changed = np.empty_like(arrays)
    for target, array in zip(changed, arrays, strict=True):
        image = Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
        target[:] = np.asarray(change(image)).reshape(target.shape)
    return torch.from_numpy(changed).permute(0, 3, 1, 2).contiguous()
