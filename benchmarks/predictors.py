"""Programs that predict with one and the same network, each in a process of its own, and what they need.

The network is timm's, with random weights and statistics of noise; ours and torchvision's are built around
the same tensors. What is compared is the forward pass alone: every program gets normalised float32 images.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from timing import median_seconds

if TYPE_CHECKING:
    from effnet.evaluation.classifier import Classifier

Images = NDArray[np.float32]
Predict = Callable[[Images], NDArray[np.float32]]
"""Maps `images (N, 3, S, S)` to `logits (N, 1000)`."""

OURS, INT8, PEER, WEIGHTS = "ours.onnx", "ours.int8.onnx", "timm.onnx", "weights.pt"
NUM_CLASSES = 1000


def prepare(folder: Path, network: str, side: int) -> None:
    """Make the files that programs load, unless they are there: exports, and the weights."""
    if all((folder / name).exists() for name in (OURS, INT8, PEER, WEIGHTS)):
        return
    import torch

    from effnet.evaluation.classifier import Classifier
    from effnet.imaging.preprocess import Preprocess
    from effnet.modelfile import ModelHeader
    from peers import ours_with_weights_of, random_peer, timm_net

    folder.mkdir(parents=True, exist_ok=True)
    peer = random_peer(timm_net, network, side, torch.Generator().manual_seed(0))
    torch.save(peer.state_dict(), folder / WEIGHTS)
    net = ours_with_weights_of(peer, network, resolution=side)
    names = tuple(f"class {index}" for index in range(NUM_CLASSES))
    export_ours(Classifier(ModelHeader(net.spec, Preprocess(side), names), net, torch.device("cpu")), folder)
    program = torch.onnx.export(
        peer,
        (torch.zeros(2, 3, side, side),),
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("N")},),
        verbose=False,
    )
    assert program is not None
    program.save(folder / PEER, external_data=False)


def export_ours(classifier: "Classifier", folder: Path) -> None:
    """Export a network, and once more in int8, calibrated on noise: only its speed says anything."""
    from effnet.exporting import calibration
    from effnet.exporting.listener import Quiet
    from effnet.exporting.making import Making, write
    from effnet.exporting.quantization import quantize
    from effnet.exporting.run import export

    export(classifier, folder / OURS)
    making, graph = Making(classifier, "normalised", ""), folder / "plain.onnx"
    graph.write_bytes(making.graph(blocked=False).SerializeToString())
    side = classifier.header.preprocess.resolution
    noise = np.random.default_rng(0).standard_normal((8, 3, side, side)).astype(np.float32)
    (ranges,) = calibration.measure(graph, [noise], Quiet(), percentiles=False)
    model = quantize(graph, ranges)
    making.complete(model)
    write(making.file(folder / INT8, model, "int8", {}))


def ours(folder: Path, network: str, threads: int, *, file: str = OURS) -> Predict:
    """A file of ours through our runtime; the normalisation is left out, as it is for all."""
    from effnet.inference.runtime import load

    sessions = load(folder / file, num_threads=threads).sessions
    return lambda images: sessions.run(["logits"], images, lambda part: {"images": part})[0]


def onnxruntime(folder: Path, network: str, threads: int, *, file: str = PEER) -> Predict:
    """A file through onnxruntime as it comes."""
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    session = runtime.InferenceSession(str(folder / file), options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["logits"], {"images": images})[0]


def openvino(folder: Path, network: str, threads: int, *, file: str = PEER, bf16: bool = False) -> Predict:
    """A file through OpenVINO, in float32 unless said otherwise: by itself it takes what is fastest."""
    import openvino as vino

    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = vino.Core().compile_model(str(folder / file), "CPU", settings).create_infer_request()
    return lambda images: request.infer({"images": images})["logits"].copy()


@dataclass(frozen=True)
class TorchProgram:
    """A network of timm or torchvision in torch."""

    library: str
    channels_last: bool = False
    compiled: bool = False

    def __call__(self, folder: Path, network: str, threads: int) -> Predict:
        """Load it; all libraries list their layers in one order, so that timm's weights are everyone's."""
        import torch

        from peers import PEERS, bn_eps

        torch.set_num_threads(threads)
        weights = torch.load(folder / WEIGHTS, weights_only=True)
        net = PEERS[self.library](network)
        net.load_state_dict(dict(zip(net.state_dict(), weights.values(), strict=True)))
        assert bn_eps(net) == 1e-5
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        net.eval().to(memory_format=layout)  # type: ignore[call-overload]  # torch's stub lacks it
        logits_of: Callable[[Any], Any] = torch.compile(net) if self.compiled else net

        @torch.inference_mode()
        def predict(images: Images) -> NDArray[np.float32]:
            given = torch.from_numpy(images).contiguous(memory_format=layout)
            logits: NDArray[np.float32] = logits_of(given).numpy()
            return logits

        return predict


PROGRAMS: dict[str, Callable[[Path, str, int], Predict]] = {
    "ours": ours,
    "timm eager": TorchProgram("timm"),
    "timm channels_last": TorchProgram("timm", channels_last=True),
    "timm compiled": TorchProgram("timm", channels_last=True, compiled=True),
    "torchvision": TorchProgram("torchvision"),
    "onnxruntime, timm's export": onnxruntime,
    "onnxruntime, our export": partial(onnxruntime, file=OURS),
    "OpenVINO, timm's export": openvino,
    "OpenVINO, our export": partial(openvino, file=OURS),
    "ours, int8": partial(ours, file=INT8),
    "OpenVINO, bfloat16": partial(openvino, bf16=True),
}
INEXACT = ("ours, int8", "OpenVINO, bfloat16")


@contextmanager
def process(name: str, *given: Any) -> Iterator[Connection]:
    """Run a program in a process.

    The pipe takes `(images, seconds)` and gives the median seconds of a call; without seconds, the logits.
    """
    context = get_context("spawn")
    pipe, other_end = context.Pipe()
    running = context.Process(target=serve, args=(other_end, name, *given), daemon=True)
    running.start()
    other_end.close()  # or its end would never be noticed
    pipe.recv()
    yield pipe
    pipe.send(None)
    running.join()


def serve(pipe: Connection, name: str, folder: Path, network: str, threads: int) -> None:
    """Be a program: load, then predict whenever told to, until told to stop."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder / "inductor"))
    sys.path.append(str(Path(__file__).parents[1] / "tests"))  # timm's side is built by tests/peers.py
    predict = PROGRAMS[name](folder, network, threads)
    pipe.send(name)
    while (asked := pipe.recv()) is not None:
        images, seconds = asked
        pipe.send(predict(images) if seconds is None else median_seconds(partial(predict, images), seconds))
