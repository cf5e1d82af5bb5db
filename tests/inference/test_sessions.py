"""Images are computed side by side or together, and the answers are the same."""

from pathlib import Path

import numpy as np
import pytest

from effnet.inference.runtime import load
from effnet.inference.sessions import ACTIVATIONS_AT_ONCE, Sessions
from onnx_models import write_onnx_model

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_onnx_model(tmp_path_factory.mktemp("models") / "model.onnx")


@pytest.mark.parametrize("num_threads", [1, 2, 3])
@pytest.mark.parametrize("num_images", [1, 2, 3, 7])
def test_answers_do_not_depend_on_how_images_are_divided(
    path: Path, num_threads: int, num_images: int
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (num_images, 3, 16, 16), dtype=np.uint8)
    together, apart = load(path, num_threads=1), load(path, num_threads=num_threads)
    apart.sessions.most_at_once = 2
    expected = np.concatenate([together.logits(pixels[i : i + 1]) for i in range(num_images)])
    np.testing.assert_allclose(apart.logits(pixels), expected, rtol=1e-4, atol=1e-4)
    logits, features = apart.logits_and_features(pixels)
    assert (len(logits), len(features)) == (num_images, num_images)


class Recorder:
    """A session that computes the sum of each image, and remembers how many it was given at once."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def run(self, outputs: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.sizes.append(len(feed["images"]))
        return [feed["images"].sum((1, 2, 3))]


@pytest.mark.parametrize(
    ("num_threads", "num_images", "opened", "sizes"),
    [
        (4, 1, [4], [1]),
        (4, 3, [4], [3]),  # too few to give each thread one: all threads share them
        (4, 4, [4, 1], [1, 1, 1, 1]),
        (2, 7, [2, 1], [2, 2, 2, 1]),
        (1, 5, [1], [2, 2, 1]),
    ],
)
def test_images_are_shared_out_among_threads(
    num_threads: int, num_images: int, opened: list[int], sizes: list[int]
) -> None:
    made: dict[int, Recorder] = {}
    sessions = Sessions(
        lambda threads: made.setdefault(threads, Recorder()), num_threads, ACTIVATIONS_AT_ONCE // 2
    )
    images = np.arange(num_images * 3.0).reshape(num_images, 3, 1, 1)
    (sums,) = sessions.run(["sums"], images, lambda part: {"images": part})
    np.testing.assert_array_equal(sums, images.sum((1, 2, 3)))
    assert list(made) == opened
    assert sorted(made[opened[-1]].sizes, reverse=True) == sizes
