"""A model file in use: predict images, evaluate on a data set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from effnet import modelfile
from effnet.config import DataConfig, from_dict
from effnet.data.datasets import DataSet, open_dataset
from effnet.data.loaders import EvalLoader
from effnet.data.pixels import PixelFormat, Reading, ignore, silent
from effnet.data.splits import Drawn, HeldOut, find_parts, held_out
from effnet.data.storage import open_pixels
from effnet.data.stream import released
from effnet.device import kept_memory, pick_device, to_device
from effnet.errors import DataError, ModelFileError, UsageError, some
from effnet.evaluation.cam import Method
from effnet.evaluation.inputs import BATCH_SIZE, ImageLike, read_batches, refuse
from effnet.evaluation.metrics import Evaluation, predict_logits, predict_probs, summarise
from effnet.modelfile import ModelHeader
from effnet.network.model import ConvNet, misfits

if TYPE_CHECKING:
    from effnet.evaluation.explanation import Explanation


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

    def predict(
        self,
        images: ImageLike | Sequence[ImageLike],
        *,
        top: int = 5,
        on_broken: Callable[[DataError], None] = refuse,
    ) -> list[Prediction]:
        """Classify images.

        Args:
            images: one or several of: path of an image, path of a folder (all images below it), Pillow image,
                which is turned upright by its EXIF tag as its file would be.
            top: number of classes to return, at most all.
            on_broken: told of each image that cannot be read, which is then left out; by default it raises.

        Raises:
            DataError: an image is missing or unreadable, or a folder holds none.
            UsageError: `top` is less than 1.

        """
        if top < 1:
            raise UsageError(f"top = {top}: must be at least 1")
        with kept_memory(self.device):
            return [
                Prediction(name, self._top_classes(row, top))
                for names, inputs in read_batches(images, self.header.preprocess, on_broken)
                for name, row in zip(names, self.probs(inputs), strict=True)
            ]

    def explain(
        self,
        images: ImageLike | Sequence[ImageLike],
        *,
        maps: int = 3,
        classes: Sequence[str] = (),
        method: Method = "cam",
        on_broken: Callable[[DataError], None] = refuse,
    ) -> "list[Explanation]":
        """Classify images and map what speaks for classes; see `effnet.evaluation.explanation.explain`."""
        from effnet.evaluation.explanation import Wish, explain

        return explain(self, images, Wish(maps, tuple(classes), method), on_broken)

    def probs(self, inputs: Tensor) -> Tensor:
        """Map preprocessed `inputs (N, C, S, S)` to `probs (N, K)`, both on the CPU."""
        return predict_probs(self.network, inputs, self.device)

    def _top_classes(self, probs: Tensor, top: int) -> tuple[tuple[str, float], ...]:
        best = probs.topk(min(top, len(probs)))
        names = self.header.class_names
        return tuple((names[i], p) for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True))

    def evaluate(
        self,
        data: str | Path | DataSet,
        *,
        split: str | None = None,
        max_broken: float | None = None,
        on_read: Callable[[int, int], None] = ignore,
        say: Callable[[str], None] = silent,
    ) -> Evaluation:
        """Measure the network on a data set.

        Args:
            data: name or folder.
            split: `train`, `val`, `test` or `all`; by default the images that training never saw: the data
                set's test part, or the part that was drawn for testing when this model was trained. If the
                images are not those of then, they are all measured, and `caution` says why.
            max_broken: share of images that may be unreadable, to be skipped; by default as in training.
            on_read: told how many images are read, of how many, for a progress bar.
            say: told of each image that is skipped, and when they do not fit into memory.

        Raises:
            DataError: classes differ from the model's, or too many images are unreadable.
            UsageError: no such split, or it cannot be told any more.

        """
        dataset = data if isinstance(data, DataSet) else open_dataset(data)
        self._check_classes(dataset)
        held = held_out(dataset, self.drawn) if split is None else self._part(dataset, split)
        preprocess = self.header.preprocess
        reading = Reading(self._data_config(max_broken), self.device, on_read, say)
        pixels = open_pixels(held.samples, PixelFormat(preprocess, preprocess.resolution), reading)
        with released(pixels), kept_memory(self.device):
            logits, labels = predict_logits(self.network, EvalLoader(pixels, preprocess, BATCH_SIZE))
        result = summarise(logits, labels, self.header.class_names, held.part, pixels.names)
        return replace(result, broken=pixels.broken, lost=held.lost)

    def _data_config(self, max_broken: float | None) -> DataConfig:
        """Return how images are read: as in training, but where they are stored is decided here and now."""
        trained = self.header.training.get("config", {}).get("data", {})
        given = {} if max_broken is None else {"max_broken": max_broken}
        known = {name: trained[name] for name in ("max_broken", "workers") if name in trained}
        return from_dict({"data": known | given}, origin="evaluate").data

    @property
    def drawn(self) -> Drawn:
        """Which images were drawn when this model was trained."""
        return Drawn(self.header.split, self.header.training.get("fingerprint"))

    def _part(self, dataset: DataSet, split: str) -> HeldOut:
        found, drawn = find_parts(dataset, self.drawn), self.drawn
        if split in found:
            return HeldOut(split, found[split])
        lost = drawn.lost(dataset, drawn.names) if split in {"train", *drawn.names} else None
        reason = "" if lost is None else f": {lost}"
        raise UsageError(f"{dataset.name} has no split {split!r}{reason}; known: {', '.join(sorted(found))}")

    def _check_classes(self, dataset: DataSet) -> None:
        ours, theirs = self.header.class_names, dataset.class_names
        if set(ours) != set(theirs):
            missing, extra = sorted(set(ours) - set(theirs)), sorted(set(theirs) - set(ours))
            raise DataError(
                f"{dataset.name} has {len(theirs)} classes and the model {len(ours)}; missing: "
                f"{some(missing) or 'none'}; unknown to the model: {some(extra) or 'none'}; folders must be "
                f"named as the model's classes"
            )
        if ours != theirs:
            raise DataError(f"{dataset.name} has the classes of the model in another order: {some(theirs)}")


def load(path: str | Path, *, device: str = "auto") -> Classifier:
    """Load a model file for prediction and evaluation. Loading never executes code.

    Raises:
        ModelFileError: missing, damaged, not ours, of a newer version, or its weights do not fit its network.

    """
    header, arrays = modelfile.load(Path(path))
    network = ConvNet(header.spec, header.num_classes)
    problems = misfits(network, {name: array.shape for name, array in arrays.items()})
    if problems:
        raise ModelFileError(
            f"{path}: the weights do not fit {header.spec.name} with {header.num_classes} classes: "
            f"{some(problems, limit=3)}; take a file as `effnet train` wrote it"
        )
    network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return Classifier(header, network, pick_device(device), Path(path))
