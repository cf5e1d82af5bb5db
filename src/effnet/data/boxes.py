"""Rectangles drawn for each image: cut out and enlarged (resized crop), or filled with noise (erasing)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from effnet.device import one_thread

CROP_ASPECTS = (3 / 4, 4 / 3)
ERASED_AREAS = (0.02, 1 / 3)
ERASED_ASPECTS = (0.3, 1 / 0.3)
_LOW_32 = 0xFFFFFFFF


def random_sizes(
    draws: Tensor, areas: tuple[float, float], aspects: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """Draw rectangles that fit into a square: the area evenly, the aspect ratio evenly in its logarithm.

    Usual code draws again when a rectangle does not fit, which makes large ones rare. Here the range of the
    aspect ratio is narrowed to what fits, so that the area is as uniform as it says.

    Args:
        draws: `(N, 2)`, uniform in [0, 1): area and aspect ratio.
        areas: smallest and largest area, as shares of the square, above 0 and at most 1.
        aspects: smallest and largest width / height.

    Returns:
        Heights and widths, `(N,)` each, as shares of the side.

    """
    area = areas[0] + draws[:, 0] * (areas[1] - areas[0])
    low, high = area.clamp(min=aspects[0]), (1 / area).clamp(max=aspects[1])  # a side is at most 1
    aspect = low * (high / low) ** draws[:, 1]
    return (area / aspect).sqrt().clamp(max=1.0), (area * aspect).sqrt().clamp(max=1.0)


def resized_crop(pixels: Tensor, draws: Tensor, size: int, min_area: float) -> Tensor:
    """Cut a rectangle of whole pixels out of each image and resize it to `size`² (Szegedy et al. 2015).

    Bilinear, without a filter against aliasing: stored images have the side `size` / crop, so that a
    rectangle is hardly ever larger than the result, and then by no more than that factor.

    Args:
        pixels: `(N, C, S, S)` uint8.
        draws: `(N, 4)`, uniform in [0, 1): area, aspect ratio, row and column.
        size: side of the result in pixels.
        min_area: smallest area, as a share of the image; the largest is 1.

    Returns:
        `(N, C, size, size)` uint8; of another device than the CPU it may differ by 1.

    """
    boxes = placed(random_sizes(draws[:, :2], (min_area, 1.0), CROP_ASPECTS), draws[:, 2:], pixels.shape[-1])
    # torch 2.13 fails to interpolate bytes to one pixel.
    resize = resize_one_by_one if pixels.device.type == "cpu" and size > 1 else resize_together
    return resize(pixels, boxes, size)


def placed(sizes: tuple[Tensor, Tensor], draws: Tensor, side: int) -> Tensor:
    """Return rectangles in whole pixels, `(N, 4)`: top, left, bottom, right, the last two outside.

    Args:
        sizes: heights and widths, `(N,)` each, as shares of the side.
        draws: `(N, 2)`, uniform in [0, 1): row and column.
        side: pixels of the image's side.

    """
    whole = (torch.stack(sizes, 1) * side).round().clamp(min=1)
    corners = (draws * (side - whole + 1)).floor()
    return torch.cat([corners, corners + whole], 1).long()


@one_thread()
def resize_one_by_one(pixels: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Resize `boxes (N, 4)` of `pixels (N, C, S, S)` uint8: on a CPU six times as fast as together."""
    cut = (
        pixels[row : row + 1, :, top:bottom, left:right]
        for row, (top, left, bottom, right) in enumerate(boxes.tolist())
    )
    return torch.cat([F.interpolate(box, size=(size, size), mode="bilinear") for box in cut])


def resize_together(pixels: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Resize `boxes (N, 4)` of `pixels (N, C, S, S)` uint8 by one sampling, with a grid for each image."""
    side = pixels.shape[-1]
    top, left, bottom, right = boxes.to(pixels.device).float().view(-1, 4, 1).unbind(1)  # (N, 1) each
    steps = (torch.arange(size, device=pixels.device) + 0.5) / size
    # Between the middles of the outermost pixels: what lies beside a rectangle is not part of it.
    rows = (top + steps * (bottom - top)).clamp(top + 0.5, bottom - 0.5) * (2 / side) - 1  # (N, size)
    columns = (left + steps * (right - left)).clamp(left + 0.5, right - 0.5) * (2 / side) - 1
    across, down = columns[:, None, :].expand(-1, size, -1), rows[:, :, None].expand(-1, -1, size)
    grid = torch.stack([across, down], dim=-1)
    cut = F.grid_sample(pixels.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return cut.round().to(torch.uint8)


def random_erasing(images: Tensor, draws: Tensor, probability: float) -> Tensor:
    """Fill a rectangle of some images with normal noise (Zhong et al. 2020; "pixel" mode in timm).

    Args:
        images: `(N, C, S, S)` float, normalised.
        draws: `(N, 6)`, uniform in [0, 1): whether, area, aspect ratio, row, column, key of the noise.
        probability: share of the images that lose a rectangle.

    Returns:
        `(N, C, S, S)`.

    """
    members = torch.nonzero(draws[:, 0] < probability)[:, 0]  # known on the CPU: no wait for the device
    drawn, rows = draws[members], members.to(images.device)
    inside = box_mask(erased_boxes(drawn[:, 1:5], images.shape[-1]), images)
    noise = normal_noise((drawn[:, 5] * 2**32).long(), images)
    return images.index_copy(0, rows, torch.where(inside, noise, images[rows]))


def erased_boxes(draws: Tensor, side: int) -> Tensor:
    """Draw rectangles in whole pixels by `draws (N, 4)`; return `(N, 4)`: top, left, bottom, right."""
    return placed(random_sizes(draws[:, :2], ERASED_AREAS, ERASED_ASPECTS), draws[:, 2:], side)


def box_mask(boxes: Tensor, images: Tensor) -> Tensor:
    """Mark the pixels of `boxes (N, 4)`: top, left, bottom, right, the last two outside: `(N, 1, H, W)`."""
    top, left, bottom, right = boxes.to(images.device).view(-1, 4, 1).unbind(1)  # (N, 1) each
    row = torch.arange(images.shape[-2], device=images.device)
    column = torch.arange(images.shape[-1], device=images.device)
    rows, columns = (row >= top) & (row < bottom), (column >= left) & (column < right)
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def normal_noise(keys: Tensor, like: Tensor) -> Tensor:
    """Return standard normal numbers `(N, C, H, W)` that depend on an image's key alone.

    Args:
        keys: `(N,)` from 0 to 2³² - 1, one for each image.
        like: `(any, C, H, W)`, gives shape, type and device.

    """
    place = torch.arange(like[0].numel(), device=like.device)
    word = _hash(_hash(place) ^ keys.to(like.device)[:, None])
    # 23 bits and a half fill float32 without rounding, so that neither end is infinite.
    uniform = ((word >> 9).to(torch.float32) + 0.5) * 2.0**-22 - 1.0  # in (-1, 1)
    normal = torch.erfinv(uniform) * 2**0.5
    return normal.to(like.dtype).view(-1, *like.shape[1:])


def _hash(word: Tensor) -> Tensor:
    """Mix 32-bit words held in int64: "lowbias32" of Wellons, found by search for the least bias."""
    word = ((word ^ (word >> 16)) * 0x7FEB352D) & _LOW_32
    word = ((word ^ (word >> 15)) * 0x846CA68B) & _LOW_32
    return word ^ (word >> 16)
