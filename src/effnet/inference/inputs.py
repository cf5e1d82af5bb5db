"""Images to classify, whatever they are given as: a path, a folder, a Pillow image."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from effnet.errors import DataError
from effnet.imaging.decode import EXTENSIONS
from effnet.inference.scan import images_below

ImageLike = str | Path | Image.Image


def refuse(error: DataError) -> None:
    """Take no image that cannot be read."""
    raise error


def as_list(images: ImageLike | Sequence[ImageLike]) -> Sequence[ImageLike]:
    """Return images as several, of which one alone is the only one."""
    return [images] if isinstance(images, str | Path | Image.Image) else images


def list_images(images: Sequence[ImageLike]) -> list[tuple[str, ImageLike]]:
    """Name each image; folders are replaced by the images below them, in the order of their names."""
    named: list[tuple[str, ImageLike]] = []
    for index, image in enumerate(images):
        if isinstance(image, Image.Image):
            named.append((f"image {index}", image))
        elif Path(image).is_dir():
            named += [(str(path), path) for path in _below(Path(image))]
        else:
            named.append((str(image), Path(image)))
    return named


def _below(folder: Path) -> list[Path]:
    paths = list(images_below(folder))
    if not paths:
        raise no_images(folder)
    return paths


def no_images(folder: object) -> DataError:
    """Return the error of a folder without images, which says what counts as one."""
    return DataError(f"{folder} holds no images ({', '.join(sorted(EXTENSIONS))})")
