"""Networks that tell one image from another without having learned anything, and images of their own."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from effnet import modelfile
from effnet.data.datasets import DataSet, Samples
from effnet.evaluation.classifier import Classifier
from effnet.exporting.onnx import arrays_of
from effnet.imaging.preprocess import Preprocess
from effnet.modelfile import ModelHeader
from effnet.network.model import ConvNet
from effnet.spec.netspec import NetSpec

CLASS_NAMES = ("ant", 'Käse, "alt"', "犬\n1", "bee")


def settled(spec: NetSpec, num_classes: int = len(CLASS_NAMES)) -> ConvNet:
    """Return a network whose normalisation has seen images, and whose logits are a few units apart."""
    torch.manual_seed(0)
    network = ConvNet(spec, num_classes)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        images = torch.randn(32, spec.in_channels, spec.resolution, spec.resolution)
        network(images)
        logits = network.eval()(images)
        network.classifier.weight.mul_(2 / logits.std(0, keepdim=True).T)
        network.classifier.bias.copy_(-network(images).mean(0))
    return network


def classifier_of(
    spec: NetSpec, preprocess: Preprocess | None = None, *, header: ModelHeader | None = None
) -> Classifier:
    """Return a settled network with all that a model file says; it came from none."""
    mean, std = ((0.4, 0.5, 0.6), (0.2, 0.3, 0.25)) if spec.in_channels == 3 else ((0.3,), (0.25,))
    seen = preprocess or Preprocess(spec.resolution, mean=mean, std=std)
    told = header or ModelHeader(
        spec, seen, CLASS_NAMES, metrics={"test": {"top1": 0.5}}, split={"val": ["1.png"]}, temperature=1.5
    )
    return Classifier(told, settled(spec, told.num_classes), torch.device("cpu"))


def saved(classifier: Classifier, path: Path) -> Path:
    """Write the model file of a classifier."""
    modelfile.save(path, classifier.header, arrays_of(classifier.network))
    return path


def labelled_by(classifier: Classifier, num_images: int = 96) -> DataSet:
    """Return a data set that this very network is right about, and sure: of its classes, in three parts."""
    preprocess = classifier.header.preprocess
    side, channels = preprocess.resolution, len(preprocess.mean)
    random = np.random.default_rng(7)
    noise = random.integers(0, 256, (3 * num_images, 4, 4, channels), dtype=np.uint8)
    pictures = [
        Image.fromarray(grid.squeeze()).resize((side, side), Image.Resampling.BICUBIC) for grid in noise
    ]
    stored = np.stack([preprocess.pixels(picture) for picture in pictures])
    images = preprocess.normalise(torch.from_numpy(stored).float() / 255)
    with torch.inference_mode():
        best = classifier.network(images).topk(2)
    surest = (best.values[:, 0] - best.values[:, 1]).argsort(descending=True)[:num_images].numpy()
    read = partial(take, stored[surest])
    labels = best.indices[:, 0].numpy()[surest]
    whole = Samples(tuple(str(index) for index in range(num_images)), labels, read)
    thirds = [np.arange(start, num_images, 3) for start in range(3)]
    parts = {name: whole.take(part) for name, part in zip(("train", "val", "test"), thirds, strict=True)}
    return DataSet("noise", classifier.header.class_names, parts, source="noise")


def take(stored: NDArray[np.uint8], name: str) -> Image.Image:
    """Return the picture of a name."""
    return Image.fromarray(stored[int(name)].transpose(1, 2, 0).squeeze())


def with_outlier(classifier: Classifier, factor: float) -> Classifier:
    """Return a network that computes the same, but in one block with one channel far larger than the rest.

    The first block ends in a sum of nothing: what its last layer makes larger the next layer makes smaller.
    """
    network = classifier.network
    first, second = network.stages[0][-1], network.stages[1][0]  # type: ignore[index]
    with torch.no_grad():
        first.project.norm.weight[0] *= factor
        first.project.norm.bias[0] *= factor
        second.expand.conv.weight[:, 0] /= factor
    return classifier
