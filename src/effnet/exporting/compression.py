"""Making the int8 file beside a float32 file: calibrate, choose, and judge on images that chose nothing."""

from dataclasses import asdict
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING

from effnet.data.datasets import DataSet
from effnet.exporting import speed
from effnet.exporting.calibration import Ranges, fitting_batch, measure
from effnet.exporting.comparison import Comparison, measure_accuracy
from effnet.exporting.images import (
    MACS_TO_CALIBRATE,
    MACS_TO_CHOOSE,
    Images,
    Parts,
    affordable,
    normalised,
    opened,
    parts_of,
    read,
)
from effnet.exporting.int8 import Bench, Candidate, bench, choose
from effnet.exporting.listener import Listener
from effnet.exporting.making import Making
from effnet.inference.onnxfile import OnnxFile
from effnet.inference.runtime import OnnxClassifier

if TYPE_CHECKING:
    from onnx import ModelProto

MAX_CALIBRATION_BATCH = 32
LONG_SECONDS = 30.0
NUM_CANDIDATES = 4


class Compression:
    """Makes int8 of a network, with images of a data set."""

    def __init__(self, making: Making, float32: OnnxFile, dataset: DataSet, listener: Listener) -> None:
        self.making = making
        self.float32 = float32
        self.dataset = dataset
        self.listener = listener
        self.parts: Parts = parts_of(dataset, making.classifier)

    def images(self, part: str, count: int) -> Images:
        """Read some images of `calibration` or `choice`."""
        held = getattr(self.parts, part)
        return read(
            held, count, dataset=self.dataset, classifier=self.making.classifier, listener=self.listener
        )

    def run(self, path: Path, max_drop: float) -> tuple[OnnxFile, Comparison]:
        """Make the int8 file that will be at `path`, and compare it with the float32 file.

        Args:
            path: nothing is written there yet.
            max_drop: points of accuracy that may be lost on validation images.

        Raises:
            QuantizationError: more is lost.
            DataError: the data set's classes are not the model's, or images cannot be read.

        """
        candidate, num_choice = self.choose(max_drop)
        self.making.complete(candidate.model)
        draft = self.making.file(path, candidate.model, "int8", {})
        files = [OnnxClassifier(self.float32), OnnxClassifier(draft)]
        classifier, parts = self.making.classifier, self.parts
        with opened(parts.final, self.dataset, classifier, self.listener) as images:
            accuracy = measure_accuracy(files, images, parts.caution, self.listener)
        found = {"method": candidate.method, "floats": candidate.floats, "drop": candidate.drop}
        known = {**found, "num_choice": num_choice, "accuracy": asdict(accuracy)}
        file = self.making.file(path, candidate.model, "int8", known)
        self.listener.message("timing both files on this machine")
        first, second = speed.measure(files)
        return file, Comparison(
            method=candidate.method,
            floats=candidate.floats,
            drop=candidate.drop,
            num_choice=num_choice,
            accuracy=accuracy,
            num_bytes=(len(self.float32.content), len(file.content)),
            speed=(first, second),
        )

    def choose(self, max_drop: float) -> tuple[Candidate, int]:
        """Return the int8 graph that answers best, and the number of images that it was chosen by."""
        classifier = self.making.classifier
        preprocess = classifier.header.preprocess
        count = affordable(classifier, MACS_TO_CHOOSE, least=256, most=2000)
        with TemporaryDirectory(prefix="effnet-int8-") as folder:
            model = self.making.graph(blocked=False)
            graph = Path(folder) / "float32.onnx"
            graph.write_bytes(model.SerializeToString())
            images = self.images("choice", count)
            started = perf_counter()
            judge = bench(graph, images, preprocess)
            self.forecast((perf_counter() - started) / len(images.labels), judge)
            best = choose(judge, self.ranges(graph, model), max_drop, self.listener)
        return best, len(images.labels)

    def ranges(self, graph: Path, model: "ModelProto") -> list[Ranges]:
        """Measure the ranges of the tensors of a graph."""
        classifier = self.making.classifier
        count = affordable(classifier, MACS_TO_CALIBRATE, least=32, most=256)
        images = self.images("calibration", count)
        wide = fitting_batch(bytes_per_image(model), MAX_CALIBRATION_BATCH)
        size = min(max(1, wide), len(images.labels))
        pixels = images.pixels[: len(images.labels) // size * size]  # onnxruntime wants batches of one size
        batches = [
            normalised(pixels[start : start + size], classifier.header.preprocess)
            for start in range(0, len(pixels), size)
        ]
        if not wide:
            self.listener.message(
                "int8: too little memory is free to calibrate by percentiles; by extremes alone"
            )
        return measure(graph, batches, self.listener, percentiles=wide > 0)

    def forecast(self, seconds_per_image: float, judge: Bench) -> None:
        """Say how long the rest will take, if that is long."""
        num_final, num_choice = len(self.parts.final.samples), len(judge.images.labels)
        passes = 6 * 256 + NUM_CANDIDATES * num_choice + 2 * num_final
        seconds = seconds_per_image * passes
        if seconds > LONG_SECONDS:
            self.listener.message(f"int8: this will take about {max(1, round(seconds / 60))} minutes here")


def bytes_per_image(model: "ModelProto") -> int:
    """Return the bytes of all tensors that a graph computes for one image."""
    tensors = (*model.graph.value_info, *model.graph.output)
    sizes = [[int(dim.dim_value) for dim in info.type.tensor_type.shape.dim[1:]] for info in tensors]
    return 4 * sum(prod(size) for size in sizes)
