"""Pictures of a study: accuracy against multiply-adds, forecasts and their outcomes, learning curves."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from effnet.evaluation.report import BLUE, GREY, ORANGE, new_figure, save_figure
from effnet.sizing.study.arms import BASE
from effnet.sizing.study.findings import Case, Findings
from effnet.sizing.study.law import Law
from effnet.sizing.study.rows import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

# Four hues that colour-blind readers tell apart, and a marker each for prints in grey.
COLOURS = {"depth": "#0a8f6a", "width": ORANGE, "resolution": "#8a4fae", "compound": BLUE, BASE: GREY}
MARKERS = {"depth": "v", "width": "s", "resolution": "D", "compound": "o", BASE: "X"}
WIDE, NARROW = (9.0, 5.0), (4.6, 4.4)
NUM_CURVE_POINTS = 60


def draw_accuracy(findings: Findings, arms: Sequence[str], path: Path, *, narrow: bool = False) -> None:
    """Draw mean accuracy against MACs, a line for each arm; bands ± one standard deviation, dots seeds."""
    figure, axis = new_figure(*(NARROW if narrow else WIDE))
    for arm in arms:
        rows = findings.line(arm)
        macs = [row.network.cost.macs for row in rows]
        means = np.array([_percent(row.mean) for row in rows])
        spreads = np.array([_percent(row.spread) for row in rows])
        style: dict[str, Any] = {"color": COLOURS[arm], "zorder": 3}
        axis.fill_between(macs, means - spreads, means + spreads, color=COLOURS[arm], alpha=0.13, linewidth=0)
        axis.plot(
            macs, means, marker=MARKERS[arm], label=arm, linewidth=2.2 if arm == arms[-1] else 1.5, **style
        )
        for row in rows:
            points = [_percent(accuracy) for accuracy in row.accuracies]
            axis.plot([row.network.cost.macs] * len(points), points, ".", color=COLOURS[arm], alpha=0.45)
    _cost_axis(axis, findings)
    axis.set_ylabel("validation accuracy in %")
    axis.legend(frameon=False, loc="best")
    save_figure(figure, path)


def _percent(share: float | None) -> float:
    return 0.0 if share is None else 100 * share


def _cost_axis(axis: "Axes", findings: Findings) -> None:
    """Make the axis of MACs logarithmic, with a tick at each cost that was asked for."""
    from matplotlib.ticker import EngFormatter, FixedLocator, NullLocator

    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator(sorted({row.network.target for row in findings.rows})))
    axis.xaxis.set_major_formatter(EngFormatter(places=1, sep=" "))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("multiply-adds of one image")
    _tidy(axis)


def _tidy(axis: "Axes") -> None:
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)


def draw_forecast(findings: Findings, law: Law, path: Path, *, narrow: bool = False) -> None:
    """Draw the law with what it was fitted to and what came, and each interval with its outcome."""
    rows, columns = (2, 1) if narrow else (1, 2)
    height = max(4.4, 1.6 + 0.42 * len(findings.cases))
    size = (4.6, 4.4 + height) if narrow else (11.0, height)
    figure, (left, right) = new_figure(*size, nrows=rows, ncols=columns)
    _draw_law(left, findings, law)
    _draw_cases(right, findings.cases)
    save_figure(figure, path)


def _draw_law(axis: "Axes", findings: Findings, law: Law) -> None:
    foreseen = {case.network: case for case in findings.cases}
    costs = [row.network.cost.macs for row in findings.rows]
    grid = np.geomspace(min(costs), max(costs), NUM_CURVE_POINTS)
    for arm in law.slopes:
        curve = [100 * law.predict(arm, float(macs)).error for macs in grid]
        axis.plot(grid, curve, color=COLOURS[arm], linewidth=1.3, label=arm)
    for row in findings.rows:
        case, arm = foreseen.get(row.network), row.network.arm
        error = row.error if case is None else case.outcome
        if error is not None:
            style: dict[str, Any] = {"marker": MARKERS[arm], "color": COLOURS[arm], "linestyle": ""}
            filling = COLOURS[arm] if case is None else "white"
            axis.plot([row.network.cost.macs], [100 * error], markerfacecolor=filling, **style)
    axis.set_yscale("log")
    _percent_axis(axis.yaxis)
    axis.set(ylabel="validation error in %", title="filled: fitted; hollow: came after")
    _cost_axis(axis, findings)
    axis.legend(frameon=False, loc="best")


def _percent_axis(axis: "Axis") -> None:
    """Put readable ticks on a logarithmic axis of per cents."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def _draw_cases(axis: "Axes", cases: Sequence[Case]) -> None:
    """Draw a line for each forecast: its interval, the value foreseen, and the outcome."""
    for place, case in enumerate(cases):
        foreseen, colour = case.prediction, COLOURS[case.network.arm]
        bar: dict[str, Any] = {"color": colour, "linewidth": 6, "alpha": 0.25, "solid_capstyle": "butt"}
        axis.plot([100 * foreseen.low, 100 * foreseen.high], [place, place], **bar)
        axis.plot([100 * foreseen.error], [place], "|", color=colour, markersize=13, markeredgewidth=2)
        if case.outcome is not None:
            marker = "o" if case.is_inside else "X"
            axis.plot([100 * case.outcome], [place], marker, color="black", markersize=7)
    axis.set_yticks(range(len(cases)), [case.network.label for case in cases])
    axis.invert_yaxis()
    values = [value for case in cases for value in (case.prediction.error, case.outcome) if value]
    axis.set_xscale("log")
    axis.set_xlim(left=max(100 * min(case.prediction.low for case in cases), 10 * min(values)))
    _percent_axis(axis.xaxis)
    axis.set(xlabel="validation error in %", title="bar: 95 % interval; | foreseen; ● came, ✖ outside")
    _tidy(axis)


def draw_learning(findings: Findings, arms: Sequence[str], path: Path, *, narrow: bool = False) -> None:
    """Draw validation accuracy over the epochs, a panel for each arm: mean of the seeds, darker is larger."""
    from matplotlib.ticker import MaxNLocator

    rows, columns = (len(arms), 1) if narrow else (1, len(arms))
    size = (4.6, 2.9 * len(arms)) if narrow else (3.1 * len(arms) + 0.8, 3.6)
    figure, axes = new_figure(*size, nrows=rows, ncols=columns, sharey=True, sharex=True, squeeze=False)
    for arm, axis in zip(arms, axes.flat, strict=True):
        found = findings.line(arm)
        for place, row in enumerate(found):
            curve = _mean_curve(row)
            axis.plot(
                range(1, len(curve) + 1),
                100 * curve,
                color=COLOURS[arm],
                alpha=0.3 + 0.7 * (place + 1) / len(found),
                label=f"φ = {row.network.phi:g}",
                marker="o" if len(curve) < 3 else None,
            )
        axis.set(title=arm, xlabel="epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend(frameon=False, loc="lower right", fontsize=9)
        _tidy(axis)
    for axis in axes[:, 0]:
        axis.set_ylabel("validation accuracy in %")
    save_figure(figure, path)


def _mean_curve(row: Row) -> Any:
    """Return the mean over the seeds of the better of raw and averaged weights, as far as all seeds went."""
    curves = [
        [max(record["val_top1"], record["ema_val_top1"] or 0.0) for record in outcome.curve]
        for outcome in row.outcomes
    ]
    length = min(map(len, curves))
    return np.mean([curve[:length] for curve in curves], axis=0)
