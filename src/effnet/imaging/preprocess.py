"""The one preprocessing: resize, crop and normalise, as a value that travels with the weights."""

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from effnet.errors import UsageError, bad_value
from effnet.imaging.decode import Mode, to_mode

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

_MODES: dict[int, Mode] = {1: "L", 3: "RGB"}

MAX_ASPECT = 16  # of a longer image only the middle is resized: 1×100,000 pixels would become 224×22,400,000

Channels = Annotated[tuple[float, ...], Field(min_length=1, max_length=1024)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Preprocess:
    """How an image becomes the input of a network.

    The short side is resized to `resolution / crop` pixels, the middle `resolution`² pixels are cut out, and
    each channel is normalised: (value / 255 - mean) / std. One mean per channel: three for RGB, one for grey,
    another number for arrays that no image file holds.
    """

    resolution: Annotated[int, Field(ge=1, le=4096)]
    crop: Annotated[float, Field(gt=0.1, le=1.0)] = 1.0
    interpolation: Interpolation = "bicubic"
    mean: Channels = IMAGENET_MEAN
    std: Channels = IMAGENET_STD

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean {self.mean} and std {self.std} must have as many values")
        if min(self.std) <= 0:
            raise ValueError(f"std {self.std} must be positive")

    @property
    def mode(self) -> Mode:
        """Pillow mode of the decoded image.

        Raises:
            UsageError: the network takes another number of channels than image files have.

        """
        if len(self.mean) not in _MODES:
            raise UsageError(f"this network takes {len(self.mean)} channels: give arrays, not image files")
        return _MODES[len(self.mean)]

    @property
    def colours(self) -> str:
        """What the channels are, for people."""
        return str(_MODES.get(len(self.mean), f"{len(self.mean)} channels"))

    @property
    def resized_short_side(self) -> int:
        """Pixels of the short side before the crop."""
        return round(self.resolution / self.crop)

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """Resize and crop an image to `(C, resolution, resolution)` uint8."""
        return self.square(image, self.resolution)

    def square(self, image: Image.Image, side: int) -> NDArray[np.uint8]:
        """Resize the short side as configured, cut out the middle `side`² pixels: `(C, side, side)` uint8."""
        if image.mode != self.mode or "transparency" in image.info:
            image = to_mode(image, self.mode)
        resized = self._resize(trim(image), max(side, self.resized_short_side))
        left = round((resized.width - side) / 2)
        top = round((resized.height - side) / 2)
        return self._planes(resized.crop((left, top, left + side, top + side)))

    def _planes(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return the pixels of a square image as `(C, S, S)`."""
        channels_last = np.asarray(image, dtype=np.uint8).reshape(image.height, image.width, len(self.mean))
        return np.ascontiguousarray(channels_last.transpose(2, 0, 1))

    def region(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Return the part of a picture that `pixels` keeps: left, top, right, bottom, as shares."""
        kept = [min(side, MAX_ASPECT * min(width, height)) for side in (width, height)]
        resized = resized_size(kept[0], kept[1], max(self.resolution, self.resized_short_side))
        spans = []
        for whole, trimmed, pixels in zip((width, height), kept, resized, strict=True):
            start = (whole - trimmed) // 2 + trimmed * round((pixels - self.resolution) / 2) / pixels
            spans.append((start / whole, (start + trimmed * self.resolution / pixels) / whole))
        (left, right), (top, bottom) = spans
        return left, top, right, bottom

    def _resize(self, image: Image.Image, short_side: int) -> Image.Image:
        """Resize so that the short side has exactly `short_side` pixels, keeping the aspect ratio.

        Rows first, then columns: since version 13 Pillow chooses by the shape of the image, and the order of
        bicubic passes changes single pixels by up to 20 levels.
        """
        if min(image.size) == short_side:
            return image
        wide, high = resized_size(*image.size, short_side)
        resample = _RESAMPLING[self.interpolation]
        return image.resize((wide, image.height), resample).resize((wide, high), resample)

    def normalise(self, values: Any) -> Any:
        """Normalise `values (…, C, H, W)`, floats from 0 to 1 in numpy or torch, into the network's input."""
        mean, std = self._columns(values)
        return (values - mean) / std

    def normalise_(self, values: Any) -> Any:
        """Normalise `values (N, C, H, W)` of torch in place, in a third of the time; the bits of `normalise`.

        Mean and deviation are made as large as an image and lie as it does: with rows of C values, as images
        that lie channels last have, it takes four times as long.
        """
        mean, std = (values[0].clone().copy_(column) for column in self._columns(values))
        values -= mean
        values /= std
        return values

    def denormalise(self, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return the pixels `(…, C, H, W)` that were divided by 255 and given to `normalise`."""
        mean, std = self._columns(values)
        pixels: NDArray[np.uint8] = np.rint(255.0 * (values * std + mean)).clip(0, 255).astype(np.uint8)
        return pixels

    def _columns(self, like: Any) -> tuple[Any, Any]:
        """Return mean and std shaped `(C, 1, 1)`, in the library, type and device of `like`."""
        mean = np.asarray(self.mean, dtype=np.float32).reshape(-1, 1, 1)
        std = np.asarray(self.std, dtype=np.float32).reshape(-1, 1, 1)
        if isinstance(like, np.ndarray):
            return mean, std
        return like.new_tensor(mean), like.new_tensor(std)

    def __call__(self, image: Image.Image) -> NDArray[np.float32]:
        """Preprocess one image into `(C, resolution, resolution)` float32."""
        normalised: NDArray[np.float32] = self.normalise(self.pixels(image).astype(np.float32) / 255.0)
        return normalised


def resized_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Return a size whose short side is `short_side`, of the same aspect ratio."""
    wide, high = (max(short_side, round(side * short_side / min(width, height))) for side in (width, height))
    return wide, high


def trim(image: Image.Image) -> Image.Image:
    """Cut equally much off both ends of a very long image, far from the middle that is used."""
    longest = MAX_ASPECT * min(image.size)
    left, top = (max(0, side - longest) // 2 for side in image.size)
    if left == top == 0:
        return image
    return image.crop((left, top, image.width - left, image.height - top))


_ADAPTER = TypeAdapter(Preprocess)


def to_dict(preprocess: Preprocess) -> dict[str, Any]:
    """Return the value as plain JSON."""
    data: dict[str, Any] = _ADAPTER.dump_python(preprocess, mode="json")
    return data


def from_dict(data: object) -> Preprocess:
    """Build the value from JSON.

    Raises:
        UsageError: a key is unknown or a value out of range.

    """
    try:
        return _ADAPTER.validate_python(data)
    except ValidationError as error:
        raise UsageError(f"preprocessing: {bad_value(error.errors()[0])}") from error
