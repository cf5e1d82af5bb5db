"""A model file in use: predict images, evaluate on a data set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from effnet import modelfile
from effnet.data.datasets import DataSet, Samples, image_files, open_dataset
from effnet.data.loaders import EvalLoader, ignore, read_pixels
from effnet.data.splits import held_out
from effnet.device import kept_memory, pick_device, to_device
from effnet.errors import DataError, ModelFileError, UsageError
from effnet.evaluation.metrics import Evaluation, predict_logits, summarise
from effnet.imaging.decode import EXTENSIONS, decode
from effnet.modelfile import ModelHeader
from effnet.network.model import ConvNet

BATCH_SIZE = 64

ImageLike = str | Path | Image.Image


@dataclass(frozen=True)
class Prediction:
    """What a network says of one image: the most probable classes first, as (name, probability)."""

    image: str
    classes: tuple[tuple[str, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        classes = [{"name": name, "probability": probability} for name, probability in self.classes]
        return {"image": self.image, "classes": classes}


class Classifier:
    """A network with all that its model file says: preprocessing, class names, training record.

    `path` is the model file it came from, None while there is none.
    """

    def __init__(
        self, header: ModelHeader, network: ConvNet, device: torch.device, path: Path | None = None
    ) -> None:
        self.header = header
        self.network = to_device(network, device).eval()
        self.device = device
        self.path = path

    def predict(self, images: ImageLike | Sequence[ImageLike], *, top: int = 5) -> list[Prediction]:
        """Classify images.

        Args:
            images: one or several of: path of an image, path of a folder (all images below it), Pillow image.
            top: number of classes to return, at most all.

        Raises:
            DataError: an image is missing or unreadable, or a folder holds none.
            UsageError: `top` is less than 1.

        """
        if top < 1:
            raise UsageError(f"top = {top}: must be at least 1")
        single = isinstance(images, str | Path | Image.Image)
        named = list_images([images] if single else images)  # type: ignore[list-item, arg-type]
        predictions: list[Prediction] = []
        with kept_memory(self.device):
            for start in range(0, len(named), BATCH_SIZE):
                predictions += self._predict_batch(named[start : start + BATCH_SIZE], top)
        return predictions

    def _predict_batch(self, named: list[tuple[str, ImageLike]], top: int) -> list[Prediction]:
        inputs = torch.stack([torch.from_numpy(self._input(image)) for _, image in named])
        with torch.inference_mode():
            probs = self.network(inputs.to(self.device)).float().softmax(1).cpu()
        return [
            Prediction(name, self._top_classes(row, top)) for (name, _), row in zip(named, probs, strict=True)
        ]

    def _top_classes(self, probs: Tensor, top: int) -> tuple[tuple[str, float], ...]:
        best = probs.topk(min(top, len(probs)))
        names = self.header.class_names
        return tuple((names[i], p) for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True))

    def _input(self, image: ImageLike) -> Any:
        mode = self.header.preprocess.mode
        decoded = image if isinstance(image, Image.Image) else decode(Path(image), mode)
        return self.header.preprocess(decoded)

    def evaluate(
        self,
        data: str | Path | DataSet,
        *,
        split: str | None = None,
        max_broken: float | None = None,
        on_read: Callable[[int, int], None] = ignore,
    ) -> Evaluation:
        """Measure the network on a data set.

        Args:
            data: name or folder.
            split: `train`, `val`, `test` or `all`; by default the images that training never saw: the data
                set's test part, or the part that was drawn for testing when this model was trained.
            max_broken: share of images that may be unreadable, to be skipped; by default as in training.
            on_read: told how many images are read, of how many, for a progress bar.

        Raises:
            DataError: classes differ from the model's, or too many images are unreadable.
            UsageError: no such split.

        """
        dataset = data if isinstance(data, DataSet) else open_dataset(data)
        self._check_classes(dataset)
        part, samples = self._part(dataset, split)
        preprocess = self.header.preprocess
        pixels = read_pixels(
            samples,
            preprocess,
            side=preprocess.resolution,
            max_broken=self._max_broken(max_broken),
            on_read=on_read,
        )
        batches = EvalLoader(pixels.to(self.device), preprocess, BATCH_SIZE)
        with kept_memory(self.device):
            logits, labels = predict_logits(self.network, batches)
        result = summarise(logits, labels, self.header.class_names, part, pixels.names)
        return replace(result, broken=pixels.broken)

    def _max_broken(self, given: float | None) -> float:
        config = self.header.training.get("config", {})
        return given if given is not None else config.get("data", {}).get("max_broken", 0.01)

    def _part(self, dataset: DataSet, split: str | None) -> tuple[str, Samples]:
        drawn = {name: list(names) for name, names in self.header.split.items()}
        if split is None:
            return held_out(dataset, drawn)
        if split == "all":
            return "all", dataset.all_samples()
        if split in dataset.parts:
            return split, dataset.parts[split]
        names = frozenset(drawn.get(split, ()))
        remembered = dataset.all_samples().named(names)
        if names and len(remembered) == len(names):
            return split, remembered
        known = sorted({"all", *drawn, *dataset.parts})
        raise UsageError(f"{dataset.name} has no split {split!r}; known: {', '.join(known)}")

    def _check_classes(self, dataset: DataSet) -> None:
        ours, theirs = self.header.class_names, dataset.class_names
        if ours != theirs:
            missing, extra = sorted(set(ours) - set(theirs)), sorted(set(theirs) - set(ours))
            raise DataError(
                f"{dataset.name} has other classes than the model: missing {', '.join(missing) or 'none'}; "
                f"unknown to the model {', '.join(extra) or 'none'}"
            )


def list_images(images: Sequence[ImageLike]) -> list[tuple[str, ImageLike]]:
    """Name each image; folders are replaced by the images below them, in the order of their names."""
    named: list[tuple[str, ImageLike]] = []
    for index, image in enumerate(images):
        if isinstance(image, Image.Image):
            named.append((f"image {index}", image))
        elif Path(image).is_dir():
            named += [(str(path), path) for path in _below(Path(image))]
        else:
            named.append((str(image), Path(image)))
    return named


def _below(folder: Path) -> list[Path]:
    paths = image_files(folder)
    if not paths:
        raise DataError(f"{folder} holds no images ({', '.join(sorted(EXTENSIONS))})")
    return paths


def load(path: str | Path, *, device: str = "auto") -> Classifier:
    """Load a model file for prediction and evaluation. Loading never executes code.

    Raises:
        ModelFileError: missing, damaged, not ours, of a newer version, or its weights do not fit its network.

    """
    header, arrays = modelfile.load(Path(path))
    network = ConvNet(header.spec, header.num_classes)
    weights = {name: torch.from_numpy(array) for name, array in arrays.items()}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelFileError(
            f"{path}: the weights do not fit the network {header.spec.name}: {error}"
        ) from error
    return Classifier(header, network, pick_device(device), Path(path))
