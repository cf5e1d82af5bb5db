"""Weather: snow, frost on the pane, fog. Brightness, their fourth, is in `digital`."""

import torch
from torch import Tensor

from effnet.evaluation.corruptions import frost as ice
from effnet.evaluation.corruptions.constants import Fog, Frost, Snow
from effnet.evaluation.corruptions.draws import Draws
from effnet.evaluation.corruptions.pixels import clipped_zoom, grey, levels, motion, shares

FIRST_WIBBLE = 100.0


def snow(images: Tensor, weather: Snow, draws: Draws) -> Tensor:
    """Whiten the image, and let flakes fall over it, and once more turned round by half a turn."""
    side = images.shape[-1]
    noise = draws.normal(1, side, side, stream=0) * weather.std + weather.mean
    flakes = clipped_zoom(noise, weather.zoom)
    flakes = levels(torch.where(flakes < weather.threshold, 0.0, flakes))
    degrees = draws.uniform(stream=1) * 90.0 - 135.0
    layer = shares(levels(motion(shares(flakes), weather.blur.radius, weather.blur.sigma, degrees)))
    values = shares(images)
    white = torch.maximum(values, grey(values) * 1.5 + 0.5)
    whitened = weather.kept * values + (1.0 - weather.kept) * white
    return levels(whitened + layer + layer.rot90(2, (2, 3)))


def frost(images: Tensor, weather: Frost, draws: Draws) -> Tensor:
    """Blend a part of a drawn pane of frost into the image."""
    side = images.shape[-1]
    numbers = draws.integers(0, len(ice.PANES), stream=0).tolist()
    places = draws.uniform(2, stream=1)
    panes = torch.stack(
        [_cut(number, place, side, weather.scale) for number, place in zip(numbers, places, strict=True)]
    )
    if images.shape[1] == 1:
        panes = grey(panes)
    return levels((weather.image * images + weather.frost * panes) / 255.0)


def _cut(number: int, place: Tensor, side: int, scale: float) -> Tensor:
    """Cut `(3, side, side)` out of a pane, at a place given as two shares of what there is."""
    whole = ice.pane(number, scale)
    top, left = (
        int(share * (length - side)) for share, length in zip(place.tolist(), whole.shape[1:], strict=True)
    )
    return whole[:, top : top + side, left : left + side]


def fog(images: Tensor, weather: Fog, draws: Draws) -> Tensor:
    """Add a plasma fractal, and darken so that the brightest value of the image stays."""
    side = images.shape[-1]
    size = 1 << (side - 1).bit_length()
    values = shares(images)
    mist = plasma(draws.uniform(size * size, stream=0), weather.decay)[:, None, :side, :side]
    brightest = values.amax((1, 2, 3), keepdim=True)
    return levels((values + weather.weight * mist) * brightest / (brightest + weather.weight))


def plasma(draws: Tensor, decay: float) -> Tensor:
    """Make fractals by the diamond-square algorithm on a torus.

    Args:
        draws: as many numbers from [0, 1) as there are points, `(N, size²)`; the size is a power of two.
        decay: by what the amplitude of the noise is divided from one octave to the next.

    Returns:
        `(N, size, size)`, each from 0 to 1.

    """
    size = round(draws.shape[1] ** 0.5)
    heights = draws.new_zeros(len(draws), size, size)
    step, wibble, used = size, FIRST_WIBBLE, 0

    def noisy_mean(total: Tensor) -> Tensor:
        nonlocal used
        count = total[0].numel()
        noise = draws[:, used : used + count].reshape(total.shape) * 2.0 - 1.0
        used += count
        return total / 4.0 + wibble**2 * noise  # squared by the authors: drawn from ±wibble, times wibble

    while step >= 2:
        half = step // 2
        corners = heights[:, ::step, ::step]
        across = corners + corners.roll(-1, 1)
        heights[:, half::step, half::step] = noisy_mean(across + across.roll(-1, 2))
        centres, corners = heights[:, half::step, half::step], heights[:, ::step, ::step]
        heights[:, ::step, half::step] = noisy_mean(
            centres + centres.roll(1, 1) + corners + corners.roll(-1, 2)
        )
        heights[:, half::step, ::step] = noisy_mean(
            centres + centres.roll(1, 2) + corners + corners.roll(-1, 1)
        )
        step, wibble = half, wibble / decay
    heights -= heights.amin((1, 2), keepdim=True)
    return heights / heights.amax((1, 2), keepdim=True)
