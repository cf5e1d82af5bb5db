"""A small exported network for tests: the graph, its header, and the network that it was made of."""

import json
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from effnet import modelfile
from effnet.imaging.preprocess import Preprocess
from effnet.inference.onnxfile import EXPORT_KEY
from effnet.modelfile import METADATA_KEY, ModelHeader, header_to_json
from effnet.network.model import ConvNet
from effnet.spec.families import get_spec
from effnet.spec.scale import scale

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


class Parts(nn.Module):
    """A network with all outputs of an exported one."""

    def __init__(self, network: ConvNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.network.features(images)
        logits = self.network.classifier(features.mean((2, 3)))
        return logits, features, self.network.classifier.weight * 1.0  # a weight itself is no output


@cache
def network() -> ConvNet:
    """Return a network whose normalisation has seen images, so that it tells one image from another."""
    torch.manual_seed(0)
    made = ConvNet(SPEC, HEADER.num_classes)
    with torch.no_grad():
        for _ in range(100):
            made(torch.randn(32, SPEC.in_channels, SPEC.resolution, SPEC.resolution))
        made.classifier.weight.mul_(20)
    return made.eval()


@cache
def graph() -> bytes:
    """Return the network as ONNX, without metadata."""
    images = torch.zeros(2, SPEC.in_channels, SPEC.resolution, SPEC.resolution)
    with warnings.catch_warnings(), TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            Parts(network()),
            (images,),
            input_names=["images"],
            output_names=["logits", "features", "class_weights"],
            dynamic_shapes={"images": {0: torch.export.Dim("N")}},
            verbose=False,
        )
        assert program is not None
        path = Path(folder) / "network.onnx"
        program.save(path, external_data=False)
        return path.read_bytes()


def onnx_bytes(records: Mapping[str, str] = RECORDS) -> bytes:
    """Return an ONNX file with these metadata."""
    model = onnx.load_from_string(graph())
    onnx.helper.set_model_props(model, dict(records))
    content: bytes = model.SerializeToString()
    return content


def write_onnx_model(path: Path, **changes: Any) -> Path:
    """Write an exported network; `changes` are metadata to replace."""
    path.write_bytes(onnx_bytes({**RECORDS, **changes}))
    return path


def write_torch_model(path: Path) -> Path:
    """Write the model file of the same network."""
    weights = {name: tensor.numpy() for name, tensor in network().state_dict().items()}
    modelfile.save(path, HEADER, weights)
    return path
