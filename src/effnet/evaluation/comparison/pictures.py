"""Pictures of a comparison: cost against accuracy, and the images about which models do not agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from effnet.data.datasets import DataSet
from effnet.evaluation.comparison.result import Comparison, Contender
from effnet.evaluation.page import Picture
from effnet.evaluation.report import new_figure, save_figure, shorten
from effnet.evaluation.thumbnails import draw_thumbnails

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_SHOWN, MAX_SHOWN_OF_MANY = 12, 6  # images of a side: with two models, with more
MAX_PAIRS = 3
WIDE = 5.0  # quotient of costs above which they are drawn on a logarithmic axis
COLOURS = ("#1f6fb4", "#d9730d", "#2a9d5c", "#9b3fb5", "#8a8a8a", "#c22f4f", "#7a5c2e", "#159aa8")
MARKERS = "osD^vPX*"


@dataclass(frozen=True)
class Said:
    """What one model says of an image."""

    label: str
    answer: str
    probability: float
    is_right: bool


@dataclass(frozen=True)
class Dispute:
    """An image that one model of a pair is right about, and the other is not."""

    name: str
    truth: str
    said: tuple[Said, ...]


@dataclass(frozen=True)
class Side:
    """The images that only one model of a pair is right about, the most decided first."""

    right: str
    wrong: str
    count: int
    disputes: tuple[tuple[Dispute, Picture], ...]


def draw_costs(comparison: Comparison, path: Path, *, stacked: bool = False) -> None:
    """Draw the share of errors with its interval against multiply-adds and against the time measured."""
    rows, columns, size = (2, 1, (5.6, 8.0)) if stacked else (1, 2, (11.0, 4.6))
    figure, axes = new_figure(*size, nrows=rows, ncols=columns, sharey=True)
    _draw_points(axes[0], comparison, [each.cost.macs / 1e6 for each in comparison.contenders])
    _draw_points(axes[1], comparison, [each.milliseconds for each in comparison.contenders])
    axes[0].set(xlabel="million multiply-adds an image", ylabel="right, in %")
    axes[1].set(xlabel=f"milliseconds an image, {comparison.batch_size} at once")
    if stacked:
        axes[1].set_ylabel("right, in %")
    handles, names = axes[0].get_legend_handles_labels()
    legend = figure.legend(
        handles, names, frameon=False, loc="outside lower center", ncols=1 if stacked else min(4, len(names))
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    save_figure(figure, path)


def _draw_points(axis: "Axes", comparison: Comparison, costs: Sequence[float]) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    styles = zip(cycle(COLOURS), cycle(MARKERS))
    for contender, cost, (colour, marker) in zip(comparison.contenders, costs, styles, strict=False):
        share, (low, high) = contender.evaluation.top1, contender.evaluation.interval
        error: Any = 100 * np.array([[share - low], [high - share]])
        axis.errorbar(
            cost, 100 * share, yerr=np.maximum(error, 0), color=colour, marker=marker, capsize=3,
            linestyle="", label=shorten(contender.label),
        )  # fmt: skip
    if max(costs) > WIDE * min(costs):
        axis.set_xscale("log")
        axis.margins(x=0.15)
        axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_locator(NullLocator())
    else:
        axis.set_xlim(0, 1.1 * max(costs))
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)


def draw_sides(comparison: Comparison, dataset: DataSet, folder: Path) -> list[Side]:
    """Save images that only one model of a pair is right about; of many models, pairs with the best."""
    for old in folder.glob("only-*.png"):
        old.unlink()
    best, *others = comparison.ranked
    if len(others) == 1:
        best, others = comparison.contenders[0], [comparison.contenders[1]]
    limit = MAX_SHOWN if len(others) == 1 else MAX_SHOWN_OF_MANY
    pairs = [pair for other in others[:MAX_PAIRS] for pair in ((best, other), (other, best))]
    return [
        _draw_side(
            pair, dataset, [folder / f"only-{number}-{place:02d}.png" for place in range(1, limit + 1)]
        )
        for number, pair in enumerate(pairs, start=1)
    ]


def _draw_side(pair: tuple[Contender, Contender], dataset: DataSet, paths: Sequence[Path]) -> Side:
    right, wrong = pair
    rows = disputed(right, wrong)
    found = [dispute(pair, row) for row in rows[: len(paths)].tolist()]
    pictures = draw_thumbnails(dataset.all_samples(), [each.name for each in found], paths)
    return Side(right.label, wrong.label, len(rows), tuple(zip(found, pictures, strict=True)))


def disputed(right: Contender, wrong: Contender) -> Any:
    """Return the images that only the first is right about, `(M,)`: where both are surest comes first."""
    rows = np.flatnonzero(right.correct & ~wrong.correct)
    sure = [contender.evaluation.answers.confidence[rows] for contender in (right, wrong)]
    return rows[np.argsort(-(sure[0] + sure[1]), kind="stable")]


def dispute(pair: Sequence[Contender], row: int) -> Dispute:
    """Say what both models say of an image."""
    first = pair[0].evaluation
    said = []
    for contender in pair:
        answers, classes = contender.evaluation.answers, contender.evaluation.classes
        answer = classes[answers.predicted[row]].name
        said.append(Said(contender.label, answer, float(answers.confidence[row]), bool(answers.correct[row])))
    return Dispute(first.answers.names[row], first.classes[first.answers.labels[row]].name, tuple(said))
