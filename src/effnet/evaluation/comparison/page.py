"""The page of a comparison: one HTML file that needs nothing else, and its pictures."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from effnet.data.datasets import DataSet, open_dataset
from effnet.device import environment
from effnet.evaluation.comparison.pictures import draw_costs, draw_sides
from effnet.evaluation.comparison.result import LEVEL, Comparison, Contender
from effnet.evaluation.comparison.words import p_number, points, verdict
from effnet.evaluation.page import Section, machine, picture, write_page
from effnet.evaluation.report import MAX_NUMBERED_CLASSES

REPORT_FILE = "report.html"
TEMPLATE = "comparison.html"


def write_comparison(
    comparison: Comparison,
    folder: str | Path,
    *,
    data: str | Path | DataSet,
    command: str = "",
    sections: Sequence[Section] = (),
) -> Path:
    """Write `report.html`, which needs no other file and no network, and its pictures as PNG files.

    Args:
        comparison: what `compare` returned.
        folder: where to write; older reports in it are replaced.
        data: name or folder; the pictures of images are read from it.
        command: the command line to show, if there was one.
        sections: what else was measured.

    Returns:
        The path of `report.html`.

    Raises:
        DataError: an image is gone since it was measured.
        EffnetError: the folder cannot be written to.

    """
    dataset = data if isinstance(data, DataSet) else open_dataset(data)
    path = Path(folder) / REPORT_FILE
    draw_costs(comparison, path.parent / "costs.png")
    draw_costs(comparison, path.parent / "costs-stacked.png", stacked=True)
    content = {
        "comparison": comparison,
        "labels": [each.label for each in comparison.contenders],
        "verdict": verdict(comparison),
        "charts": {name: picture(path.parent / f"{name}.png") for name in ("costs", "costs-stacked")},
        "sides": draw_sides(comparison, dataset, path.parent),
        "is_tall": len(comparison.classes) > MAX_NUMBERED_CLASSES,
        "level": LEVEL,
        "points": points,
        "p_number": p_number,
        "facts": facts(comparison, command),
        "sections": sections,
    }
    write_page(path, TEMPLATE, content)
    return path


def facts(comparison: Comparison, command: str) -> list[tuple[str, str]]:
    """Say how the numbers came about: term and value."""
    now, first = datetime.now().astimezone(), comparison.contenders[0].classifier
    models = [(each.label, about(each)) for each in comparison.contenders]
    found = [
        ("Compared", f"{now:%Y-%m-%d %H:%M %Z}"),
        ("Command", command),
        ("On", machine(environment(first.device))),
        *models,
    ]
    return [(term, value) for term, value in found if value]


def about(contender: Contender) -> str:
    """Say in a line what a model is."""
    header, path = contender.classifier.header, contender.classifier.path
    side = header.preprocess.resolution
    return f"{path or 'no file'}: {header.spec.name}, {side}×{side} pixels"
