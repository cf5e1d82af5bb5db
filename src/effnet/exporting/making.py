"""From a classifier to the content of an ONNX file: graph, header, record of the export."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from effnet import __version__
from effnet.errors import EffnetError
from effnet.evaluation.classifier import Classifier
from effnet.exporting.graph import build_graph, give_class_weights
from effnet.exporting.normalisation import take_pixels
from effnet.exporting.onnx import arrays_of
from effnet.files import digest_of, write_bytes
from effnet.inference import onnxfile
from effnet.inference.onnxfile import EXPORT_KEY, MAX_BYTES, InputKind, OnnxFile
from effnet.modelfile import METADATA_KEY, ModelHeader, header_to_json

if TYPE_CHECKING:
    from onnx import ModelProto

Precision = Literal["float32", "int8"]
TOOLS = ("torch", "onnx", "onnxruntime")


@dataclass(frozen=True)
class Making:
    """How files are made of a network."""

    classifier: Classifier
    input: InputKind
    """What they shall take."""
    source: str
    """SHA-256 of the model file; empty where there is none."""

    def graph(self, *, blocked: bool) -> "ModelProto":
        """Build the float32 graph for normalised images; see `build_graph`."""
        header = self.classifier.header
        spec = replace(header.spec, resolution=header.preprocess.resolution)
        return build_graph(spec, arrays_of(self.classifier.network), blocked=blocked)

    def complete(self, model: "ModelProto") -> None:
        """Add to a graph what else it gives, and, where it shall take pixels, the normalisation."""
        header = self.classifier.header
        give_class_weights(model, (header.num_classes, header.spec.feature_channels))
        if self.input == "pixels":
            take_pixels(model, header.preprocess)

    def file(
        self, path: Path, model: "ModelProto", precision: Precision, found: Mapping[str, Any]
    ) -> OnnxFile:
        """Return the file that a graph becomes; nothing is written yet.

        Args:
            path: where it will be.
            model: a graph that is complete.
            precision: of its numbers.
            found: what was found of it; goes into the record as `parity`.

        Raises:
            EffnetError: it is larger than an ONNX file can be.

        """
        from onnx import helper

        record = {
            "input": self.input,
            "precision": precision,
            "parity": dict(found),
            "source": self.source,
            "made_with": {tool: version(tool) for tool in TOOLS},
        }
        header = self.classifier.header
        model.doc_string = guide(header, self.input)
        helper.set_model_props(model, {METADATA_KEY: header_to_json(header), EXPORT_KEY: json.dumps(record)})
        if model.ByteSize() > MAX_BYTES:
            raise EffnetError(
                f"the network needs {model.ByteSize():,} bytes; an ONNX file has at most {MAX_BYTES:,}"
            )
        return OnnxFile(path, model.SerializeToString(), header, record)


def guide(header: ModelHeader, kind: InputKind) -> str:
    """Say how a file is used, for those who open it in another program and never saw effnet."""
    how = header.preprocess
    side, channels = how.resolution, len(how.mean)
    colours = "RGB" if channels == 3 else "grey"
    normalised = f", divided by 255, less {how.mean}, divided by {how.std}, (N, {channels}, {side}, {side})"
    taken = normalised if kind == "normalised" else f", uint8, (N, {side}, {side}, {channels})"
    return (
        f"Classifies images into {header.num_classes} classes; {header.spec.name}, by effnet {__version__}. "
        f"Input: {colours}, upright, the short side resized to {how.resized_short_side} pixels "
        f"({how.interpolation}, smoothed where it shrinks), the middle {side} × {side} cut out{taken}. "
        f"Probabilities: softmax of logits / {header.temperature:g}; the classes in this order are in the "
        f"metadata, JSON, under {METADATA_KEY}, class_names. Map of a class: its row of class_weights times "
        f"features. `effnet predict FILE PHOTO` does all this (pip install 'effnet[serve]', no torch)."
    )


def source_of(classifier: Classifier) -> str:
    """Return the SHA-256 of the model file that a network came from; empty if it came from none."""
    if classifier.path is None:
        return ""
    return digest_of(classifier.path)


def write(file: OnnxFile) -> None:
    """Write an exported file, whole or not at all, if it can be read again.

    Raises:
        EffnetError: it cannot be written.

    """

    def fill(temporary: Path) -> None:
        temporary.write_bytes(file.content)
        onnxfile.read(temporary)

    write_bytes(file.path, fill)
