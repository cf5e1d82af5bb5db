"""An exported network in use, computed by onnxruntime on the CPU: logits, predictions, activation maps."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.errors import DataError, EffnetError, ModelFileError
from effnet.inference import onnxfile
from effnet.inference.answers import Pixels, predict
from effnet.inference.inputs import ImageLike, as_list, list_images, refuse
from effnet.inference.onnxfile import InputKind, OnnxFile
from effnet.inference.prediction import Prediction, check_top, softmax
from effnet.inference.sessions import Feed, Sessions
from effnet.spec.cost import cost

INPUTS: Mapping[InputKind, str] = {"normalised": "images", "pixels": "pixels"}
LOGITS, FEATURES, WEIGHTS = "logits", "features", "class_weights"

# Beyond it a batch leaves the caches: of B0 at 224, on one core, 4 images took 8.5 ms each and 16 took 10.8.
_PIXELS_PER_BATCH = 4 * 224 * 224
_MAX_BATCH = 64
_SILENT = 4  # what goes wrong is raised; onnxruntime would also print it


class OnnxClassifier:
    """An exported network with all that its file says: preprocessing, class names, training record.

    It may be used by several threads at once.
    """

    def __init__(self, file: OnnxFile, num_threads: int | None = None) -> None:
        self.path = file.path
        self.header = file.header
        self.export = file.export
        self.input_kind = file.input_kind
        self.num_threads = num_threads or num_cores()
        resolution = self.header.preprocess.resolution
        self.batch_size = max(1, min(_MAX_BATCH, _PIXELS_PER_BATCH // resolution**2))
        activations = cost(self.header.spec, self.header.num_classes, resolution).activations
        self.sessions = Sessions(partial(open_session, file), self.num_threads, activations)

    def computing(self) -> AbstractContextManager[None]:
        """Hold what makes many batches faster, around them: nothing, here."""
        return nullcontext()

    def logits(self, pixels: Pixels) -> NDArray[np.float32]:
        """Map `pixels (N, C, S, S)` uint8 to `logits (N, K)`, not divided by the temperature."""
        logits: NDArray[np.float32] = self._run([LOGITS], pixels)[0]
        return logits

    def probs(self, pixels: Pixels) -> NDArray[np.float32]:
        """Map `pixels (N, C, S, S)` uint8 to `probs (N, K)`, calibrated where the model is."""
        return softmax(self.logits(pixels), self.header.temperature)

    def logits_and_features(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Map `pixels (N, C, S, S)` to `logits (N, K)` and `features (N, F, h, w)`, what pooling sees."""
        logits, features = self._run([LOGITS, FEATURES], pixels)
        return logits, features

    def maps(self, pixels: Pixels, classes: Sequence[int]) -> NDArray[np.float32]:
        """Return where `pixels (N, C, S, S)` speak for these classes: `(N, len(classes), h, w)`.

        The map of a class is its weights times the features: class activation mapping, Zhou et al. 2016.
        """
        (features,) = self._run([FEATURES], pixels)
        return self.maps_of(features, classes)

    def maps_of(self, features: NDArray[np.float32], classes: Sequence[int]) -> NDArray[np.float32]:
        """Return the maps of classes for `features (N, F, h, w)`: `(N, len(classes), h, w)`."""
        maps: NDArray[np.float32] = np.einsum("kf,nfhw->nkhw", self.class_weights[list(classes)], features)
        return maps

    @cached_property
    def class_weights(self) -> NDArray[np.float32]:
        """Weights of the classifier, `(K, F)`."""
        preprocess = self.header.preprocess
        side = preprocess.resolution
        any_image = np.zeros((1, len(preprocess.mean), side, side), np.uint8)
        weights: NDArray[np.float32] = self._run([WEIGHTS], any_image)[0]
        return weights

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
        return list(predict(self, list_images(as_list(images)), top=top, on_broken=on_broken))

    def _run(self, outputs: list[str], pixels: Pixels) -> Any:
        try:
            return self.sessions.run(outputs, pixels, self._feed)
        except _failures() as error:
            raise EffnetError(f"{self.path}: onnxruntime cannot compute it: {_one_line(error)}") from error

    def _feed(self, pixels: Pixels) -> Feed:
        """Return what the graph takes of `pixels (N, C, S, S)`."""
        if self.input_kind == "pixels":
            images = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
        else:
            images = self.header.preprocess.normalise(pixels.astype(np.float32) / 255.0)
        return {INPUTS[self.input_kind]: images}


def load(path: str | Path, *, num_threads: int | None = None) -> OnnxClassifier:
    """Load an ONNX file of `effnet export` for prediction, without torch.

    Args:
        path: the file.
        num_threads: threads that compute; by default one for each core that this process may use.

    Raises:
        ModelFileError: missing, damaged, not ours, or of a newer version.
        ModuleNotFoundError: onnxruntime is not installed.

    """
    return OnnxClassifier(onnxfile.read(Path(path)), num_threads)


def num_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_session(file: OnnxFile, num_threads: int) -> Any:
    """Load an exported network into onnxruntime: an `InferenceSession` on the CPU.

    Raises:
        ModelFileError: onnxruntime does not take the graph, or it is not the one that the header describes.

    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.log_severity_level = _SILENT
    try:
        session = onnxruntime.InferenceSession(file.content, options, providers=["CPUExecutionProvider"])
    except _failures() as error:
        raise ModelFileError(
            f"{file.path}: onnxruntime does not take it: {_one_line(error)}; export it anew"
        ) from None
    _check_graph(file, session)
    return session


def _failures() -> tuple[type[Exception], ...]:
    """Return what onnxruntime raises when it cannot load or compute a graph."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.EPFail,
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _check_graph(file: OnnxFile, session: Any) -> None:
    """Check that a graph takes and gives what the header says."""
    preprocess, name = file.header.preprocess, INPUTS[file.input_kind]
    side, channels = preprocess.resolution, len(preprocess.mean)
    image = [channels, side, side] if file.input_kind == "normalised" else [side, side, channels]
    expected = {name: image, LOGITS: [file.header.num_classes]}
    found = {part.name: part.shape for part in (*session.get_inputs(), *session.get_outputs())}
    for part, shape in expected.items():
        if part not in found or list(found[part][1:]) != shape:
            raise ModelFileError(
                f"{file.path}: the graph does not fit its header: {part} is {found.get(part, 'missing')}, "
                f"expected N × {' × '.join(map(str, shape))}; export it anew"
            )
    if len(session.get_inputs()) != 1:
        raise ModelFileError(f"{file.path}: the graph takes {len(session.get_inputs())} inputs, expected one")
