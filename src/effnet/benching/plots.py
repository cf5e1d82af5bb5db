"""The chart of a benchmark: throughput of each contender, the quartiles of its runs as whiskers."""

from collections.abc import Sequence
from pathlib import Path

from effnet.benching.results import Row
from effnet.evaluation.report import BLUE, GREY, ORANGE, new_figure, save_figure

MAX_LABEL = 42
COLOURS = {"effnet": BLUE, "timm": ORANGE}
"""By library; others are grey."""


def draw_speed(rows: Sequence[Row], path: Path, *, narrow: bool = False) -> None:
    """Draw the images a second of rows that had a turn, in their order, one bar each."""
    timed = [row for row in rows if row.latency is not None]
    figure, axis = new_figure(4.6 if narrow else 9.0, 1.3 + 0.36 * len(timed), nrows=1, ncols=1)
    for place, row in enumerate(timed):
        latency = row.latency
        assert latency is not None  # chosen so
        speed, low, high = (row.batch / seconds for seconds in (latency.median, latency.high, latency.low))
        colour = COLOURS.get(row.program.split()[0], GREY)
        axis.barh(place, speed, color=colour, height=0.66)
        axis.plot([low, high], [place, place], color="black", linewidth=1.2)
        axis.annotate(
            f"{speed:,.4g}", (max(speed, high), place), xytext=(4, 0), textcoords="offset points",
            va="center", fontsize=8,
        )  # fmt: skip
    axis.set_yticks(range(len(timed)), [label(row, narrow) for row in timed], fontsize=8, parse_math=False)
    axis.invert_yaxis()
    axis.margins(x=0.16)
    axis.set_xlabel("images per second; black: quartiles of the runs", fontsize=8 if narrow else 10)
    axis.set_xlim(left=0)
    axis.grid(alpha=0.25, axis="x")
    axis.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


def label(row: Row, narrow: bool) -> str:
    """Name a bar, in two lines where there is little room."""
    network = row.network if len(row.network) <= MAX_LABEL else f"…{row.network[1 - MAX_LABEL :]}"
    return f"{network}\n{row.program}" if narrow else f"{network}  {row.program}"
