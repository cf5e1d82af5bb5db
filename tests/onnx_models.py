"""A small exported network for tests: the graph, its header, and the network that it was made of."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import onnx
import torch

from effnet.evaluation.classifier import Classifier
from effnet.exporting.making import Making
from effnet.imaging.preprocess import Preprocess
from effnet.inference.onnxfile import EXPORT_KEY, InputKind
from effnet.modelfile import METADATA_KEY, ModelHeader, header_to_json
from effnet.network.model import ConvNet
from effnet.spec.families import get_spec
from effnet.spec.scale import scale
from settled import saved, settled

SPEC = get_spec(scale("b0-cifar", -8), resolution=16)
HEADER = ModelHeader(
    SPEC,
    Preprocess(16, 0.875),
    ("ant", 'Käse, "alt"', "犬\n1", "bee", "fly", "wasp"),
    metrics={"test": {"top1": 0.5}},
    temperature=1.5,
)
EXPORT = {"input": "normalised", "precision": "float32", "parity": {"agreement": 1.0}, "source": "0" * 64}
RECORDS = {METADATA_KEY: header_to_json(HEADER), EXPORT_KEY: json.dumps(EXPORT)}


@cache
def network() -> ConvNet:
    """Return a network that tells one image from another."""
    return settled(SPEC, HEADER.num_classes)


def original() -> Classifier:
    """Return the network as a classifier, computed by torch."""
    return Classifier(HEADER, network(), torch.device("cpu"))


@cache
def graph(kind: InputKind) -> bytes:
    """Return the network as ONNX that takes this kind of input, without metadata."""
    making = Making(original(), kind, "")
    model = making.graph(blocked=True)
    making.complete(model)
    content: bytes = model.SerializeToString()
    return content


def onnx_bytes(records: Mapping[str, str] = RECORDS, kind: InputKind = "normalised") -> bytes:
    """Return an ONNX file with these metadata."""
    model = onnx.load_from_string(graph(kind))
    onnx.helper.set_model_props(model, dict(records))
    content: bytes = model.SerializeToString()
    return content


def write_onnx_model(path: Path, **changes: str) -> Path:
    """Write an exported network; `changes` are metadata to replace."""
    path.write_bytes(onnx_bytes({**RECORDS, **changes}))
    return path


def write_onnx_taking(kind: InputKind, path: Path) -> Path:
    """Write an exported network that takes this kind of input."""
    record = {EXPORT_KEY: json.dumps(EXPORT | {"input": kind})}
    path.write_bytes(onnx_bytes({**RECORDS, **record}, kind))
    return path


def write_torch_model(path: Path) -> Path:
    """Write the model file of the same network."""
    return saved(original(), path)
