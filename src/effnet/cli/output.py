"""How results are printed: tables for people, one JSON object for programs."""

import json
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

from effnet.cli.visible import visible, visible_json

PIPE_WIDTH = 500


class SafeConsole(Console):
    """A console on which no text steers the terminal, whatever files and classes are called."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the pieces that rich writes, its own control codes as they are."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))


def console(*, stderr: bool = False) -> SafeConsole:
    """Return the console on standard output, or error; into a pipe or file nothing is cut off."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    return SafeConsole(stderr=stderr, highlight=False, soft_wrap=True, width=width)


def print_json(data: Any) -> None:
    """Print one JSON value and nothing else; what the output cannot encode is escaped, not replaced."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(data, indent=2)
    sys.stdout.write(visible_json(text) + "\n")


def table(title: str, columns: Iterable[str], *, left: int = 1) -> Table:
    """Make a table whose first `left` columns hold text and the others numbers."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index < left else "right", no_wrap=True)
    return made


def bounds(interval: tuple[float, float]) -> str:
    """Write an interval of a share in percent: 66.2–69.6."""
    return f"{100 * interval[0]:.1f}–{100 * interval[1]:.1f}"


def big(number: float) -> str:
    """Write a count with three significant digits and a unit: 5.29 M, 386 M, 1.83 G."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 0.9995 * size:
            value = number / size
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"
    return f"{number:g}"
