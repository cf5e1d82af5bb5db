"""Panes of frost, drawn: the authors blend in photographs, which are not ours to give away.

There are five, as the authors draw from five photographs, with the mean and spread of the colours of those:
ferns of ice over a cloudy background, whose contrast falls with the size of the detail as in the photographs.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

HEIGHT, WIDTH = 400, 600  # the photographs have 315×560 to 600×900 pixels
BRANCH = np.deg2rad(60.0)  # ice grows in hexagons
BRANCH_DISTANCE = 3.0  # pixels


@dataclass(frozen=True)
class Pane:
    """What a pane looks like; colours are 0 to 255."""

    mean: tuple[float, float, float]
    std: float
    num_ferns: int
    spine: float
    """Length of the longest fern in pixels."""
    clouds: float
    """Share of the background in the contrast."""


# Mean and standard deviation of frost1 … frost5 of the authors; 2 and 3 are the same photograph.
PANES = (
    Pane(mean=(78, 149, 166), std=20, num_ferns=120, spine=60, clouds=0.8),
    Pane(mean=(201, 205, 214), std=22, num_ferns=700, spine=110, clouds=0.35),
    Pane(mean=(201, 205, 214), std=22, num_ferns=900, spine=90, clouds=0.35),
    Pane(mean=(138, 153, 165), std=28, num_ferns=1200, spine=30, clouds=0.4),
    Pane(mean=(112, 123, 135), std=43, num_ferns=800, spine=60, clouds=0.5),
)


@cache
def pane(number: int, scale: float) -> Tensor:
    """Return a pane at a scale: `(3, height, width)` float64, 0 to 255."""
    drawn = torch.from_numpy(_draw(number))[None]
    size = [max(1, round(side * scale)) for side in (HEIGHT, WIDTH)]
    return F.interpolate(drawn, size, mode="bilinear", align_corners=False)[0]


@cache
def _draw(number: int) -> NDArray[np.float64]:
    look, generator = PANES[number], np.random.default_rng(number)
    clouds = _standardised(_clouds(generator))
    ferns = _standardised(_ferns(look, generator))
    texture = _standardised(look.clouds * clouds + (1 - look.clouds) * ferns)
    mean = np.array(look.mean).reshape(3, 1, 1)
    return np.clip(mean + look.std * texture, 0, 255)


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    standardised: NDArray[np.float64] = (values - values.mean()) / values.std()
    return standardised


def _clouds(generator: np.random.Generator) -> NDArray[np.float64]:
    """Return noise whose amplitude is inverse to the frequency, `(HEIGHT, WIDTH)`."""
    frequency = np.hypot(np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH))
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(generator.standard_normal((HEIGHT, WIDTH))) / frequency
    return np.fft.irfft2(spectrum, s=(HEIGHT, WIDTH))


def _ferns(look: Pane, generator: np.random.Generator) -> NDArray[np.float64]:
    image = Image.new("L", (WIDTH, HEIGHT))
    draw = ImageDraw.Draw(image)
    for _ in range(look.num_ferns):
        _draw_fern(draw, generator, look.spine * generator.uniform(0.3, 1.0))
    return np.asarray(image, dtype=np.float64)


def _draw_fern(draw: ImageDraw.ImageDraw, generator: np.random.Generator, length: float) -> None:
    """Draw a spine whose branches get shorter towards its tip, each brighter or darker than the last."""
    root, angle = generator.uniform((0, 0), (WIDTH, HEIGHT)), generator.uniform(0, 2 * np.pi)
    brightness = generator.uniform(60, 255)
    ways = np.arange(0.0, length, BRANCH_DISTANCE)
    joints = root + ways[:, None] * _direction(angle)
    for turn in (-BRANCH, BRANCH):
        reach = 0.4 * (length - ways) * generator.uniform(0.5, 1.0, len(ways))
        tips = joints + reach[:, None] * _direction(angle + turn)
        fills = (brightness * generator.uniform(0.5, 1.0, len(ways))).astype(int).tolist()
        for line, fill in zip(np.hstack([joints, tips]).tolist(), fills, strict=True):
            draw.line(line, fill=fill)
    draw.line([*root, *(root + length * _direction(angle))], fill=int(brightness), width=2)


def _direction(angle: float) -> NDArray[np.float64]:
    return np.array([np.cos(angle), np.sin(angle)])
