"""How many images are computed together follows from measurement."""

from collections.abc import Callable
from pathlib import Path

import pytest

from effnet.inference.runtime import load
from effnet.inference.server.pace import SIZES, best_batch, best_size
from onnx_models import write_onnx_model


def cost(start: float, each: float, crowded: float = 0.0) -> Callable[[int], float]:
    """Return the seconds of a batch: a start, a time for each image, and one for all that crowd the cache."""
    return lambda size: start + each * size + crowded * size**2


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        (cost(0.0, 0.01), 16),  # what happens around the network is shared at least
        (cost(0.01, 0.001), 16),  # a long start is shared
        (cost(0.004, 0.01, 0.001), 2),  # caches overflow
        (cost(0.0, 0.01, 0.001), 1),
    ],
)
def test_the_size_with_the_shortest_time_of_an_image_is_taken(
    seconds: Callable[[int], float], best: int
) -> None:
    assert best_size(seconds) == best


def test_large_batches_of_a_slow_network_are_not_even_tried() -> None:
    tried: list[int] = []

    def seconds(size: int) -> float:
        tried.append(size)
        return 0.3 + 0.01 * size

    best_size(seconds)
    assert tried == [1, 2, 4, 8, 16]
    tried.clear()
    best_size(lambda size: seconds(size) + 0.3)
    assert tried == [1]


def test_a_network_is_measured(tmp_path: Path) -> None:
    classifier = load(write_onnx_model(tmp_path / "model.onnx"), num_threads=1)
    assert best_batch(classifier) in SIZES
