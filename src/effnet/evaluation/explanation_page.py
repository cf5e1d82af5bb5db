"""The page of explanations: one self-contained HTML file, and figures as PNG files beside it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from effnet.data.pixels import ignore
from effnet.device import environment
from effnet.errors import some
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.explanation import Explanation
from effnet.evaluation.own_files import OwnFiles
from effnet.evaluation.page import machine, write_page
from effnet.evaluation.panels import build_rows, draw_rows, labels

PAGE_FILE, RECORD_FILE = "explain.html", "explain.json"
METHOD_WORDS = {
    "cam": "CAM (Zhou et al. 2016): what speaks for the class, less what speaks against it",
    "grad-cam": "Grad-CAM (Selvaraju et al. 2017): what speaks for the class, without what speaks against it",
}


def write_explanations(
    folder: str | Path,
    *explanations: Sequence[Explanation],
    command: str = "",
    notes: Sequence[str] = (),
    on_drawn: Callable[[int, int], None] = ignore,
) -> Path:
    """Write `explain.html`, which needs no other file and no network, figures, and `explain.json`.

    One model gets a figure for each image; several get figures like the EfficientNet paper's Figure 7, with a
    row for each image and a column for each model. Figures of an earlier run in the folder are removed.

    Args:
        folder: where to write.
        explanations: what `Classifier.explain` returned, once for each model; of the same images.
        command: the command line to show, if there was one.
        notes: what the reader should know, such as images that could not be read.
        on_drawn: told how many figures are drawn, of how many.

    Returns:
        The path of `explain.html`.

    Raises:
        UsageError: no image, or not the same ones; or a file is in the way that no earlier run wrote.
        EffnetError: the folder cannot be written to.

    """
    rows = build_rows(explanations)
    models = [of_model[0].classifier for of_model in explanations]
    files = OwnFiles(Path(folder), RECORD_FILE)
    figures = list(dict.fromkeys(row.figure for row in rows))
    files.claim([PAGE_FILE, *figures])
    for done, figure in enumerate(figures, start=1):
        draw_rows([row for row in rows if row.figure == figure], files.folder / figure)
        on_drawn(done, len(figures))
    content = {
        "rows": rows,
        "models": labels(models),
        "method": METHOD_WORDS[rows[0].explanations[0].method],
        "notes": [*notes, *differences(models)],
        "facts": _facts(explanations, command),
    }
    write_page(files.folder / PAGE_FILE, PAGE_FILE, content)
    files.finish([PAGE_FILE, *figures], {"command": command, "images": [row.to_dict() for row in rows]})
    return files.folder / PAGE_FILE


def differences(models: Sequence[Classifier]) -> list[str]:
    """Say what must be known to compare models: they have other classes, or see other pixels of an image."""
    notes = []
    if len({frozenset(model.header.class_names) for model in models}) > 1:
        lists = "; ".join(_own_classes(models))
        notes.append(f"the models know different classes, so do not compare their probabilities: {lists}")
    if len({(model.header.preprocess.resolution, model.header.preprocess.crop) for model in models}) > 1:
        notes.append(
            "the models see images at different resolutions or crops: each map lies on what its own model "
            "sees, and the image itself is shown as the first model sees it"
        )
    return notes


def _own_classes(models: Sequence[Classifier]) -> list[str]:
    """Say which classes only some models have, and which ones."""
    known = [model.header.class_names for model in models]
    common = set(known[0]).intersection(*known)
    having: dict[tuple[str, ...], list[str]] = {}
    for label, names in zip(labels(models), known, strict=True):
        having.setdefault(tuple(sorted(set(names) - common)), []).append(label)
    return [f"only {', '.join(who)}: {some(names, limit=5)}" for names, who in having.items() if names]


def _facts(explanations: Sequence[Sequence[Explanation]], command: str) -> list[tuple[str, str]]:
    """Say how the maps came about: term and value."""
    models = [of_model[0].classifier for of_model in explanations]
    now = datetime.now().astimezone()
    facts = [("Written", f"{now:%Y-%m-%d %H:%M %Z}"), ("Command", command)]
    for of_model, label in zip(explanations, labels(models), strict=True):
        model, (height, width) = of_model[0].classifier, of_model[0].maps[0].values.shape
        side = model.header.preprocess.resolution
        facts.append((label, f"sees {side}×{side} pixels, maps of {height}×{width} cells{_origin(model)}"))
    facts.append(("On", machine(environment(models[0].device))))
    return [(term, value) for term, value in facts if value]


def _origin(model: Classifier) -> str:
    return "" if model.path is None else f"; {model.path}"
