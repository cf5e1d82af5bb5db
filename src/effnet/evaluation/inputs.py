"""Images to classify, whatever they are given as: a path, a folder, a Pillow image."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from effnet.data.scan import image_files
from effnet.errors import DataError
from effnet.imaging.decode import EXTENSIONS, decode
from effnet.imaging.preprocess import Preprocess

BATCH_SIZE = 64

ImageLike = str | Path | Image.Image


def refuse(error: DataError) -> None:
    """Take no image that cannot be read."""
    raise error


def read_batches(
    images: ImageLike | Sequence[ImageLike], preprocess: Preprocess, on_broken: Callable[[DataError], None]
) -> Iterator[tuple[list[str], Tensor]]:
    """Yield names of readable images, and what a network sees of them: `(N, C, S, S)`, on the CPU.

    Raises:
        DataError: a folder holds no images; `on_broken`, told of each unreadable one, may raise it too.

    """
    single = isinstance(images, str | Path | Image.Image)
    named = list_images([images] if single else images)  # type: ignore[list-item, arg-type]
    for start in range(0, len(named), BATCH_SIZE):
        inputs: dict[int, Tensor] = {}
        for place, (name, image) in enumerate(named[start : start + BATCH_SIZE], start=start):
            try:
                inputs[place] = torch.from_numpy(preprocess(_decoded(name, image, preprocess)))
            except DataError as error:
                on_broken(error)
        if inputs:
            yield [named[place][0] for place in inputs], torch.stack(list(inputs.values()))


def _decoded(name: str, image: ImageLike, preprocess: Preprocess) -> Image.Image:
    return decode(image if isinstance(image, Image.Image) else Path(image), preprocess.mode, name)


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
    paths = image_files(folder)
    if not paths:
        raise DataError(f"{folder} holds no images ({', '.join(sorted(EXTENSIONS))})")
    return paths
