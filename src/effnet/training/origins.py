"""The model files that a training builds on: one whose weights it begins with, one that teaches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from effnet.config import TrainConfig, override
from effnet.data.datasets import DataSet
from effnet.data.splits import Drawn, find_parts
from effnet.errors import ModelFileError, UsageError
from effnet.evaluation.classifier import Classifier, load
from effnet.files import copy_file, digest_of
from effnet.modelfile import is_model_file, load_header
from effnet.shipped.catalogue import located
from effnet.spec.families import get_spec
from effnet.spec.netspec import NetSpec
from effnet.training.parts import Parts, assemble
from effnet.training.setup import spec_changes
from effnet.training.state import TEACHER_FILE
from effnet.training.teacher import check_teacher

FROM, TEACHER = "from", "teacher"  # keys in the training record of a model file
NOT_INHERITED = ("config", "environment", "sizing")  # of the record of a file that a training builds on
CLASSIFIER = ("classifier.weight", "classifier.bias")


@dataclass(frozen=True)
class Origin:
    """A model file as it was found."""

    source: str
    """As it was given: a path, or a name on a hub."""
    classifier: Classifier
    """On the CPU."""
    sha256: str

    @property
    def record(self) -> dict[str, Any]:
        """What the model file of the training says of it: name, checksum, and where it came from itself."""
        header = self.classifier.header
        known = {key: value for key, value in header.training.items() if key not in NOT_INHERITED}
        return {
            "source": self.source,
            "sha256": self.sha256,
            "network": header.spec.name,
            "num_classes": header.num_classes,
            "effnet_version": header.effnet_version,
            "training": known,
        }


@dataclass(frozen=True)
class Origins:
    """What a training builds on; nothing by default."""

    source: Origin | None = None
    teacher: Origin | None = None


NOTHING = Origins()


def open_origin(source: str, *, revision: str | None = None, device: str = "cpu") -> Origin:
    """Open a model file by its path, or weights by their name on a hub.

    Raises:
        ModelFileError: no such file, or it is damaged; see `load`.
        UsageError: a name, and this effnet cannot import weights.

    """
    path = find_model(source, revision=revision)
    classifier = load(path, device=device)
    return Origin(source, classifier, digest_of(path))


def find_model(source: str, *, revision: str | None) -> Path:
    """Return the model file of a path, or of anything that can be imported: other files, names on a hub."""
    path = Path(source)
    if is_own(path):
        return located(path)
    from effnet.importing.source import model_file  # loads what few trainings need

    return model_file(source, revision=revision)


def is_own(path: Path) -> bool:
    """Tell whether a path is, or by its name should be, a model file of effnet."""
    if not path.exists():
        return is_model_file(path)
    try:
        load_header(path)
    except ModelFileError:
        return False
    return True


def adopt(config: TrainConfig, origin: Origin) -> TrainConfig:
    """Return a configuration with the network's name and the input of the weights to begin with."""
    header = origin.classifier.header
    given = header.preprocess
    own = {"crop": given.crop, "interpolation": given.interpolation, "mean": given.mean, "std": given.std}
    changes = {"model": header.spec.name, "phi": 0.0, "resolution": None}
    return override(config, {**changes, "input": {**own, "channels": header.spec.in_channels}})


def build_on(dataset: DataSet, config: TrainConfig, origins: Origins) -> Parts:
    """Assemble a training that builds on other model files.

    Raises:
        UsageError: the input is not that of the weights to begin with.
        DataError: the teacher has other classes.

    """
    spec, source = None, origins.source
    if source is not None:
        spec = get_spec(source.classifier.header.spec, **spec_changes(config))
        check_channels(source, config)
    return with_origins(assemble(dataset, config, spec), origins)


def with_origins(parts: Parts, origins: Origins) -> Parts:
    """Let a training that was put together begin with other weights, and have a teacher."""
    ancestry: dict[str, Any] = {}
    names = parts.dataset.class_names
    if origins.source is not None:
        start, head = begin_with(origins.source, names)
        parts = replace(parts, start=start)
        ancestry[FROM] = origins.source.record | {"head": head}
    if origins.teacher is not None:
        check_teacher(origins.teacher.classifier, names, parts.preprocess)
        parts = replace(parts, teacher=origins.teacher.classifier)
        ancestry[TEACHER] = origins.teacher.record
    return replace(parts, ancestry=ancestry)


def leak(parts: Parts, origins: Origins) -> str | None:
    """Say how many held-out images a model file to build on has learned from; None if none."""
    headers = [each.classifier.header for each in (origins.source, origins.teacher) if each is not None]
    if not headers:
        return None  # most trainings build on nothing, and the names of all images are many
    fingerprint = parts.dataset.fingerprint()
    tested = {
        name for part in (parts.splits.test, parts.splits.val) if part is not None for name in part.names
    }
    seen, everything = set[str](), parts.dataset.all_samples()
    for header in headers:
        if header.training.get("fingerprint") == fingerprint:
            drawn = Drawn(header.split, fingerprint)
            seen |= tested.intersection(find_parts(parts.dataset, drawn).get("train", everything).names)
    if not seen:
        return None
    return (
        f"warning: {len(seen):,} of the images to choose by and to test on were learned from by the model "
        f"that this training builds on: results will be too good; take the --seed that it was trained with"
    )


def check_channels(source: Origin, config: TrainConfig) -> None:
    """Refuse images with other channels than the weights take."""
    channels = source.classifier.header.spec.in_channels
    if config.input.channels != channels:
        raise UsageError(
            f"input.channels = {config.input.channels}, and the weights of {source.source} take {channels}; "
            f"leave input.channels to them, or take others"
        )


def begin_with(origin: Origin, class_names: Sequence[str]) -> tuple[Mapping[str, Tensor], str]:
    """Return the weights to begin with, and what became of the classifier: kept, reordered or replaced.

    With the same class names in another order its rows are brought into that of the data. With other names it
    is left out, so that a new one is drawn.
    """
    weights, theirs = origin.classifier.network.state_dict(), origin.classifier.header.class_names
    if set(theirs) != set(class_names):
        return {name: tensor for name, tensor in weights.items() if name not in CLASSIFIER}, "replaced"
    rows = torch.tensor([theirs.index(name) for name in class_names])
    own = {name: weights[name][rows] for name in CLASSIFIER}
    return {**weights, **own}, "kept" if theirs == tuple(class_names) else "reordered"


def describe(ancestry: Mapping[str, Any], spec: NetSpec) -> list[str]:
    """Say what a training builds on, a line each."""
    lines = []
    if (source := ancestry.get(FROM)) is not None:
        classifier = {
            "kept": "its classifier too: the classes are the same",
            "reordered": "its classifier too, the rows in the order of these classes",
            "replaced": f"but for the classifier of its {source['num_classes']} other classes",
        }[source["head"]]
        lines.append(f"beginning with {spec.name} of {source['source']}, {classifier}")
    if (teacher := ancestry.get(TEACHER)) is not None:
        lines.append(f"taught by {teacher['network']} of {teacher['source']}")
    return lines


def keep_teacher(teacher: Classifier | None, folder: Path) -> None:
    """Keep a copy of the teacher beside the state of the training, which a resume needs no other file for."""
    if teacher is not None:
        copy_file(Path(str(teacher.path)), folder / TEACHER_FILE)


def kept_teacher(ancestry: Mapping[str, Any], folder: Path) -> Classifier | None:
    """Return the teacher that was kept, if the training has one.

    Raises:
        ModelFileError: it is missing, or not the file of then.

    """
    return open_kept(folder / TEACHER_FILE, ancestry[TEACHER]).classifier if TEACHER in ancestry else None


def open_kept(path: Path, record: Mapping[str, Any]) -> Origin:
    """Open a copy that was kept of a model file; `record` says which one it is.

    Raises:
        ModelFileError: it is missing, or not the file of then.

    """
    origin = open_origin(str(path))
    if origin.sha256 != record["sha256"]:
        raise ModelFileError(
            f"{path} is not the model file that the training began with; bring back a copy of "
            f"{record['source']} as it was then"
        )
    return origin
