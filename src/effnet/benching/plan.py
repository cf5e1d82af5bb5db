"""From networks and terms to contenders: what each of them is, and the files that they load."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from effnet.benching import peers, prediction, steps
from effnet.benching.modes import MODES, Library, ModeName
from effnet.benching.peers import NoPeerError
from effnet.benching.prediction import Job
from effnet.benching.programs import Contender
from effnet.benching.steps import Lesson
from effnet.benching.subjects import Subject
from effnet.benching.terms import Terms
from effnet.benching.weights import write_random, write_resized
from effnet.device import pick_device
from effnet.evaluation.classifier import load
from effnet.exporting.making import Making, write
from effnet.modelfile import load_header
from effnet.sizing.budget.latency import conditions
from effnet.training.compute import has_bfloat16

NUM_ASKED = 2  # images whose logits are compared before training
TORCH, ONNXRUNTIME = "torch", "onnxruntime"

# How long OpenMP's threads wait in a busy loop: as the library likes it, where effnet's command line sets it.
AS_THEIR_USERS = {"GOMP_SPINCOUNT": None}


@dataclass(frozen=True)
class Place:
    """Where contenders compute."""

    device: torch.device
    threads: int
    modes: tuple[ModeName, ...]
    """How other libraries' networks are run."""


def place_of(terms: Terms) -> Place:
    """Check where to compute, and with what.

    Raises:
        UsageError: a device that is not there, or a runtime that does not compute on it.
        MissingExtraError: a library or a runtime that is not installed.

    """
    for runtime in terms.runtime:
        given = conditions(terms.device, runtime, batch=1, num_classes=1)
    for library in terms.against:
        peers.need(library)
    device = pick_device(terms.device) if TORCH in terms.runtime else given.device
    modes = terms.modes or tuple(
        name for name, mode in MODES.items() if not mode.bf16 or has_bfloat16(device)
    )
    return Place(device, terms.threads or torch.get_num_threads(), modes)


@dataclass(frozen=True)
class Maker:
    """Makes the contenders of a benchmark."""

    terms: Terms
    place: Place
    folder: Path
    """For model files and exported ones."""
    say: Callable[[str], None]

    def contenders(self, subject: Subject, batch: int) -> tuple[Contender, ...]:
        """Return the contenders on one network; files are made when they are first needed."""
        if subject.is_exported:
            assert subject.file is not None  # an exported network is one by its file's name
            return (self._by_onnxruntime(subject, subject.file, batch),)
        file = self._model_file(subject)
        made = []
        if TORCH in self.terms.runtime:
            made.append(self._by_torch(subject, file, batch))
        if ONNXRUNTIME in self.terms.runtime:
            made.append(self._by_onnxruntime(subject, self._onnx_file(file), batch))
        for library in self._libraries(subject):
            made += [self._by_torch(subject, file, batch, (library, mode)) for mode in self.place.modes]
        return tuple(made)

    def _libraries(self, subject: Subject) -> list[Library]:
        """Return the libraries that have the network, of those that are asked for; say which have not."""
        having = []
        for library in self.terms.against:
            try:
                peers.builder(subject.spec, subject.num_classes, library)
            except NoPeerError as error:
                self.say(f"warning: {error}")
            else:
                having.append(library)
        return having

    def _by_torch(
        self, subject: Subject, file: Path, batch: int, other: tuple[Library, ModeName] | None = None
    ) -> Contender:
        """Return a contender in torch: ours, or that of another library in a mode."""
        task: Any = steps if self.terms.train else prediction
        prepare = self._prepare(subject, file, batch, None if other is None else other[0])
        if other is None:
            name = "effnet" if self.terms.train else "effnet torch"
            return Contender(subject.name, name, task.ours, self._shape(subject, batch), prepare)
        library, name = other
        return Contender(
            subject.name,
            f"{library} {name}",
            partial(task.peer, library=library, mode=MODES[name]),
            self._shape(subject, batch),
            prepare,
            AS_THEIR_USERS,
            is_exact=not MODES[name].bf16,
        )

    def _prepare(
        self, subject: Subject, file: Path, batch: int, library: Library | None
    ) -> Callable[[], object]:
        if not self.terms.train:
            return partial(prediction.prepare_torch, self._job(file, batch), library)
        config = steps.configure(subject.spec, batch, self.place.device.type)
        lesson = Lesson(file, config, self.place.threads, library, keeps_memory=library is None)
        return partial(steps.prepare, lesson)

    def _by_onnxruntime(self, subject: Subject, file: Path, batch: int) -> Contender:
        prepare, shape = partial(prediction.unchanged, self._job(file, batch)), self._shape(subject, batch)
        return Contender(subject.name, "effnet onnxruntime", prediction.exported, shape, prepare)

    def _shape(self, subject: Subject, batch: int) -> tuple[int, int, int, int]:
        """Return the shape of images to ask about: a compiled prediction stays at that of its batch."""
        side = subject.spec.resolution
        return (NUM_ASKED if self.terms.train else batch, subject.spec.in_channels, side, side)

    def _job(self, file: Path, batch: int) -> Job:
        return Job(file, batch, self.place.device.type, self.place.threads)

    def _model_file(self, subject: Subject) -> Path:
        """Return a model file of a network: the user's, one for another side, or one with random weights."""
        if (
            subject.file is not None
            and load_header(subject.file).preprocess.resolution == subject.spec.resolution
        ):
            return subject.file
        path = self.folder / f"{hash(subject):x}.safetensors"
        if path.exists():
            return path
        if subject.file is not None:
            write_resized(subject.file, subject.spec.resolution, path)
        else:
            write_random(subject.spec, subject.num_classes, path)
        return path

    def _onnx_file(self, file: Path) -> Path:
        """Export a model file as `effnet export` does, but for the proof; or find it there."""
        path = self.folder / f"{file.stem}-{hash(file):x}.onnx"
        if not path.exists():
            making = Making(load(file, device="cpu"), "normalised", "")
            graph = making.graph(blocked=True)
            making.complete(graph)
            write(making.file(path, graph, "float32", {}))
        return path
