"""From flags to typed values, with tyro; its errors become one line."""

import contextlib
import io
import re
from collections.abc import Sequence
from typing import Any, TypeVar

import tyro
from pydantic import ValidationError

from effnet.config import explain
from effnet.errors import UsageError

T = TypeVar("T")

_BORDERS = "│╭╮╰╯─|+"


def parse(form: type[T], command: str, args: Sequence[str], default: T | None = None) -> T:
    """Parse arguments into a dataclass; `--help` prints and exits.

    Raises:
        UsageError: an unknown option, a missing or bad value.

    """
    captured = io.StringIO()
    given: dict[str, Any] = {} if default is None else {"default": default}
    try:
        with contextlib.redirect_stderr(captured):
            parsed: T = tyro.cli(form, prog=f"effnet {command}", args=list(args), **given)
        return parsed
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UsageError(f"{one_line(captured.getvalue())} (see effnet {command} --help)") from None
    except ValidationError as error:
        raise UsageError(explain(error)) from None


def one_line(box: str) -> str:
    """Condense tyro's framed message: its statement, and the options it suggests."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", box)
    sections: list[list[str]] = [[]]
    for line in text.splitlines()[1:]:
        content = line.strip(_BORDERS + " ")
        if content:
            sections[-1].append(content)
        elif sections[-1]:
            sections.append([])
    statement = " ".join(sections[0])
    if statement.startswith("Missing from"):
        statement = "missing " + " and ".join(
            line for line in sections[0] if line.isupper() or line[:2] == "--"
        )
    suggestions = [
        line.split()[0]
        for section in sections[1:]
        if section and section[0].startswith("Perhaps you meant")
        for line in section[1:]
        if line.startswith("--")
    ]
    hint = f"; perhaps you meant {' or '.join(suggestions)}" if suggestions else ""
    return (statement[:1].lower() + statement[1:]).rstrip(".") + hint
