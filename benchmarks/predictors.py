"""Programs that predict with one and the same network beside ours, and the files that they load."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from effnet.benching import prediction
from effnet.benching.modes import MODES, ModeName
from effnet.benching.prediction import Job
from effnet.benching.programs import Build, Contender, Images, Logits, Program
from effnet.modelfile import load_header

if TYPE_CHECKING:
    from effnet.benching.modes import Library
    from effnet.evaluation.classifier import Classifier

MODEL, OURS, INT8, PEER = "model.safetensors", "ours.onnx", "ours.int8.onnx", "timm.onnx"
NUM_CLASSES = 1000


def prepare(folder: Path, network: str, side: int) -> None:
    """Make the files that programs load, unless they are there: weights, and exports."""
    if all((folder / name).exists() for name in (MODEL, OURS, INT8, PEER)):
        return
    import torch

    from effnet.benching import peers
    from effnet.benching.weights import in_order, write_random
    from effnet.evaluation.classifier import load
    from effnet.spec.families import get_spec

    folder.mkdir(parents=True, exist_ok=True)
    write_random(get_spec(network, resolution=side), NUM_CLASSES, folder / MODEL)
    export_ours(load(folder / MODEL, device="cpu"), folder)
    header, weights = in_order(folder / MODEL)
    program = torch.onnx.export(
        peers.build(header.spec, NUM_CLASSES, "timm", weights).eval(),
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


@contextmanager
def onnxruntime(job: Job) -> Iterator[Program]:
    """Predict with a file through onnxruntime as it comes."""
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.intra_op_num_threads = job.threads
    session = runtime.InferenceSession(str(job.file), options, providers=["CPUExecutionProvider"])
    yield predictor(job, lambda images: session.run(["logits"], {"images": images})[0])


@contextmanager
def openvino(job: Job, *, bf16: bool = False) -> Iterator[Program]:
    """Predict with a file through OpenVINO, in float32 unless said otherwise; left alone it may not."""
    import openvino as vino

    settings = {
        "INFERENCE_NUM_THREADS": job.threads,
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = vino.Core().compile_model(str(job.file), "CPU", settings).create_infer_request()
    yield predictor(job, lambda images: request.infer({"images": images})["logits"].copy())


def predictor(job: Job, logits: Callable[[Images], Logits]) -> Program:
    """Make a program of what maps images to logits; all files of a folder take the same images."""
    side = load_header(job.file.parent / MODEL).spec.resolution
    images = np.random.default_rng(0).random((job.batch, 3, side, side), np.float32)
    return Program(lambda: logits(images), logits)


def of_torch(library: "Library", mode: ModeName) -> Build:
    """Return what predicts with another library's network."""
    return partial(prediction.peer, library=library, mode=MODES[mode])


PROGRAMS: dict[str, tuple[str, Build]] = {
    "ours": (OURS, prediction.exported),
    "timm eager": (MODEL, of_torch("timm", "eager")),
    "timm channels_last": (MODEL, of_torch("timm", "channels_last")),
    "timm compiled": (MODEL, of_torch("timm", "compiled")),
    "torchvision": (MODEL, of_torch("torchvision", "eager")),
    "onnxruntime, timm's export": (PEER, onnxruntime),
    "onnxruntime, our export": (OURS, onnxruntime),
    "OpenVINO, timm's export": (PEER, openvino),
    "OpenVINO, our export": (OURS, openvino),
    "ours, int8": (INT8, prediction.exported),
    "OpenVINO, bfloat16": (PEER, partial(openvino, bf16=True)),
}
"""The file that a program loads, and what it does with it."""
INEXACT = ("ours, int8", "OpenVINO, bfloat16")


def contender(name: str, folder: Path, batch: int, threads: int) -> Contender:
    """Return a contender by its name; what it loads was prepared in the folder."""
    file, build = PROGRAMS[name]
    job, side = Job(folder / file, batch, "cpu", threads), load_header(folder / MODEL).spec.resolution
    library: Library | None = "timm" if name.startswith("timm") else None
    if name == "torchvision":
        library = "torchvision"
    prepare = partial(prediction.unchanged, job)
    if file == MODEL:
        prepare = partial(prediction.prepare_torch, job, library)
    cache: dict[str, str | None] = {}
    if "TORCHINDUCTOR_CACHE_DIR" not in os.environ:
        cache["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "inductor")
    return Contender("network", name, build, (batch, 3, side, side), prepare, cache, name not in INEXACT)
