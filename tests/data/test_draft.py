"""Large photos to train on are decoded smaller: never too small, and close to whole decoding."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import effnet
from effnet.config import DataConfig
from effnet.data.datasets import open_dataset
from effnet.data.pixels import PixelFormat, Reading
from effnet.data.resizing import quick_square
from effnet.data.samples import Samples
from effnet.data.storage import open_pixels
from effnet.imaging.decode import decode
from effnet.imaging.preprocess import Interpolation, Preprocess
from image_files import encoded, scene, turned

SIDE = 32
DRAFTING = PixelFormat(Preprocess(SIDE), SIDE, draft=True)
WHOLE = PixelFormat(Preprocess(SIDE), SIDE)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of photos, 2 to 20 times as large as what is stored, and one that is no JPEG."""
    for index, side in enumerate((60, 100, 130, 200, 300, 640)):
        path = tmp_path / "ab"[index % 2] / f"{index}.jpg"
        path.parent.mkdir(exist_ok=True)
        scene(side * 4 // 3, side).save(path, quality=90)
    scene(400, 300).save(tmp_path / "a" / "x.png")
    return tmp_path


def stored(samples: Samples, form: PixelFormat, storage: str = "memory") -> torch.Tensor:
    config = DataConfig(storage=storage, workers=0)  # type: ignore[arg-type]
    pixels = open_pixels(samples, form, Reading(config, torch.device("cpu")))
    return torch.cat([images for images, _ in pixels.once(4)])


@settings(max_examples=30, deadline=None)
@given(st.integers(16, 700), st.integers(16, 700), st.integers(1, 300))
def test_a_draft_has_at_least_the_pixels_asked_for(width: int, height: int, at_least: int) -> None:
    content = encoded(Image.new("RGB", (width, height)), "JPEG")
    short = min(decode(content, at_least=at_least).size)
    assert short >= min(at_least, width, height)
    assert short < max(2 * at_least, 2) or short == -(-min(width, height) // 8)  # nor many more than that


def test_a_draft_is_close_to_whole_decoding(photos: Path) -> None:
    """On photographs 1.2 to 2.9 of 255 (decision 0022); bilinear for bicubic is 2.4."""
    samples = open_dataset(photos).parts["all"]
    drafted, whole = (stored(samples, form).float() for form in (DRAFTING, WHOLE))
    differences = (drafted - whole).abs().mean(dim=(1, 2, 3))
    assert 0 < differences.max() < 6.0


def test_small_photos_and_other_formats_stay_as_they_are(photos: Path) -> None:
    read = open_dataset(photos).parts["all"].read
    assert DRAFTING.least_side == SIDE
    for name in ("a/0.jpg", "a/x.png"):  # a half of 60 pixels would be 30
        assert mean_difference(DRAFTING.read(read, name), WHOLE.read(read, name)) < 0.5
    assert mean_difference(DRAFTING.read(read, "b/5.jpg"), WHOLE.read(read, "b/5.jpg")) > 0.5


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(5, 300), st.integers(5, 300)), st.integers(4, 64), st.floats(0.5, 1.0),
    st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"]), st.sampled_from([1, 3]),
)  # fmt: skip
def test_resizing_by_torch_differs_from_pillow_by_two_at_most(
    size: tuple[int, int], side: int, crop: float, interpolation: Interpolation, channels: int
) -> None:
    mean = (0.5,) * channels
    preprocess = Preprocess(side, crop=crop, interpolation=interpolation, mean=mean, std=mean)
    image = scene(*size).convert(preprocess.mode)
    quick, slow = quick_square(image, preprocess, side), preprocess.square(image, side)
    assert quick.shape == slow.shape == (channels, side, side)
    assert np.abs(quick.astype(int) - slow).max() <= 2  # either rounds after each of the two passes


def mean_difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def test_drafts_in_a_stream_are_those_in_memory(photos: Path) -> None:
    samples = open_dataset(photos).parts["all"]
    assert torch.equal(stored(samples, DRAFTING, "stream"), stored(samples, DRAFTING))


def test_a_photo_on_its_side_is_turned_upright() -> None:
    content = turned(6)
    assert decode(content, at_least=4).size[0] < decode(content, at_least=4).size[1]


def test_the_limit_of_pixels_holds_for_drafts_too() -> None:
    file = BytesIO()
    Image.new("L", (14_000, 14_000)).save(file, "JPEG")
    with pytest.raises(effnet.errors.EffnetError, match="pixels"):
        decode(file.getvalue(), at_least=8)


def test_only_training_images_are_drafts(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A training with drafts and one without them see the same validation and test images."""
    from effnet.config import override
    from effnet.training.parts import assemble, read
    from effnet.training.reporter import Silent

    for index in range(6, 30):
        scene(400 + index, 300).save(photos / "ab"[index % 2] / f"{index}.jpg", quality=90)
    config = override(effnet.config.TrainConfig(), {"resolution": 32, "device": "cpu"})
    parts = {
        draft: assemble(open_dataset(photos), override(config, {"data": {"draft": draft}}))
        for draft in (True, False)
    }
    seen = {
        (part, draft): torch.cat([i for i, _ in read(part, of, Silent(), {}).once(8)])
        for draft, of in parts.items()
        for part in ("train", "val")
    }
    assert torch.equal(seen["val", True], seen["val", False])
    assert not torch.equal(seen["train", True], seen["train", False])
