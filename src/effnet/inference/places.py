"""Where the images of a long run lie, files, folders and URLs: counted and listed, not held in memory."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from effnet.errors import DataError, UsageError
from effnet.inference.inputs import no_images
from effnet.inference.scan import count_images, images_below
from effnet.inference.urls import Url, is_url

Place = Path | Url


def place_of(image: str | Path) -> Place:
    """Return the place of an image or a folder."""
    return Url(image) if isinstance(image, str) and is_url(image) else Path(image)


def count(places: Sequence[Place]) -> int:
    """Count the images that these files, folders and URLs are or hold.

    Raises:
        DataError: one is not there, holds no images, or cannot be read.
        EffnetError: a storage fails.
        UsageError: an image is given twice.

    """
    _check_apart(places)
    total = 0
    for place in places:
        found = _count(place)
        if not found:
            raise no_images(place)
        total += found
    return total


def _count(place: Place) -> int:
    if isinstance(place, Url):
        return sum(1 for _ in place.images())
    if not os.path.lexists(place):
        raise DataError(f"{place}: no such file or folder")
    return count_images(place) if place.is_dir() else 1


def _check_apart(places: Sequence[Place]) -> None:
    """Check that no image would have two rows; a link to one is another image."""
    seen: dict[Path, Place] = {}
    for place in places:
        if seen.setdefault(_whole(place), place) is not place:
            raise UsageError(f"{place} is given twice")
    for whole, place in seen.items():
        around = next((seen[parent] for parent in whole.parents if parent in seen), None)
        if around is not None:
            raise UsageError(f"{place} lies in {around}, which is given too")


def _whole(place: Place) -> Path:
    return Path(str(place)) if isinstance(place, Url) else Path(os.path.abspath(place))


def listed(places: Sequence[Place]) -> Iterator[Place]:
    """Yield the images that these files, folders and URLs are or hold, one after the other."""
    for place in places:
        if isinstance(place, Url):
            yield from place.images()
        elif place.is_dir():
            yield from images_below(place)
        else:
            yield place
