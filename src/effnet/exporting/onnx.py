"""A network as an ONNX file, and a session of onnxruntime that computes it."""

import warnings
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effnet.files import write_bytes

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
    import onnxscript  # noqa: F401 (torch's exporter is made of it)
    import torch

    spec = network.spec
    predicting = deepcopy(network).cpu().eval()
    images = torch.zeros(
        2, spec.in_channels, spec.resolution, spec.resolution
    )  # of one image N would be fixed
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`isinstance.treespec, LeafSpec", FutureWarning)  # torch, of torch
        program = torch.onnx.export(
            predicting,
            (images,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={INPUT: {0: torch.export.Dim("N")}},
            verbose=False,
        )
    assert program is not None  # only the old exporter returns nothing
    write_bytes(path, lambda temporary: program.save(temporary, external_data=False))


def open_session(path: Path, num_threads: int) -> Any:
    """Load an ONNX file into onnxruntime, on the CPU.

    Returns:
        An `onnxruntime.InferenceSession`: `session.run(None, {INPUT: images})` gives `[logits]`.

    Raises:
        ModuleNotFoundError: the extra `export` is not installed.

    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
