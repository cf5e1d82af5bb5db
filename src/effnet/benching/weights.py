"""Model files to measure with: random weights under which every layer matters, for all to load."""

from pathlib import Path

import torch
from torch import Tensor, nn

from effnet import modelfile
from effnet.exporting.onnx import arrays_of
from effnet.imaging.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from effnet.importing.draft import Draft, with_resolution
from effnet.modelfile import ModelHeader
from effnet.network.model import ConvNet
from effnet.spec.netspec import NetSpec

SEED = 0
NUM_SETTLING, MAX_SETTLING_SIDE = 8, 96  # images, and their side, that statistics are made of


def write_random(spec: NetSpec, num_classes: int, path: Path) -> None:
    """Write a model file with random weights, the same ones each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network = ConvNet(spec, num_classes)
        settle(network)
    names = tuple(f"class {index}" for index in range(num_classes))
    channels = 1 if spec.in_channels == 1 else 3
    preprocess = Preprocess(spec.resolution, mean=IMAGENET_MEAN[:channels], std=IMAGENET_STD[:channels])
    modelfile.save(path, ModelHeader(spec, preprocess, names), arrays_of(network))


def write_resized(path: Path, resolution: int, to: Path) -> None:
    """Write a copy of a model file that takes images of another side."""
    draft = with_resolution(Draft(*modelfile.load(path)), resolution)
    modelfile.save(to, draft.header, draft.arrays)


@torch.no_grad()
def settle(network: ConvNet) -> None:
    """Give batch normalisations the statistics of a batch of noise, as training would.

    With fresh ones, signals die out before the last layer, and any network would agree with any other.
    """
    side = min(MAX_SETTLING_SIDE, network.spec.resolution)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    network(torch.randn(NUM_SETTLING, network.spec.in_channels, side, side))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        assert norm.running_var is not None
        norm.running_var.clamp_(min=0.1)  # or a channel that hardly varies blows float32's rounding up
    network.eval()


def in_order(path: Path) -> tuple[ModelHeader, list[Tensor]]:
    """Read a model file: what it says, and its weights in the order of layers, which all libraries share."""
    header, arrays = modelfile.load(path)
    with torch.device("meta"):
        names = ConvNet(header.spec, header.num_classes).state_dict()
    return header, [torch.from_numpy(arrays[name]) for name in names]
