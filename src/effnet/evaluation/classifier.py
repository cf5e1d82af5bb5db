"""A model file in use: predict images, evaluate on a data set."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from effnet import modelfile
from effnet.config import DataConfig, from_dict
from effnet.data.datasets import DataSet, open_dataset
from effnet.data.loaders import Transform, unchanged
from effnet.data.pixels import Reading, ignore, silent
from effnet.data.splits import Drawn, HeldOut, find_parts, held_out, sampled
from effnet.device import kept_memory, pick_device, to_device
from effnet.errors import DataError, ModelFileError, UsageError, some
from effnet.evaluation.cam import Method
from effnet.evaluation.metrics import (
    Evaluation,
    calibrated,
    chosen_on_val,
    predict_logits,
    predict_probs,
    summarise,
)
from effnet.evaluation.opened import BATCH_SIZE, Opened, ReadOptions, open_held, with_side
from effnet.inference.answers import predict
from effnet.inference.inputs import ImageLike, as_list, list_images, refuse
from effnet.inference.onnxfile import is_onnx_file
from effnet.inference.prediction import Prediction, check_top
from effnet.modelfile import ModelHeader
from effnet.network.model import ConvNet, misfits
from effnet.shipped.catalogue import located

if TYPE_CHECKING:
    from effnet.evaluation.explanation import Explanation


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
        self.batch_size = BATCH_SIZE
        self._computing = Lock()

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
        check_top(top)
        with self.computing():
            return list(predict(self, list_images(as_list(images)), top=top, on_broken=on_broken))

    def computing(self) -> AbstractContextManager[None]:
        """Hold freed memory, around many batches: B0 took 36 ms an image with torch instead of 46."""
        return kept_memory(self.device)

    def probs(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map `pixels (N, C, S, S)` uint8 to `probs (N, K)`, calibrated; threads wait for each other."""
        images = torch.from_numpy(self.header.preprocess.normalise(pixels.astype(np.float32) / 255.0))
        with self._computing:
            probs = predict_probs(self.network, images, self.device, temperature=self.header.temperature)
        found: NDArray[np.float32] = probs.numpy()
        return found

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

    @contextmanager
    def opened(
        self,
        data: str | Path | DataSet,
        *,
        split: str | None = None,
        resolution: int | None = None,
        **options: Unpack[ReadOptions],
    ) -> Iterator[Opened]:
        """Read images once, to measure the network on them as often as needed.

        Args:
            data: name or folder.
            split: as in `evaluate`.
            resolution: side of the images, if not that of the model.
            options: how images are read.

        Raises:
            DataError: the data has classes that the model lacks, or too many images are unreadable.
            UsageError: no such split, or it cannot be told any more.

        """
        dataset = data if isinstance(data, DataSet) else open_dataset(data)
        header, reading = self.header, self.reading(**options)
        held = sampled(self.held(dataset, split), options.get("max_images"), options.get("seed", 0))
        preprocess = with_side(header.preprocess, resolution)
        with open_held(dataset, held, header.class_names, preprocess, reading) as opened:
            yield replace(opened, on_measured=options.get("on_measured", ignore))

    def logits(self, opened: Opened, transform: Transform = unchanged) -> tuple[Tensor, Tensor]:
        """Return `logits (N, K)` of opened images, not divided by the temperature, and `labels (N,)`."""
        return predict_logits(self.network, opened.batches(transform))

    def judge(self, opened: Opened, transform: Transform = unchanged) -> Evaluation:
        """Measure the network on opened images; `transform` changes them before, see `EvalLoader`."""
        logits, labels = self.logits(opened, transform)
        about = self.header.class_names, opened.held.part, opened.names
        result = calibrated(logits, self.header.temperature, lambda scores: summarise(scores, labels, *about))
        return replace(result, chosen=chosen_on_val(self.header), **opened.about)

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
            data: name or folder. Its classes are told by their names; it may lack some of the model's.
            split: `train`, `val`, `test` or `all`; by default the images that training never saw: the data
                set's test part, or the part that was drawn for testing when this model was trained. If the
                images are not those of then, they are all measured, and `caution` says why.
            max_broken: share of images that may be unreadable, to be skipped; by default as in training.
            on_read: told how many images are read, of how many, for a progress bar.
            say: told of each image that is skipped, and when they do not fit into memory.

        Raises:
            DataError: the data has classes that the model lacks, or too many images are unreadable.
            UsageError: no such split, or it cannot be told any more.

        """
        with self.opened(data, split=split, max_broken=max_broken, on_read=on_read, say=say) as opened:
            return self.judge(opened)

    def reading(self, **options: Unpack[ReadOptions]) -> Reading:
        """Return how images are read for this model."""
        config = self._data_config(options.get("max_broken"))
        return Reading(config, self.device, options.get("on_read", ignore), options.get("say", silent))

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

    def held(self, dataset: DataSet, split: str | None) -> HeldOut:
        """Return the images of a part; None is what `evaluate` takes without one.

        Raises:
            UsageError: no such split, or it cannot be told any more.

        """
        if split is None:
            return held_out(dataset, self.drawn)
        found, drawn = find_parts(dataset, self.drawn), self.drawn
        if split in found:
            return HeldOut(split, found[split])
        lost = drawn.lost(dataset, drawn.names) if split in {"train", *drawn.names} else None
        reason = "" if lost is None else f": {lost}"
        raise UsageError(f"{dataset.name} has no split {split!r}{reason}; known: {', '.join(sorted(found))}")


def load(path: str | Path, *, device: str = "auto") -> Classifier:
    """Load a model file for prediction and evaluation. Loading never executes code.

    Raises:
        ModelFileError: missing, damaged, not ours, of a newer version, or its weights do not fit its network.

    """
    if is_onnx_file(Path(path)):
        raise UsageError(
            f"{path}: an exported network, which predicts without torch; here it takes the model file "
            f"(.safetensors) that it was made of"
        )
    path = located(Path(path))
    header, arrays = modelfile.load(path)
    network = ConvNet(header.spec, header.num_classes)
    problems = misfits(network, {name: array.shape for name, array in arrays.items()})
    if problems:
        raise ModelFileError(
            f"{path}: the weights do not fit {header.spec.name} with {header.num_classes} classes: "
            f"{some(problems, limit=3)}; take a file as `effnet train` wrote it"
        )
    network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return Classifier(header, network, pick_device(device), path)
