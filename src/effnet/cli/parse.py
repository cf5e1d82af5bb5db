"""From flags to typed values, with tyro; its errors become one line."""

import contextlib
import io
import re
from collections.abc import Sequence
from typing import Any, TypeVar

import tyro
from pydantic import ValidationError

from effnet.errors import UsageError

T = TypeVar("T")

_FRAME = "│╭╮╰╯─ "

# How tyro words a value that a configuration group rejected.
_VALIDATION = re.compile(
    r"Error parsing (?:config\.(?P<group>\w+)|settings): 1 validation error for \w+ (?P<key>\w+) "
    r"(?P<reason>.*?) \[type=\w+, input_value=(?P<value>.*?), input_type="
)

# How tyro lists the values that a flag takes: as a set, in another order each time.
_CHOICES = re.compile(
    r"(?P<value>'[^']*') for argument (?P<flag>'--[\w.-]+')\. Expected one of \((?P<known>.*?)\)\.?"
)


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
        from effnet.config import explain  # where there is no such error, 16 ms less

        raise UsageError(explain(error)) from None


def is_given(flag: str, args: Sequence[str]) -> bool:
    """Tell whether a flag is among the arguments."""
    return any(arg.partition("=")[0] == flag for arg in args)


def one_line(box: str) -> str:
    """Condense tyro's framed message: its statement, and the options it suggests."""
    statement, *others = _sections(box)
    text = _CHOICES.sub(_known, " ".join(statement))
    if text.startswith("Missing from"):
        names = [line for line in statement if line.isupper() or line.startswith("--")]
        return "missing " + " and ".join(names)
    invalid = _VALIDATION.search(text)
    if invalid:
        key = ".".join(part for part in (invalid["group"], invalid["key"]) if part is not None)
        return f"{key} = {invalid['value']}: {_lower(invalid['reason'])}"
    suggested = [line.split()[0] for lines in others for line in lines[1:] if line.startswith("--")]
    is_typo = any(lines[0].startswith("Perhaps you meant") for lines in others)
    return _lower(text).rstrip(".") + (f"; perhaps you meant {' or '.join(suggested)}" if is_typo else "")


def _sections(box: str) -> list[list[str]]:
    """Split a framed message at its rules, without frame and title."""
    sections: list[list[str]] = [[]]
    for line in re.sub(r"\x1b\[[0-9;]*m", "", box).strip("\n").splitlines()[1:]:
        content = line.strip(_FRAME).strip()
        if set(content) <= set("─-"):
            sections.append([])
        else:
            sections[-1].append(content)
    return [section for section in sections if section] or [["wrong use"]]


def _known(found: re.Match[str]) -> str:
    """Word a choice that does not exist like other unknown names: what is allowed, in alphabetical order."""
    known = sorted(set(re.findall(r"'([^']*)'", found["known"])) - {"None"})
    return f"{found['value']} for {found['flag'].strip(chr(39))}; known: {', '.join(known)}"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
