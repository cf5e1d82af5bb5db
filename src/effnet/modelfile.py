"""A model file is whole: weights, network, preprocessing, class names and training record in one file.

It is a safetensors file; the header is JSON in its metadata. Reading it never executes code.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save_file

from effnet import __version__
from effnet.errors import EffnetError, ModelFileError, some
from effnet.files import write_bytes
from effnet.imaging import preprocess as preprocessing
from effnet.imaging.preprocess import Preprocess
from effnet.shipped.catalogue import is_shipped
from effnet.spec import netspec
from effnet.spec.cost import cost
from effnet.spec.netspec import NetSpec
from effnet.weightfile import Arrays, arrays_in, opened, widened

FORMAT_VERSION = 1
SMALL_NETWORK = 10_000_000  # parameters that may be built whatever a file holds
METADATA_KEY = "effnet"  # of a model file's header, and of the ONNX file's that is made of it


@dataclass(frozen=True)
class ModelHeader:
    """All that a model file says about its weights."""

    spec: NetSpec
    preprocess: Preprocess
    class_names: tuple[str, ...]
    training: Mapping[str, Any] = field(default_factory=dict)
    """Configuration, data set and machine of the training; weights from elsewhere may lack any of it."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """What was measured at the end of training, per split."""
    split: Mapping[str, list[str]] = field(default_factory=dict)
    """Names of the images of parts that were drawn: `val` and `test`, and under `max_train` also `train`."""
    temperature: float = 1.0
    """What logits are divided by before they become probabilities; 1 where the model is not calibrated."""
    effnet_version: str = __version__

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def is_recorded(self) -> bool:
        """Whether it says how it was trained, as `effnet train` does."""
        return {"data", "num_images", "config", "environment"} <= self.training.keys()


def save(path: Path, header: ModelHeader, arrays: Arrays) -> None:
    """Write a model file, whole or not at all.

    Raises:
        EffnetError: the file cannot be written; what was there before is untouched.

    """
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    metadata = {METADATA_KEY: header_to_json(header), "format": "pt"}

    def write(temporary: Path) -> None:
        try:
            save_file(contiguous, temporary, metadata)
        except SafetensorError as error:
            raise EffnetError(f"cannot write {path}: {error}") from error

    write_bytes(path, write)


def load_header(path: Path) -> ModelHeader:
    """Read what a model file says, without its weights.

    Raises:
        ModelFileError: missing, damaged, not ours, or of a newer version.

    """
    with opened(path) as file:
        return _header(path, file.metadata())


def load(path: Path) -> tuple[ModelHeader, dict[str, NDArray[Any]]]:
    """Read a model file: what it says, and its arrays by name, float32 where they are stored as float16.

    Raises:
        ModelFileError: missing, damaged, not ours, or of a newer version.

    """
    header, arrays = load_stored(path)
    return header, widened(arrays)


def load_stored(path: Path) -> tuple[ModelHeader, dict[str, NDArray[Any]]]:
    """Read a model file with its arrays as they are stored: to write them again; raises as `load`."""
    with opened(path) as file:
        header, arrays = _header(path, file.metadata()), arrays_in(file, path)
    _check_size(path, header, sum(array.size for array in arrays.values()))
    return header, arrays


def _check_size(path: Path, header: ModelHeader, stored: int) -> None:
    """Refuse a file that says its network is far larger than the `stored` numbers, before it is built."""
    params = cost(header.spec, header.num_classes).params
    if params > 2 * stored + SMALL_NETWORK:
        raise ModelFileError(
            f"{path}: its network would have {params:,} parameters, and the file holds {stored:,} numbers"
        )


def is_model_file(path: Path) -> bool:
    """Tell by the name whether a path is meant as a model file, or as a network of the package."""
    return path.suffix == ".safetensors" or is_shipped(path)


def _header(path: Path, metadata: Mapping[str, str] | None) -> ModelHeader:
    text = (metadata or {}).get(METADATA_KEY)
    if text is None:
        raise ModelFileError(
            f"{path}: weights without an effnet header; `effnet train` writes complete model files"
        )
    return header_from_json(text, path)


_KINDS = {"class_names": list, "training": dict, "metrics": dict, "split": dict, "effnet_version": str}
_TRAINING_KINDS = {
    "data": str, "fingerprint": str, "num_images": dict, "config": dict, "environment": dict, "sizing": dict,
    "from": dict, "teacher": dict, "probe": dict, "half": dict,
}  # fmt: skip


def _check_kinds(values: Mapping[str, Any], kinds: Mapping[str, type], prefix: str = "") -> None:
    for key, kind in kinds.items():
        if not isinstance(values[key], kind):
            raise ValueError(f"{prefix}{key} is no {kind.__name__}")


def _check_known(values: Mapping[str, Any], kinds: Mapping[str, type], prefix: str) -> None:
    """Check what is there; the record of a training elsewhere may lack all of it."""
    _check_kinds(values, {key: kind for key, kind in kinds.items() if key in values}, prefix)


def _check_types(data: dict[str, Any]) -> None:
    _check_kinds(data, _KINDS)
    training = data["training"]
    _check_known(training, _TRAINING_KINDS, "training.")
    _check_known(training.get("config", {}), {"data": dict}, "training.config.")
    counts = training.get("num_images", {})
    _check_kinds(counts, dict.fromkeys(counts, int), "training.num_images.")
    _check_kinds(data["split"], dict.fromkeys(data["split"], list), "split.")
    for part, names in data["split"].items():
        if not all(isinstance(name, str) for name in names):
            raise ValueError(f"split.{part} holds what is no name of an image")
    _check_temperature(data.get("temperature", 1.0))
    names = data["class_names"]
    if not names or len(set(map(str, names))) < len(names):
        raise ValueError(
            f"class_names must be different and at least one, not {some(map(repr, names)) or 'none'}"
        )


def _check_temperature(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, float | int) or not (isfinite(value) and value > 0):
        raise ValueError(f"temperature is {value!r}, and no positive number")


def header_to_json(header: ModelHeader) -> str:
    """Return a header as the text that stands in a file's metadata."""
    values = {
        "format_version": FORMAT_VERSION,
        "effnet_version": header.effnet_version,
        "spec": netspec.to_dict(header.spec),
        "preprocess": preprocessing.to_dict(header.preprocess),
        "class_names": list(header.class_names),
        "training": dict(header.training),
        "metrics": dict(header.metrics),
        "split": {name: list(names) for name, names in header.split.items()},
        "temperature": header.temperature,
    }
    return json.dumps(values)


def header_from_json(text: str, origin: Path) -> ModelHeader:
    """Build a header from the text in the metadata of a file; raises ModelFileError, which names `origin`."""
    try:
        return _from_json(json.loads(text))
    except ModelFileError as error:
        raise ModelFileError(f"{origin}: {error}") from None
    except (EffnetError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelFileError(f"{origin}: the header is damaged: {error}") from error


def _from_json(data: dict[str, Any]) -> ModelHeader:
    version = data["format_version"]
    if version != FORMAT_VERSION:
        raise ModelFileError(
            f"format version {version} (written by effnet {data.get('effnet_version')}); this effnet "
            f"{__version__} reads version {FORMAT_VERSION}; install the effnet that wrote it"
        )
    _check_types(data)
    return ModelHeader(
        spec=netspec.from_dict(data["spec"]),
        preprocess=preprocessing.from_dict(data["preprocess"]),
        class_names=tuple(str(name) for name in data["class_names"]),
        training=data["training"],
        metrics=data["metrics"],
        split=data["split"],
        temperature=float(data.get("temperature", 1.0)),
        effnet_version=data["effnet_version"],
    )
