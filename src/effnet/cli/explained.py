"""What `effnet predict --explain` asks for, and the page that answers it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effnet.cli.explain_flags import ExplainFlags
from effnet.cli.progress import TerminalReporter
from effnet.errors import UsageError, unknown_name
from effnet.evaluation.classifier import Classifier, load
from effnet.evaluation.explanation import Wish, check
from effnet.evaluation.explanation_page import RECORD_FILE, write_explanations
from effnet.files import check_folder
from effnet.inference.inputs import refuse
from effnet.inference.runtime import OnnxClassifier
from effnet.modelfile import is_model_file

MOST_IMAGES = 100  # of more nobody looks at the maps
MAPS, MAPS_BESIDE = 3, 1


@dataclass(frozen=True)
class Plan:
    """What is asked for, checked before any image is read."""

    folder: Path
    models: tuple[Classifier, ...]
    wishes: tuple[Wish, ...]
    """One for each model."""
    notes: tuple[str, ...]


def plan(
    flags: ExplainFlags, classifier: Classifier | OnnxClassifier, images: Sequence[Path], device: str
) -> Plan | None:
    """Load the other models and check everything; None without --explain.

    Raises:
        UsageError: a flag that needs --explain, a folder that cannot take the page, a class that no model
            has, maps of a single cell.
        ModelFileError: as `load`.

    """
    if flags.explain is None:
        if flags != ExplainFlags():
            raise UsageError("--beside, --class, --maps and --method say how to explain: add --explain DIR")
        return None
    if not isinstance(classifier, Classifier):
        raise UsageError(
            f"--explain takes model files, not the exported {classifier.path}; name its original"
        )
    _check_place(flags.explain, images)
    models = (classifier, *(load(path, device=device) for path in flags.beside))
    known = dict.fromkeys(name for model in models for name in model.header.class_names)
    for name in flags.classes:
        if name not in known:
            raise unknown_name("class", name, known)
    maps = flags.maps if flags.maps is not None else MAPS_BESIDE if flags.beside else MAPS
    wishes = [_wish(flags, model, maps) for model in models]
    for model, wish in zip(models, wishes, strict=True):
        check(model.header, wish)
    notes = [note for model in models for note in _lacking(flags, model)]
    check_folder(flags.explain)
    return Plan(flags.explain, models, tuple(wishes), tuple(notes))


def _check_place(folder: Path, images: Sequence[Path]) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--explain {folder}: is a file; it takes a folder")
    for path in images:
        if is_model_file(path) and not path.is_dir():
            raise UsageError(f"{path} is a model file, not an image; to compare models write --beside {path}")
        if path.is_dir() and folder.resolve().is_relative_to(path.resolve()):
            raise UsageError(
                f"--explain {folder} lies inside {path}, where figures would be taken for images the next "
                f"time; choose a folder outside"
            )


def _wish(flags: ExplainFlags, model: Classifier, maps: int) -> Wish:
    classes = tuple(name for name in flags.classes if name in model.header.class_names)
    return Wish(maps, classes, flags.method)


def _lacking(flags: ExplainFlags, model: Classifier) -> list[str]:
    """Say which of the classes asked for a model does not have, and what it shows instead."""
    lacking = [name for name in flags.classes if name not in model.header.class_names]
    if not lacking:
        return []
    instead = "; its most probable class is mapped" if len(lacking) == len(flags.classes) else ""
    return [f"{model.path} has no class {', '.join(map(repr, lacking))}{instead}"]


def draw_maps(
    asked: Plan, images: Sequence[str], skipped: Sequence[str], *, command: str, quiet: bool
) -> dict[str, Any]:
    """Explain readable images, by their paths, and write the page; return what a program wants to know."""
    notes = [*asked.notes]
    if len(images) > MOST_IMAGES:
        notes.append(f"these are the first {MOST_IMAGES} of {len(images)} images; name those you want to see")
    with TerminalReporter(quiet=quiet) as reporter:
        for note in notes:
            reporter.message(f"note: {note}")
        explanations = [
            model.explain(
                images[:MOST_IMAGES],
                maps=wish.maps,
                classes=wish.classes,
                method=wish.method,
                on_broken=refuse,
            )
            for model, wish in zip(asked.models, asked.wishes, strict=True)
        ]
        page = write_explanations(
            asked.folder,
            *explanations,
            command=command,
            notes=[*notes, *(f"skipped {problem}" for problem in skipped)],
            on_drawn=reporter.drawing,
        )
        reporter.message(f"maps: {page}")
    return {"page": str(page), "record": str(page.with_name(RECORD_FILE)), "notes": notes}
