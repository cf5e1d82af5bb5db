"""Photos to train on, resized by torch instead of Pillow: the same filter, several times as fast."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import interpolate

from effnet.imaging.preprocess import Preprocess, resized_size, trim

FILTERS = ("bilinear", "bicubic")
"""Those that torch has with Pillow's filter against aliasing, and vector instructions for bytes."""


def quick_square(image: Image.Image, preprocess: Preprocess, side: int) -> NDArray[np.uint8]:
    """Return nearly what `preprocess.square` does, `(C, side, side)`; a few pixels differ, by 1, seldom 2.

    A photo of 500×375 takes 0.33 ms instead of 1.5 on an AMD EPYC.

    Args:
        image: in the mode of the preprocessing.
        preprocess: says how large, and by which filter.
        side: pixels of what is kept, the middle.

    """
    short = max(side, preprocess.resized_short_side)
    if preprocess.interpolation not in FILTERS or short in (1, min(image.size)):
        return preprocess.square(image, side)
    trimmed = trim(image)
    wide, high = resized_size(*trimmed.size, short)
    pixels = torch.from_numpy(np.array(trimmed)).view(1, trimmed.height, trimmed.width, -1)
    # Torch takes this for channels last, and neither unpacks nor packs: a third less time.
    resized = interpolate(
        pixels.permute(0, 3, 1, 2), size=(high, wide), mode=preprocess.interpolation, antialias=True
    )[0]
    left, top = round((wide - side) / 2), round((high - side) / 2)
    return resized[:, top : top + side, left : left + side].numpy()
