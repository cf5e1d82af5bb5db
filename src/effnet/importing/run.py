"""One import, from a source to a model file: what `effnet import` does."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass as validated

from effnet import modelfile
from effnet.errors import ModelFileError, UsageError
from effnet.files import check_out
from effnet.importing import class_names, weights
from effnet.importing.conversion import are_told, convert
from effnet.importing.draft import BIAS, Draft, with_channels, with_new_head, with_resolution
from effnet.importing.listener import Listener, Quiet
from effnet.importing.origin import Origin, locate
from effnet.modelfile import ModelHeader
from effnet.spec.families import get_spec
from effnet.spec.netspec import read_values


@validated(frozen=True, config=ConfigDict(extra="forbid"))
class Wish:
    """What an import is asked for; what is not asked for stays as it is."""

    variant: str | None = None
    """Kind of published weights, where the file does not tell it."""
    network: str | None = None
    """Name or spec file of the network, where it is none of those that the libraries have."""
    classes: str | Path | None = None
    """Names of the outputs: a text file with one on each line, `imagenet` or `imagenet-synsets`."""
    num_classes: int | None = Field(default=None, ge=1, le=1_000_000)
    """Outputs of a new, untrained head."""
    channels: int | None = Field(default=None, ge=1, le=1024)
    """Channels of the input, which the stem is adapted to."""
    resolution: int | None = Field(default=None, ge=1, le=4096)
    """Side of the images in pixels."""
    revision: str | None = None
    """Branch, tag or commit, of a name on the hub."""


_ADAPTER = TypeAdapter(Wish)


@dataclass(frozen=True)
class Imported:
    """A model that was imported."""

    path: Path | None
    """The model file, if one was written."""
    draft: Draft
    notes: tuple[str, ...]
    """What was understood and done, a line each."""

    @property
    def header(self) -> ModelHeader:
        """What the model file says."""
        return self.draft.header


def import_model(
    source: str | Path, out: str | Path | None = None, *, listener: Listener | None = None, **wish: Any
) -> Imported:
    """Turn another library's weights into a whole model file. Nothing in them is executed.

    Args:
        source: a file (`.safetensors`, `.pth`, `.pt`), a folder with one, or `OWNER/NAME` on the hub. It may
            be a model file of effnet too, to be changed.
        out: the model file to write, `.safetensors`; none when not given.
        listener: told of the progress.
        wish: fields of `Wish`.

    Raises:
        UsageError: a wrong name or value, a list of classes of the wrong length, or what has to be asked for.
        ModelFileError: damaged, unsafe, of no known layout, or of shapes that do not fit.
        HubError: it cannot be had from the hub.

    """
    asked, told = read_values(_ADAPTER, wish), listener or Quiet()
    path = None if out is None else checked_path(Path(out))
    imported = imported_from(locate(source, asked.revision, told), asked)
    return imported if path is None else written(imported, path)


def imported_from(origin: Origin, asked: Wish) -> Imported:
    """Import weights that are here; nothing is written."""
    draft, notes = opened(origin, asked)
    unnamed = not is_ours(origin.path) and not are_told(origin, draft.header)
    if unnamed and asked.classes is None and asked.num_classes is None:
        raise UsageError(
            f"{origin.source}: nothing says what its {draft.header.num_classes} classes are called; "
            f"--classes FILE names them, one on each line, or --num-classes N puts a new head on"
        )
    return Imported(None, *adapted(draft, notes, asked))


def written(imported: Imported, path: Path) -> Imported:
    """Write a model file, whole or not at all."""
    modelfile.save(path, imported.draft.header, imported.draft.arrays)
    return replace(imported, path=path)


def checked_path(path: Path) -> Path:
    """Check where the model file shall be written, before the work.

    Raises:
        UsageError: it is no .safetensors file, or there is no such folder.

    """
    if path.suffix != ".safetensors":
        raise UsageError(f"--out {path}: the name must end in .safetensors")
    check_out(path)
    return path


def opened(origin: Origin, asked: Wish) -> tuple[Draft, tuple[str, ...]]:
    """Read a source: a model file as it is, other weights converted."""
    if is_ours(origin.path):
        if asked.variant is not None or asked.network is not None:
            raise UsageError(
                f"{origin.source} is a model file of effnet; --variant and --network are for others"
            )
        return Draft(*modelfile.load(origin.path)), ("a model file of effnet",)
    spec = None if asked.network is None else get_spec(asked.network)
    converted = convert(origin, weights.read(origin.path), spec=spec, variant=asked.variant)
    if BIAS not in converted.draft.arrays and asked.num_classes is None:
        raise UsageError(f"{origin.source} has no classifier; --num-classes N puts a new one on")
    return converted.draft, converted.notes


def is_ours(path: Path) -> bool:
    """Tell whether a file is a model file of effnet."""
    try:
        return modelfile.is_model_file(path) and bool(modelfile.load_header(path))
    except ModelFileError:
        return False


def adapted(draft: Draft, notes: tuple[str, ...], asked: Wish) -> tuple[Draft, tuple[str, ...]]:
    """Make the changes that are asked for, and note them."""
    changes: list[str] = []
    names = None if asked.classes is None else class_names.read(asked.classes)
    if asked.num_classes is not None:
        draft = with_new_head(draft, _new_names(names, asked.num_classes))
        changes.append(f"a new, untrained head with {asked.num_classes} outputs")
    elif names is not None:
        draft = Draft(
            replace(draft.header, class_names=_fitting(names, draft.header.num_classes, asked)), draft.arrays
        )
    before = draft.header.spec
    if asked.channels not in (None, before.in_channels):
        draft = with_channels(draft, asked.channels or 0)
        changes.append(f"the stem adapted from {before.in_channels} channels to {asked.channels}")
    if asked.resolution is not None:
        draft = with_resolution(draft, asked.resolution)
        changes.append(f"{asked.resolution} pixels instead of {before.resolution}")
    return _recorded(draft, changes), (*notes, *changes)


def _new_names(names: tuple[str, ...] | None, num_classes: int) -> tuple[str, ...]:
    if names is None:
        return tuple(str(number) for number in range(num_classes))
    if len(names) != num_classes:
        raise UsageError(f"--num-classes {num_classes}, but --classes has {len(names)} names")
    return names


def _fitting(names: tuple[str, ...], num_classes: int, asked: Wish) -> tuple[str, ...]:
    if len(names) != num_classes:
        raise UsageError(
            f"--classes {asked.classes} has {len(names)} names, but the head has {num_classes} outputs; "
            f"--num-classes {len(names)} puts a new head on, which is not trained"
        )
    return names


def _recorded(draft: Draft, changes: list[str]) -> Draft:
    """Write changes into the record of the import; measurements of what was changed count no more."""
    if not changes:
        return draft
    training = dict(draft.header.training)
    imported = dict(training.get("imported", {}))
    imported["changes"] = [*imported.get("changes", []), *changes]
    header = replace(draft.header, training={**training, "imported": imported}, metrics={}, temperature=1.0)
    return Draft(header, draft.arrays)
