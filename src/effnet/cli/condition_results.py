"""What a network does under other conditions, for a person: the heat map, a table of sides, sentences."""

from rich.markup import escape
from rich.text import Text

from effnet.cli.conditions import Found
from effnet.cli.output import big, console, table
from effnet.evaluation.comparison.words import points
from effnet.evaluation.corruptions.catalogue import CORRUPTIONS
from effnet.evaluation.robustness.corrupted import SEVERITIES, Robustness
from effnet.evaluation.robustness.ensemble import Ensemble
from effnet.evaluation.robustness.page import heat_rows
from effnet.evaluation.robustness.resolutions import Resolutions
from effnet.evaluation.robustness.words import (
    ensemble_words,
    resolutions_words,
    robustness_words,
    views_words,
)


def print_found(found: Found) -> None:
    """Print what was measured, for a person."""
    if found.robustness is not None:
        print_robustness(found.robustness)
    if found.resolutions is not None:
        print_resolutions(found.resolutions)
    if found.augmented is not None:
        console().print(f"\n{sentence(views_words(found.augmented))}", markup=False)


def sentence(words: str) -> str:
    """Begin with a capital letter."""
    return f"{words[0].upper()}{words[1:]}"


def print_robustness(robustness: Robustness) -> None:
    """Print the heat map: the stronger a colour, the larger the share of the accuracy that is lost."""
    columns = ["severity", *map(str, SEVERITIES), "mean", "lost"]
    made, clean = table("accuracy under corruption, in %", columns), robustness.clean.top1
    for row in heat_rows(robustness):
        cells = [
            Text(f" {100 * top1:.1f} ", style=f"black on rgb({red},{green},{blue})")
            for top1, (red, green, blue) in row.cells
        ]
        made.add_row(escape(row.title), *cells, points(clean - row.top1))
    out = console()
    out.print("", made)
    out.print(f"\n[bold]{sentence(robustness_words(robustness))}[/]")
    starred = "; ".join(f"{each.title}: {each.caveat}" for each in CORRUPTIONS.values() if each.caveat)
    out.print(f"* {starred}", markup=False)
    out.print("Before you set these beside published numbers:")
    for caveat in robustness.caveats:
        out.print(f"- {caveat}", markup=False)


def print_resolutions(resolutions: Resolutions) -> None:
    """Print accuracy by the side of the images."""
    made = table("accuracy by resolution", ["pixels", "cells", "right", "95% interval", "errors", "MACs"])
    for point in resolutions.points:
        (low, high), own = point.measured.interval, " (trained)" if point.side == resolutions.side else ""
        made.add_row(
            f"{point.side}×{point.side}{own}",
            f"{point.cells:g}",
            f"{point.measured.top1:.2%}",
            f"{100 * low:.1f}–{100 * high:.1f}",
            f"{point.measured.num_errors:,}",
            big(point.macs),
        )
    out = console()
    out.print("", made)
    left_out = ", ".join(map(str, resolutions.left_out))
    note = f"; left out, below the network's total stride: {left_out} pixels" if left_out else ""
    out.print(f"{sentence(resolutions_words(resolutions))}{note}", markup=False)
    if not all(point.cells.is_integer() for point in resolutions.points):
        out.print(
            "Without a whole number of cells the last ones hang over the border; that may cost accuracy."
        )


def print_ensemble(together: Ensemble) -> None:
    """Print what models answer together."""
    console().print(f"\n{sentence(ensemble_words(together))}", markup=False)
