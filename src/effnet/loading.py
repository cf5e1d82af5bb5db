"""Load what predicts, by the kind of its file: a model file for torch, an exported network without it."""

from pathlib import Path
from typing import TYPE_CHECKING

from effnet.errors import MissingExtraError, UsageError
from effnet.inference import runtime
from effnet.inference.onnxfile import is_onnx_file

if TYPE_CHECKING:
    from effnet.evaluation.classifier import Classifier
    from effnet.inference.runtime import OnnxClassifier


def load(
    path: str | Path, *, device: str = "auto", num_threads: int | None = None
) -> "Classifier | OnnxClassifier":
    """Load a file for prediction. Loading never executes code.

    Args:
        path: a model file (`.safetensors`), which needs torch and can be evaluated too, or a network of
            `effnet export` (`.onnx`), which needs onnxruntime alone.
        device: where a model file is computed: auto, cpu, cuda, mps; an exported network is on the CPU.
        num_threads: threads that compute an exported network; one for each core when not given. Those of a
            model file are torch's own.

    Raises:
        ModelFileError: missing, damaged, not ours, of a newer version, or its weights do not fit its network.
        UsageError: the device is not available.
        MissingExtraError: a model file, and torch is not installed.

    """
    if not is_onnx_file(Path(path)):
        try:
            from effnet.evaluation import classifier
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise MissingExtraError(
                f"{path} is a model file, which needs torch: pip install 'effnet[train]'; or, where torch "
                f"is, effnet export {path} --out model.onnx, a file that predicts without it"
            ) from error
        return classifier.load(path, device=device)
    if device not in ("auto", "cpu"):
        raise UsageError(f"device {device!r}: an exported network is computed on the CPU; leave it out")
    return runtime.load(path, num_threads=num_threads)
