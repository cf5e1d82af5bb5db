"""One export, from a model file to proved ONNX files: what `effnet export` does."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from effnet.data.datasets import DataSet, open_dataset
from effnet.errors import UsageError
from effnet.evaluation.classifier import Classifier, load
from effnet.exporting.compression import Compression
from effnet.exporting.images import MACS_TO_PROVE, affordable, own_data, real_images
from effnet.exporting.listener import Listener, Quiet
from effnet.exporting.making import Making, source_of, write
from effnet.exporting.parity import Parity, prove
from effnet.exporting.result import Exported
from effnet.files import check_out
from effnet.inference.onnxfile import InputKind, OnnxFile, is_onnx_file
from effnet.inference.runtime import OnnxClassifier
from effnet.spec.netspec import read_values


@dataclass(frozen=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class Wish:
    """What an export is asked for."""

    int8: bool = False
    """Also write an int8 file, with `.int8` before the suffix."""
    calibrate_on: str | Path | DataSet | None = None
    """Data set for int8, by name or folder; the model's own when not given."""
    check_on: str | Path | DataSet | None = None
    """Data set whose images go through the proof too; for int8 that of the calibration when not given."""
    embed_normalisation: bool = False
    """Let the files take pixels, uint8, `(N, S, S, C)`, and normalise them."""
    max_drop: float = Field(default=1.0, ge=0.0, le=100.0)
    """Points of accuracy that int8 may lose on validation images."""

    def __post_init__(self) -> None:
        if self.calibrate_on is not None and not self.int8:
            raise UsageError("--calibrate-on is for --int8; real images for the proof: --check-on DATA")


_ADAPTER = TypeAdapter(Wish)


def export(
    model: str | Path | Classifier, out: str | Path, *, listener: Listener | None = None, **wish: Any
) -> Exported:
    """Write a network as ONNX files that need no training code, proved to answer as torch does.

    Args:
        model: a model file, or a classifier.
        out: the file to write, `.onnx`. The int8 file beside it has `.int8` before the suffix.
        listener: told of the progress.
        wish: fields of `Wish`.

    Raises:
        UsageError: a wrong name or value, no such folder, or int8 without images.
        ModelFileError: the model file is missing or damaged.
        ParityError: a file does not compute what torch computes; none is written.
        QuantizationError: int8 loses too much accuracy; no file is written.
        DataError: the data set's classes are not the model's, or images cannot be read.
        ModuleNotFoundError: the extra `export` is not installed.

    """
    asked, path, told = read_values(_ADAPTER, wish), checked_path(Path(out)), listener or Quiet()
    need_tools()
    classifier = on_cpu(model)
    kind: InputKind = "pixels" if asked.embed_normalisation else "normalised"
    making = Making(classifier, kind, source_of(classifier))
    dataset = images_for_int8(asked, classifier, told)
    told.message(f"writing {classifier.header.spec.name} as a graph and proving it")
    float32, parity = proved(making, path, real_for_proof(asked, dataset, classifier, told))
    files, comparison = [float32], None
    if dataset is not None:
        int8, comparison = Compression(making, float32, dataset, told).run(int8_path(path), asked.max_drop)
        files.append(int8)
    for file in files:
        write(file)
    return Exported(
        path=path,
        int8_path=None if dataset is None else int8_path(path),
        input=making.input,
        shape=shape_of(making),
        num_bytes=len(float32.content),
        parity=parity,
        comparison=comparison,
    )


def checked_path(path: Path) -> Path:
    """Check where a file shall be written, before the work that makes it.

    Raises:
        UsageError: it is no .onnx file, or there is no such folder.

    """
    if not is_onnx_file(path):
        raise UsageError(f"--out {path}: the name must end in .onnx")
    check_out(path)
    return path


def int8_path(path: Path) -> Path:
    """Return the name of the int8 file beside a float32 file."""
    return path.with_suffix(f".int8{path.suffix}")


def need_tools() -> None:
    """Make sure that graphs can be written and computed.

    Raises:
        ModuleNotFoundError: the extra `export` is not installed.

    """
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401


def on_cpu(model: str | Path | Classifier) -> Classifier:
    """Return a classifier on the CPU, which is where files are proved; the one given stays where it is.

    Raises:
        UsageError: it is an ONNX file already.
        ModelFileError: the file is missing or damaged.

    """
    if isinstance(model, Classifier):
        return Classifier(model.header, deepcopy(model.network), torch.device("cpu"), model.path)
    if is_onnx_file(Path(model)):
        raise UsageError(f"{model} is exported already; give the .safetensors file that it was made of")
    return load(model, device="cpu")


def images_for_int8(asked: Wish, classifier: Classifier, listener: Listener) -> DataSet | None:
    """Open the data set that int8 is made with; None where no int8 is asked for."""
    if not asked.int8:
        return None
    if asked.calibrate_on is None:
        return own_data(classifier, listener)
    return opened_data(asked.calibrate_on, listener)


def opened_data(source: str | Path | DataSet, listener: Listener) -> DataSet:
    """Open a data set, unless it is one already."""
    if isinstance(source, DataSet):
        return source
    return open_dataset(source, on_download=listener.downloading)


def real_for_proof(
    asked: Wish, dataset: DataSet | None, classifier: Classifier, listener: Listener
) -> NDArray[np.uint8]:
    """Read the real images that go through the proof, `(N, C, S, S)`; N is 0 where there are none."""
    given = dataset if asked.check_on is None else opened_data(asked.check_on, listener)
    if given is not None:
        return real_images(given, classifier, listener)
    preprocess = classifier.header.preprocess
    return np.zeros((0, len(preprocess.mean), preprocess.resolution, preprocess.resolution), np.uint8)


def proved(making: Making, path: Path, real: NDArray[np.uint8]) -> tuple[OnnxFile, Parity]:
    """Make the float32 file and prove it; nothing is written.

    Raises:
        ParityError: it does not compute what torch computes.

    """
    model = making.graph(blocked=True)
    making.complete(model)
    draft = OnnxClassifier(making.file(path, model, "float32", {}))
    count = affordable(making.classifier, MACS_TO_PROVE, least=4, most=64)
    parity = prove(making.classifier, draft, num_random=count, real=real)
    return making.file(path, model, "float32", parity.to_dict()), parity


def shape_of(making: Making) -> tuple[int, int, int]:
    """Return the shape of one image as the files take it."""
    preprocess = making.classifier.header.preprocess
    side, channels = preprocess.resolution, len(preprocess.mean)
    return (side, side, channels) if making.input == "pixels" else (channels, side, side)
