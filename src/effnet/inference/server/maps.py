"""Activation maps in an answer: where a class is seen, as numbers or as a picture to lay over."""

from base64 import b64encode
from collections.abc import Mapping
from io import BytesIO
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MapKind = Literal["none", "grid", "png"]
MAP_KINDS: Mapping[str, MapKind] = {"none": "none", "grid": "grid", "png": "png"}

MAX_SIDE = 256  # of a PNG: smooth enough to be stretched over any picture
# From faint to strong: different hues, ever lighter, so that the map is seen on pictures of any colour.
COLOURS = np.array([[70, 16, 150], [222, 44, 122], [255, 226, 92]])
OPACITY = 205  # of 255, where the map is strongest


def as_grid(values: NDArray[np.float32]) -> list[list[float]]:
    """Return a map `(h, w)` as rows of numbers with four significant digits."""
    return [[float(f"{value:.4g}") for value in row] for row in values.tolist()]


def as_png(values: NDArray[np.float32], strongest: float, side: int) -> str:
    """Return a map `(h, w)` as a data URI: a square PNG, clear where the class is not seen.

    Args:
        values: what each place adds to the class; negative ones are clear as well.
        strongest: the value that is opaque; the same for all maps that shall be compared.
        side: of the network's input, in pixels.

    """
    square = min(side, MAX_SIDE)
    smooth = Image.fromarray(values).resize((square, square), Image.Resampling.BICUBIC)
    shares = np.clip(np.asarray(smooth) / max(strongest, 1e-12), 0.0, 1.0)
    stops = np.linspace(0.0, 1.0, len(COLOURS))
    channels = [np.interp(shares, stops, COLOURS[:, channel]) for channel in range(3)]
    rgba = np.stack([*channels, shares * OPACITY], axis=2).round().astype(np.uint8)
    file = BytesIO()
    Image.fromarray(rgba).save(file, "PNG")
    return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"


def drawn(maps: NDArray[np.float32], kind: MapKind, side: int) -> list[Any]:
    """Return the maps `(k, h, w)` of one image as they were asked for."""
    if kind == "grid":
        return [as_grid(values) for values in maps]
    strongest = float(maps.max(initial=0.0))
    return [as_png(values, strongest, side) for values in maps]
