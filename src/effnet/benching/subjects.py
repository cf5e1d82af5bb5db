"""Which networks are measured: by name, spec file or model file; without any, B0 and its neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path

from effnet import modelfile
from effnet.benching.terms import Terms
from effnet.errors import UsageError
from effnet.inference import onnxfile
from effnet.inference.onnxfile import is_onnx_file
from effnet.modelfile import is_model_file
from effnet.spec.cost import Cost, cost
from effnet.spec.families import NETWORKS, get_spec, usual_classes
from effnet.spec.netspec import NetSpec

CENTRE, NUM_NEIGHBOURS = "b0", 4


@dataclass(frozen=True)
class Subject:
    """A network that is measured."""

    name: str
    spec: NetSpec
    """With the resolution that is measured."""
    num_classes: int
    file: Path | None = None
    """The user's own file; None where only the network is given, and weights are drawn."""

    @property
    def cost(self) -> Cost:
        """What it costs, counted."""
        return cost(self.spec, self.num_classes)

    @property
    def is_exported(self) -> bool:
        """Whether it is a file of `effnet export`, for onnxruntime alone."""
        return self.file is not None and is_onnx_file(self.file)


def neighbours(name: str = CENTRE, count: int = NUM_NEIGHBOURS) -> tuple[str, ...]:
    """Return a network and those for the same kind of images whose MACs are nearest, by MACs."""
    centre = NETWORKS[name]
    classes = usual_classes(centre)
    macs = {
        other: cost(spec, classes).macs for other, spec in NETWORKS.items() if usual_classes(spec) == classes
    }
    others = sorted(macs.keys() - {name}, key=lambda other: (abs(log(macs[other] / macs[name])), other))
    return tuple(sorted((name, *others[:count]), key=lambda other: macs[other]))


def find(models: Sequence[str | Path | NetSpec], terms: Terms) -> tuple[Subject, ...]:
    """Find the networks.

    Raises:
        UsageError: an unknown name, one network twice, or a file that cannot be measured so.
        ModelFileError: a file that is missing, damaged, or not ours.

    """
    found = tuple(_find(model, terms) for model in (models or neighbours()))
    names = [subject.name for subject in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} is given twice")
    return found


def _find(model: str | Path | NetSpec, terms: Terms) -> Subject:
    if not isinstance(model, NetSpec) and is_model_file(Path(model)):
        return _of_model_file(Path(model), terms)
    if not isinstance(model, NetSpec) and is_onnx_file(Path(model)):
        return _of_exported(Path(model), terms)
    spec = get_spec(str(model) if isinstance(model, Path) else model)
    if terms.resolution is not None:
        spec = get_spec(spec, resolution=terms.resolution)
    return Subject(spec.name, spec, terms.classes or usual_classes(spec))


def _of_model_file(path: Path, terms: Terms) -> Subject:
    header = modelfile.load_header(path)
    _refuse_classes(path, header.num_classes, terms)
    side = terms.resolution or header.preprocess.resolution
    return Subject(str(path), get_spec(header.spec, resolution=side), header.num_classes, path)


def _of_exported(path: Path, terms: Terms) -> Subject:
    header = onnxfile.read(path).header
    _refuse_classes(path, header.num_classes, terms)
    side = header.preprocess.resolution
    if terms.resolution not in (None, side):
        raise UsageError(
            f"{path}: an exported network computes images of {side}×{side} pixels only; "
            "leave --resolution out"
        )
    if terms.train:
        raise UsageError(
            f"{path}: an exported network does not train; give the model file (.safetensors) it was made of"
        )
    return Subject(str(path), get_spec(header.spec, resolution=side), header.num_classes, path)


def _refuse_classes(path: Path, num_classes: int, terms: Terms) -> None:
    if terms.classes not in (None, num_classes):
        raise UsageError(f"--classes {terms.classes}: {path} has {num_classes}; leave it out")
