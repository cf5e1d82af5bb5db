"""The sections of a report that show a network under other conditions than it was trained for."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from effnet.evaluation.corruptions.catalogue import CORRUPTIONS
from effnet.evaluation.metrics import Evaluation
from effnet.evaluation.opened import Opened
from effnet.evaluation.page import Section, picture
from effnet.evaluation.robustness.colours import loss_colour
from effnet.evaluation.robustness.corrupted import Robustness, image_keys
from effnet.evaluation.robustness.ensemble import Ensemble
from effnet.evaluation.robustness.pictures import draw_examples, draw_heat_map, draw_resolutions, title
from effnet.evaluation.robustness.resolutions import Resolutions
from effnet.evaluation.robustness.tta import Augmented
from effnet.evaluation.robustness.words import ensemble_words, views_words

HEAT_MAP, EXAMPLES, CURVE = "robustness.png", "corruptions.png", "resolutions.png"

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class HeatRow:
    """A corruption in the table."""

    title: str
    cells: tuple[tuple[float, Colour], ...]
    """Accuracy and colour at each severity, and their mean."""
    top1: float
    """Over the severities."""


@dataclass(frozen=True)
class AnswerRow:
    """A single answer, or the mean of several, in the table."""

    label: str
    evaluation: Evaluation
    macs: int
    milliseconds: float


def robustness_section(robustness: Robustness, opened: Opened, folder: Path) -> Section:
    """Draw the heat map and an image under each corruption: the first that the network is right about."""
    name = opened.names[int(np.argmax(robustness.clean.correct))]
    image = torch.from_numpy(opened.preprocess.pixels(opened.held.samples.read(name)).copy())[None]
    draw_heat_map(robustness, folder / HEAT_MAP)
    draw_examples(image, image_keys((name,)), robustness.seed, folder / EXAMPLES)
    values = {
        "found": robustness,
        "rows": heat_rows(robustness),
        "caveats": [(each.title, each.caveat) for each in CORRUPTIONS.values() if each.caveat],
        "examples": picture(folder / EXAMPLES),
    }
    return Section("robustness", "Corruptions", "section_robustness.html", values)


def heat_rows(robustness: Robustness) -> list[HeatRow]:
    """Lay out the heat map."""
    rows = []
    for name, row in robustness.cells.items():
        mean = robustness.mean_top1(name)
        values = [*(each.top1 for each in row), mean]
        cells = tuple((value, loss_colour(value, robustness.clean.top1)) for value in values)
        rows.append(HeatRow(title(name), cells, mean))
    return rows


def resolutions_section(resolutions: Resolutions, folder: Path, *, stride: int) -> Section:
    """Draw accuracy over the side of the images; `stride` is the network's total stride."""
    draw_resolutions(resolutions, folder / CURVE)
    values = {"found": resolutions, "stride": stride, "curve": picture(folder / CURVE)}
    return Section("resolutions", "Resolutions", "section_resolutions.html", values)


def views_section(augmented: Augmented, single: Evaluation, macs: int) -> Section:
    """Show what several views of an image bring; `macs` are those of one view."""
    count, spent = augmented.num_views, augmented.milliseconds
    rows = [
        AnswerRow("one view", single, macs, spent / count),
        AnswerRow(f"{count} views", augmented.evaluation, macs * count, spent),
    ]
    return combined_section("views", "Several views of an image", views_words(augmented), rows)


def ensemble_section(ensemble: Ensemble) -> Section:
    """Show what the models answer together."""
    members = ensemble.comparison.ranked
    rows = [AnswerRow(each.label, each.evaluation, each.cost.macs, each.milliseconds) for each in members]
    rows.append(AnswerRow("together", ensemble.evaluation, ensemble.macs, ensemble.milliseconds))
    return combined_section("ensemble", "The models together", ensemble_words(ensemble), rows)


def combined_section(anchor: str, heading: str, words: str, rows: list[AnswerRow]) -> Section:
    """Show combined answers beside single ones."""
    values = {"heading": heading, "words": f"{words[0].upper()}{words[1:]}.", "rows": rows}
    return Section(anchor, heading, "section_combined.html", values)
