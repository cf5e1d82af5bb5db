"""The result of a contest: a table and a picture of who learned how much."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from effnet.cli.output import big, console, table

Row = Mapping[str, Any]
COLUMNS = (
    "contender",
    "test",
    "±",
    "validation",
    "seeds",
    "images",
    "epochs",
    "images/s",
    "of steps",
    "in all",
    "parameters",
    "MACs",
)


def by_contender(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Group the rows, the most accurate contender first."""
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row["contender"], []).append(row)
    return dict(sorted(grouped.items(), key=lambda item: -mean(map(accuracy, item[1]))))


def accuracy(row: Row) -> float:
    """Return the accuracy on the test part, on the validation part where that was not read."""
    part = "val" if row["test_top1"] is None else "test"
    return float(row[f"{part}_top1"])


def duration(minutes: float) -> str:
    """Write a number of minutes."""
    return f"{minutes:g} minute{'' if minutes == 1 else 's'}"


def spread(values: Sequence[float]) -> str:
    """Write the standard deviation over seeds, of two at least, in points."""
    return f"{100 * stdev(values):.2f}" if len(values) > 1 else "–"


def cells(name: str, rows: Sequence[Row]) -> list[str]:
    """Return the line of a contender; what differs between seeds as a mean."""

    def middle(key: str) -> float:
        return float(mean(row[key] for row in rows))

    is_tested = all(row["test_top1"] is not None for row in rows)
    return [
        name,
        f"{middle('test_top1'):.2%}" if is_tested else "–",
        spread([accuracy(row) for row in rows]),
        f"{middle('val_top1'):.2%}",
        str(len(rows)),
        f"{middle('images'):,.0f}",
        f"{middle('epochs'):.1f}",
        f"{middle('images_per_second'):,.0f}",
        f"{middle('step_seconds'):.0f} s",
        f"{middle('seconds'):.0f} s",
        big(rows[0]["params"]),
        big(rows[0]["macs"]),
    ]


def show(rows: Sequence[Row], title: str) -> None:
    """Print the table."""
    shown = table(title, COLUMNS)
    for name, own in by_contender(rows).items():
        shown.add_row(*cells(name, own))
    console().print(shown)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw the accuracy of each seed as a dot and the mean as a line, the best contender on top."""
    from effnet.evaluation.report import BLUE, GREY, new_figure, save_figure

    grouped = by_contender(rows)
    figure, axis = new_figure(7.0, 1.2 + 0.4 * len(grouped))
    for place, own in enumerate(grouped.values()):
        values = [100 * accuracy(row) for row in own]
        colour = BLUE if own[0]["contender"].startswith("ours") else GREY
        axis.plot(values, [place] * len(values), "o", color=colour, alpha=0.7)
        axis.vlines(mean(values), place - 0.3, place + 0.3, color=colour, linewidth=2)
        axis.annotate(f"{mean(values):.1f}", (max(values), place), xytext=(8, -4), textcoords="offset points")
    axis.set_yticks(range(len(grouped)), list(grouped))
    axis.invert_yaxis()
    part = "validation" if rows[0]["test_top1"] is None else "test"
    axis.set(xlabel=f"{part} images right, %", title=f"CIFAR-10 in {duration(rows[0]['minutes'])}")
    axis.margins(x=0.1)
    axis.grid(axis="x", alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)
