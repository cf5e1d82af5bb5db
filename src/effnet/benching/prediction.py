"""Programs that predict one batch of normalised images, again and again, each in a process of its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from effnet.benching.modes import Library, Mode
from effnet.benching.programs import Images, Logits, Program

if TYPE_CHECKING:  # a process of onnxruntime does without torch
    import torch


@dataclass(frozen=True)
class Job:
    """What is predicted with, and how."""

    file: Path
    """A model file; for onnxruntime an exported one."""
    batch: int
    device: str
    threads: int


def unchanged(job: Job) -> Job:
    """Prepare nothing more: what onnxruntime loads is part of its start."""
    return job


def prepare_torch(job: Job, library: Library | None = None) -> Job:
    """Load torch and perhaps another library, and let as many threads compute as asked for."""
    import torch

    from effnet.benching import peers

    torch.set_num_threads(job.threads)
    if library is not None:
        peers.load(library)
    return job


@contextmanager
def ours(job: Job) -> Iterator[Program]:
    """Predict as `effnet predict` does with a model file."""
    import torch

    from effnet.evaluation.classifier import load
    from effnet.evaluation.metrics import predict_probs

    classifier = load(job.file, device=job.device)
    network, device, spec = classifier.network, classifier.device, classifier.header.spec
    images = torch.rand(job.batch, spec.in_channels, spec.resolution, spec.resolution)
    with classifier.computing():
        yield Program(
            lambda: predict_probs(network, images, device),
            answerer(lambda given: network(given.to(device))),
            gpu_bytes(device),
        )


@contextmanager
def peer(job: Job, *, library: Library, mode: Mode) -> Iterator[Program]:
    """Predict with a library's network as its users do."""
    import torch

    from effnet.benching import peers
    from effnet.benching.weights import in_order
    from effnet.device import pick_device

    header, weights = in_order(job.file)
    spec, device = header.spec, pick_device(job.device)
    layout = torch.channels_last if mode.channels_last else torch.contiguous_format
    network = peers.build(spec, header.num_classes, library, weights).eval()
    network.to(device).to(memory_format=layout)  # type: ignore[call-overload]  # torch's stub lacks it
    logits_of: Callable[[torch.Tensor], torch.Tensor] = torch.compile(network) if mode.compiled else network
    images = torch.rand(job.batch, spec.in_channels, spec.resolution, spec.resolution)

    @torch.inference_mode()
    def logits(given: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=mode.bf16):
            return logits_of(given.to(device, memory_format=layout))

    yield Program(lambda: logits(images).float().cpu().softmax(1), answerer(logits), gpu_bytes(device))


@contextmanager
def exported(job: Job) -> Iterator[Program]:
    """Predict as `effnet predict` does with an exported network, by onnxruntime."""
    from effnet.inference.prediction import softmax
    from effnet.inference.runtime import INPUTS, LOGITS, load

    classifier = load(job.file, num_threads=job.threads)
    name, side = INPUTS[classifier.input_kind], classifier.header.preprocess.resolution
    channels, noise = classifier.header.spec.in_channels, np.random.default_rng(0)
    images: Any = noise.random((job.batch, channels, side, side), np.float32)
    if classifier.input_kind == "pixels":
        images = noise.integers(0, 256, (job.batch, side, side, channels), np.uint8)

    def logits(given: Images) -> Logits:
        return classifier.sessions.run([LOGITS], given, lambda part: {name: part})[0]

    yield Program(lambda: softmax(logits(images), classifier.header.temperature), logits)


def answerer(logits: "Callable[[torch.Tensor], torch.Tensor]") -> Callable[[Images], Logits]:
    """Return a function of arrays that asks a network for logits, in float32 on the CPU."""
    import torch

    @torch.inference_mode()
    def answer(images: Images) -> Logits:
        found: Logits = logits(torch.from_numpy(images)).float().cpu().numpy()
        return found

    return answer


def gpu_bytes(device: "torch.device") -> Callable[[], int] | None:
    """Return what reads off a GPU how much torch took of it at most, and starts anew; None on a CPU."""
    import torch

    if device.type != "cuda":
        return None

    def read() -> int:
        most = torch.cuda.max_memory_reserved(device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return most

    return read
