"""The same image gives the same probabilities through torch, onnxruntime and the service."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from served import client, encoded, make_site
from starlette.testclient import TestClient

from effnet.evaluation import classifier
from effnet.inference.runtime import OnnxClassifier, load
from onnx_models import HEADER, write_torch_model

NOISE = np.random.default_rng(0).integers(0, 256, (61, 83, 3), dtype=np.uint8)
COLOUR = Image.fromarray(NOISE)
GREY = COLOUR.convert("L")


def with_alpha() -> Image.Image:
    image = COLOUR.copy()
    image.putalpha(GREY)
    return image


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return exif


IMAGES: dict[str, bytes] = {
    "photo.jpg": encoded(COLOUR, "JPEG"),
    "progressive.jpg": encoded(COLOUR, "JPEG", progressive=True),
    "turned.jpg": encoded(COLOUR, "JPEG", exif=turned()),
    "cmyk.jpg": encoded(COLOUR.convert("CMYK"), "JPEG"),
    "grey.jpg": encoded(GREY, "JPEG"),
    "colour.png": encoded(COLOUR),
    "grey.png": encoded(GREY),
    "palette.png": encoded(COLOUR.quantize(16)),
    "alpha.png": encoded(with_alpha()),
    "grey-alpha.png": encoded(with_alpha().convert("LA")),
    "16-bit.png": encoded(Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257)),
    "bilevel.png": encoded(COLOUR.convert("1")),
    "one-pixel.png": encoded(Image.new("RGB", (1, 1), (200, 30, 90))),
    "long.png": encoded(COLOUR.resize((900, 7))),
    "animated.gif": encoded(COLOUR, "GIF", save_all=True, append_images=[GREY.convert("RGB")]),
    "lossy.webp": encoded(COLOUR, "WEBP"),
    "float.tif": encoded(GREY.convert("F"), "TIFF"),
    "plain.bmp": encoded(COLOUR, "BMP"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("agreement")
    for name, content in IMAGES.items():
        (made / name).write_bytes(content)
    return made


@pytest.fixture(scope="module")
def through_torch(folder: Path) -> classifier.Classifier:
    return classifier.load(write_torch_model(folder / "model.safetensors"), device="cpu")


@pytest.fixture(scope="module")
def api(folder: Path) -> Iterator[TestClient]:
    with client(make_site(folder)) as asking:
        yield asking


@pytest.fixture(scope="module")
def through_onnx(folder: Path, api: TestClient) -> OnnxClassifier:
    return load(folder / "model.onnx", num_threads=1)


def by_name(classes: Any) -> list[float]:
    return [dict(classes)[name] for name in HEADER.class_names]


@pytest.mark.parametrize("name", IMAGES)
def test_three_ways_give_the_same_probabilities(
    name: str,
    folder: Path,
    through_torch: classifier.Classifier,
    through_onnx: OnnxClassifier,
    api: TestClient,
) -> None:
    (torch,) = through_torch.predict(folder / name, top=6)
    (onnx,) = through_onnx.predict(folder / name, top=6)
    served = api.post("/v1/predict?top=6", content=IMAGES[name]).json()["predictions"][0]["classes"]
    service = by_name([(entry["name"], entry["probability"]) for entry in served])
    np.testing.assert_allclose(by_name(onnx.classes), by_name(torch.classes), atol=1e-4)
    np.testing.assert_allclose(service, by_name(torch.classes), atol=1e-4)


def test_the_images_are_told_apart(folder: Path, through_onnx: OnnxClassifier) -> None:
    answers = [
        by_name(through_onnx.predict(folder / name, top=6)[0].classes)
        for name in ("photo.jpg", "one-pixel.png")
    ]
    assert np.abs(np.subtract(answers[0], answers[1])).max() > 0.01
