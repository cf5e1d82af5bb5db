"""Small pictures of a data set's images, beside a page."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from effnet.data.datasets import Samples
from effnet.evaluation.page import Picture, picture
from effnet.files import write_bytes

THUMBNAIL_SIDE = 320  # pixels; smaller images are embedded as they are


def draw_thumbnails(samples: Samples, names: Sequence[str], paths: Iterable[Path]) -> list[Picture]:
    """Save the images of these names, one in each path.

    Raises:
        DataError: an image cannot be read any more.

    """
    drawn = []
    for name, path in zip(names, paths, strict=False):
        image = samples.read(name).copy()
        image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        write_bytes(path, partial(image.save, format="png"))
        drawn.append(picture(path))
    return drawn
