"""Pictures of a search: accuracy on the surface of equal cost, against MACs, and over the epochs."""

from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from effnet.evaluation.report import BLUE, GREY, ORANGE, new_figure, save_figure
from effnet.sizing.search.candidates import Candidate, Shares, Space
from effnet.sizing.search.ranking import Ranking, Row
from effnet.sizing.trial import Outcome
from effnet.spec.scale import PAPER

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CORNERS = {"depth": (0.5, sqrt(0.75)), "width": (0.0, 0.0), "resolution": (1.0, 0.0)}
"""Where all of the cost goes into one dimension: `(x, y)` of an equilateral triangle."""
LETTERS = {"depth": "α", "width": "β", "resolution": "γ"}
SIZE = (5.2, 4.4)  # inches; half a page, or a phone


def place(shares: Shares) -> tuple[float, float]:
    """Return where a point of the surface lies in the triangle."""
    x, y = np.asarray(shares) @ np.asarray(list(CORNERS.values()))
    return float(x), float(y)


def draw_surface(ranking: Ranking, space: Space, path: Path) -> None:
    """Draw the mean accuracy of each candidate where it lies on the surface alpha·beta²·gamma² = 2."""
    figure, axis = new_figure(*SIZE)
    _draw_triangle(axis)
    paper = Candidate(PAPER, space.base, 0)
    axis.plot(*place(paper.shares), "+", color="black", markersize=11, label="the paper's coefficients")
    for row in ranking.others:
        axis.plot(*place(row.candidate.shares), "o", color=GREY, fillstyle="none", markersize=9)
    rows = ranking.ranked[::-1]  # where two lie on one spot, the better one is seen
    spots = np.array([place(row.candidate.shares) for row in rows])
    means = [100 * row.mean for row in rows]
    shown = axis.scatter(*spots.T, c=means, cmap="viridis", s=110, edgecolors="white", zorder=3)
    axis.plot(
        *spots[-1],
        "o",
        color=ORANGE,
        fillstyle="none",
        markersize=15,
        markeredgewidth=2.5,
        label="best",
        zorder=4,
    )
    figure.colorbar(shown, ax=axis, label="validation accuracy, %", shrink=0.7)
    figure.legend(frameon=False, loc="outside lower center", ncols=2, fontsize=9)
    save_figure(figure, path)


def _draw_triangle(axis: "Axes") -> None:
    """Draw the triangle with lines at quarters of the cost."""
    depth, width, resolution = (np.asarray(corner) for corner in CORNERS.values())
    axis.fill(*np.array([depth, width, resolution]).T, facecolor="none", edgecolor="black", linewidth=1)
    for one, other, third in (
        (depth, width, resolution),
        (width, resolution, depth),
        (resolution, depth, width),
    ):
        for share in (0.25, 0.5, 0.75):
            ends = np.array([share * one + (1 - share) * other, share * one + (1 - share) * third])
            axis.plot(*ends.T, color=GREY, alpha=0.35, linewidth=0.8)
    for name, (x, y) in CORNERS.items():
        above = y > 0
        axis.text(
            x, y + (0.03 if above else -0.03), f"all into {name}\n({LETTERS[name]})",
            ha="center", va="bottom" if above else "top", fontsize=10,
        )  # fmt: skip
    axis.set(xlim=(-0.25, 1.25), ylim=(-0.17, 1.04), aspect="equal")
    axis.set_axis_off()


def draw_cost(ranking: Ranking, space: Space, path: Path) -> None:
    """Draw accuracy, mean and standard deviation over the seeds, against the MACs of the rounded network."""
    figure, axis = new_figure(*SIZE)
    low, high = (space.target * (1 + sign * space.cost_tolerance) / 1e6 for sign in (-1, 1))
    axis.axvspan(low, high, color=GREY, alpha=0.12, linewidth=0, label="allowed")
    axis.axvline(space.target / 1e6, color=GREY, linewidth=1, linestyle="--", label="target")
    for index, row in reversed(list(enumerate(ranking.ranked))):
        axis.errorbar(
            row.candidate.macs / 1e6, 100 * row.mean, yerr=100 * (row.spread or 0.0),
            fmt="o", markersize=7, capsize=3, color=ORANGE if index == 0 else BLUE,
            label="best" if index == 0 else "others" if index == 1 else None,
        )  # fmt: skip
    axis.set(xlabel="million multiply-adds", ylabel="validation accuracy, %")
    axis.legend(frameon=False, fontsize=9)
    _open(axis)
    save_figure(figure, path)


def draw_learning(ranking: Ranking, path: Path) -> None:
    """Draw the validation accuracy over the epochs: mean over the seeds of each candidate.

    What lies below all curves after a third of the epochs is cut off: the first rise would flatten the rest.
    """
    from matplotlib.ticker import MaxNLocator

    figure, axis = new_figure(*SIZE)
    styles = [("best", ORANGE), ("runner-up", BLUE), ("others", GREY)]
    for index, row in reversed(list(enumerate(ranking.ranked))):
        label, colour = styles[min(index, 2)]
        epochs, means = learning(row)
        axis.plot(
            epochs, means, color=colour, alpha=0.5 if index > 1 else 1.0, linewidth=1 if index > 1 else 2,
            marker="o" if len(epochs) < 3 else None, label=label if index < 3 else None,
        )  # fmt: skip
    curves = [learning(row)[1] for row in ranking.ranked]
    lowest, highest = min(curve[len(curve) // 3] for curve in curves), max(map(max, curves))
    margin = 0.05 * max(highest - lowest, 1.0)
    axis.set(xlabel="epoch", ylabel="validation accuracy, %", ylim=(lowest - margin, highest + margin))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(frameon=False, fontsize=9, loc="lower right")
    _open(axis)
    save_figure(figure, path)


def learning(row: Row) -> tuple[list[int], list[float]]:
    """Return epochs from 1 on, and the mean accuracy over the seeds after each, as far as all seeds went."""
    curves = [accuracies(outcome) for outcome in row.outcomes]
    length = min(map(len, curves))
    means = np.mean([curve[:length] for curve in curves], axis=0)
    epochs = [point["epoch"] + 1 for point in row.outcomes[0].curve[:length]]
    return epochs, [100 * float(value) for value in means]


def accuracies(outcome: Outcome) -> list[float]:
    """Return the accuracy after each epoch: of the averaged weights, where there is an average."""
    pairs = [(point["ema_val_top1"], point["val_top1"]) for point in outcome.curve]
    return [raw if averaged is None else averaged for averaged, raw in pairs]


def _open(axis: "Axes") -> None:
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
