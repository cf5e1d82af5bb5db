"""Maps as colours over the image that they explain."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from effnet.evaluation.explanation import ClassMap

LEAST_SIDE, MOST_SIDE = 224, 384  # pixels of a picture: small images are enlarged, so that cells can be told
COLOURS = "YlOrRd"  # one direction of light and colour, which is also told in print and by the colour-blind
STRENGTH = 0.75  # share of the colour where the map is highest; none where it is lowest
DARKEST = 0.35  # of the image below, so that colours are seen on black too


def seen(pixels: NDArray[np.uint8]) -> Image.Image:
    """Return `pixels (C, S, S)` as a picture; where there are few, each is a square of several."""
    side = pixels.shape[-1]
    image = Image.fromarray(
        pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))
    )
    if side < LEAST_SIDE:
        larger = side * -(-LEAST_SIDE // side)
        return image.resize((larger, larger), Image.Resampling.NEAREST)
    return image if side <= MOST_SIDE else image.resize((MOST_SIDE, MOST_SIDE), Image.Resampling.LANCZOS)


def overlay(pixels: NDArray[np.uint8], class_map: "ClassMap") -> Image.Image:
    """Lay a map over `pixels (C, S, S)`, which turn grey so that every colour is the map's."""
    from matplotlib import colormaps

    below = seen(pixels).convert("L")
    grey = DARKEST + (1 - DARKEST) * np.asarray(below)[..., None] / 255.0
    heat = class_map.heat(below.width)
    colours = colormaps[COLOURS](heat)[..., :3]  # (side, side, 3)
    strength = STRENGTH * heat[..., None]
    mixed = (1 - strength) * grey + strength * colours
    return Image.fromarray(np.rint(255.0 * mixed).astype(np.uint8))
