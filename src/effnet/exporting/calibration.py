"""Which values the tensors of a network take, for int8 to be spread over: by onnxruntime's own tools."""

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.data.memory import free_on_machine
from effnet.exporting.listener import Listener
from effnet.inference.runtime import INPUTS

OPERATORS = ("Conv", "Gemm", "Sigmoid", "Mul", "Add", "GlobalAveragePool", "MaxPool", "Relu", "Clip")
"""Operators that onnxruntime computes in int8 on a CPU; those of one activation are no reason to leave it."""

PERCENTILES = (99.9, 99.99, 99.999)
NUM_BINS = 2048
SHARE = 0.25  # of the free memory, for the values of all tensors at once

Batches = Sequence[NDArray[np.float32]]
"""Images `(N, C, S, S)`, normalised; every batch as large."""


@dataclass(frozen=True)
class Ranges:
    """Lowest and highest value of each tensor, by one method."""

    method: str
    path: Path
    """Where onnxruntime keeps them."""
    is_percentile: bool


class OneBatch:
    """Gives one batch to a calibrator of onnxruntime, then nothing."""

    def __init__(self, images: NDArray[np.float32]) -> None:
        self.left = [{INPUTS["normalised"]: images}]

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the batch once, then None."""
        return self.left.pop() if self.left else None


def fitting_batch(bytes_per_image: int, most: int) -> int:
    """Return how many images can be calibrated at once, at most `most`; 0 where not even one can."""
    return int(min(SHARE * free_on_machine() // bytes_per_image, most))


def measure(graph: Path, batches: Batches, listener: Listener, *, percentiles: bool) -> list[Ranges]:
    """Measure the ranges of all tensors over some images by each method.

    Args:
        graph: the float32 graph; the ranges are written beside it.
        batches: images.
        listener: follows the batches.
        percentiles: whether the values of all tensors of a batch fit into memory at once, which
            percentiles need; else only extremes are measured.

    """
    from onnxruntime.quantization import CalibrationMethod

    total = len(batches) * (1 + percentiles)
    extremes = calibrator(graph, CalibrationMethod.MinMax, {})
    for done, batch in enumerate(batches, start=1):
        collect(extremes, batch)
        listener.working("calibrating", done, total)
    found = [stored(extremes, graph, "extremes", is_percentile=False)]
    if not percentiles:
        return found
    options = {"symmetric": False, "num_bins": NUM_BINS, "percentile": PERCENTILES[0]}
    histograms = calibrator(graph, CalibrationMethod.Percentile, options)
    for done, batch in enumerate(batches, start=1 + len(batches)):
        collect(histograms, batch)
        listener.working("calibrating", done, total)
    for percentile in PERCENTILES:  # of the same histograms
        histograms.collector.percentile = percentile
        found.append(stored(histograms, graph, f"percentile {percentile:g}", is_percentile=True))
    return found


def calibrator(graph: Path, method: Any, options: dict[str, Any]) -> Any:
    """Make a calibrator of onnxruntime; what it needs on the disk lies beside the graph."""
    from onnxruntime.quantization.calibrate import create_calibrator

    with quiet():
        return create_calibrator(
            graph,
            list(OPERATORS),
            augmented_model_path=str(graph.with_name("augmented.onnx")),
            calibrate_method=method,
            extra_options=options,
        )


def collect(made: Any, images: NDArray[np.float32]) -> None:
    """Let a calibrator see a batch."""
    with quiet():
        made.collect_data(OneBatch(images))


def stored(made: Any, graph: Path, method: str, *, is_percentile: bool) -> Ranges:
    """Compute the ranges of a calibrator and write them beside the graph."""
    from onnxruntime.quantization.calibrate import save_tensors_data

    path = graph.with_name(f"{method}.json")
    with quiet():
        save_tensors_data(made.compute_data(), path)
    return Ranges(method, path, is_percentile)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep onnxruntime's tools from printing."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
