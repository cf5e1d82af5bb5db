"""A network as an ONNX file without header, and a session of onnxruntime that computes one: for measuring."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from effnet.exporting.graph import build_graph
from effnet.files import write_content

if TYPE_CHECKING:  # a process that only computes an ONNX file does without torch
    from effnet.network.model import ConvNet

INPUT, OUTPUT = "images", "logits"


def write_onnx(network: "ConvNet", path: Path) -> None:
    """Write a network as it predicts: `images (N, C, S, S)` float32, normalised, to `logits (N, K)`, any N.

    The network stays as it is. The side S is that of its spec. The file is whole: weights are inside.

    Raises:
        ModuleNotFoundError: the extra `export` is not installed.
        EffnetError: the file cannot be written.

    """
    content = build_graph(network.spec, arrays_of(network)).SerializeToString()
    write_content(path, content)


def arrays_of(network: "ConvNet") -> dict[str, Any]:
    """Return the weights of a network by the names of the model file, as arrays."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items()}


def open_session(model: Path | bytes, num_threads: int) -> Any:
    """Load an ONNX file, or its bytes, into onnxruntime, on the CPU.

    Returns:
        An `onnxruntime.InferenceSession`: `session.run(None, {INPUT: images})` gives `[logits, …]`.

    Raises:
        ModuleNotFoundError: the extra `export` is not installed.

    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    content = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
