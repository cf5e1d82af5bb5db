"""A model file of half the size: kernels as float16, and the proof that it answers as before."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from effnet import modelfile
from effnet.data.datasets import DataSet
from effnet.data.splits import held_out
from effnet.errors import UsageError
from effnet.evaluation.classifier import Classifier
from effnet.exporting.images import MACS_TO_CHOOSE, MACS_TO_PROVE, Images, affordable, read
from effnet.exporting.listener import Listener, Quiet
from effnet.exporting.making import source_of
from effnet.exporting.onnx import arrays_of
from effnet.exporting.parity import Parity, ParityError, compare, random_pixels, torch_logits
from effnet.exporting.run import on_cpu, opened_data
from effnet.importing.run import checked_path
from effnet.network.model import ConvNet
from effnet.weightfile import halved, widened

KEY = "half"  # in the training record of a model file
LIMIT = 1e-2
"""How far logits may be apart, as a share of the range of all logits: 5e-4 was measured."""
MOST_IMAGES = 2_000
BATCH = 250


@dataclass(frozen=True)
class Halved:
    """What was written, and how it answers."""

    path: Path
    num_bytes: tuple[int, int]
    """Of the arrays, before and after."""
    kept: tuple[str, ...]
    """Kernels and matrices that stayed float32, because float16 would lose too much of them."""
    parity: Parity
    top1: tuple[float, float] | None
    """Share of the real images that each is right about; None without a data set."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "path": str(self.path), "parity": self.parity.to_dict()}


def export_half(
    model: str | Path | Classifier,
    out: str | Path,
    *,
    check_on: str | Path | DataSet | None = None,
    listener: Listener | None = None,
) -> Halved:
    """Write a model file with kernels in half precision, after both have answered to the same images.

    It is a model file as any other: whoever loads it computes in float32.

    Args:
        model: a model file, or what `load` made of one.
        out: the model file to write, `.safetensors`.
        check_on: data set whose held-out images are answered too, 2,000 of them at most.
        listener: told of the progress.

    Raises:
        UsageError: `out` is no name for that, or the model is exported or in half precision already.
        ModelFileError: the model file is missing or damaged.
        ParityError: float16 changes the answers; no file is written.
        DataError: the data set's classes are not the model's, or images cannot be read.

    """
    path, told = checked_path(Path(out)), listener or Quiet()
    classifier = on_cpu(model)
    if KEY in classifier.header.training:
        raise UsageError(f"{classifier.path or 'the model'} is in half precision already")
    before = arrays_of(classifier.network)
    after = halved(before)
    images = None
    if check_on is not None:
        dataset = opened_data(check_on, told)
        count = affordable(classifier, MACS_TO_CHOOSE, least=64, most=MOST_IMAGES)
        held = held_out(dataset, classifier.drawn)
        images = read(held, count, dataset=dataset, classifier=classifier, listener=told)
    parity, top1 = prove(classifier, twin(classifier, widened(after)), images)
    record = {KEY: {"source": source_of(classifier), "parity": parity.to_dict()}}
    header = replace(classifier.header, training={**classifier.header.training, **record})
    modelfile.save(path, header, after)
    kept = tuple(name for name, array in after.items() if array.ndim > 1 and array.dtype == np.float32)
    return Halved(path, (total(before), total(after)), kept, parity, top1)


def total(arrays: Mapping[str, NDArray[Any]]) -> int:
    """Return the bytes of arrays."""
    return sum(array.nbytes for array in arrays.values())


def twin(classifier: Classifier, arrays: Mapping[str, NDArray[Any]]) -> Classifier:
    """Return the same network with other weights."""
    network = ConvNet(classifier.header.spec, classifier.header.num_classes)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return Classifier(classifier.header, network, torch.device("cpu"))


def prove(
    first: Classifier, second: Classifier, images: Images | None
) -> tuple[Parity, tuple[float, float] | None]:
    """Let two networks answer to random and real images.

    Returns:
        How they compare, and the share of the real images that each is right about.

    Raises:
        ParityError: logits differ by more than the limit, or a class that was clear is another.

    """
    num_random = affordable(first, MACS_TO_PROVE, least=4, most=64)
    pixels = random_pixels(first.header.preprocess, num_random, seed=0)
    num_real = 0 if images is None else len(images.pixels)
    if images is not None:
        pixels = np.concatenate([pixels, images.pixels])
    expected, actual = (_logits(classifier, pixels) for classifier in (first, second))
    parity = replace(compare(expected, actual, limit=LIMIT), num_random=num_random, num_real=num_real)
    if not parity.holds:
        raise ParityError(
            f"in half precision the network answers otherwise: logits differ by {parity.share:.1e} of their "
            f"range (allowed {LIMIT:.0e}), and for {1 - parity.agreement:.1%} of the images the most "
            f"probable class is another; no file was written. It amplifies rounding: longer training helps"
        )
    if images is None:
        return parity, None
    right = [float((part[num_random:].argmax(1) == images.labels).mean()) for part in (expected, actual)]
    return parity, (right[0], right[1])


def _logits(classifier: Classifier, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    parts = [pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH)]
    return np.concatenate([torch_logits(classifier, part) for part in parts])
