"""Errors that speak to the person at the keyboard: what is wrong, what is allowed, what to do."""

from collections.abc import Callable, Iterable, Mapping
from difflib import SequenceMatcher
from typing import Any


class EffnetError(Exception):
    """Base of every error that effnet raises on purpose. Its message is one line, meant for the user."""

    exit_code = 1
    is_common = False
    """Whether all processes of a training fail with it at once: then the first one speaks for all."""
    ending: Callable[[int], None] | None = None
    """What ends the process with its exit code when the message is out; None where it ends by itself."""


class UsageError(EffnetError):
    """The request itself is wrong: an unknown name, a value out of range, contradicting options."""

    exit_code = 2
    is_common = True


class DataError(EffnetError):
    """A data set or an image cannot be used as it is."""


class NotAnImageError(DataError):
    """What should be an image is none, or of a format that is not taken."""


class TooManyPixelsError(DataError):
    """An image is too large to be decoded, by what its header says."""


class ModelFileError(EffnetError):
    """A model file is missing, damaged, or not one of ours."""


class DivergedError(EffnetError):
    """The loss of a training is no longer a finite number."""


class MissingExtraError(EffnetError):
    """A command needs an optional dependency that is not installed."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Build the error for a name that is not in a table: the known names, the most similar first."""

    def similarity(candidate: str) -> tuple[bool, float]:
        given, other = name.lower(), candidate.lower()
        return other in given, SequenceMatcher(None, given, other).ratio()

    ranked = sorted(known, key=similarity, reverse=True)
    return UsageError(f"unknown {kind} {name!r}; known: {some(ranked, limit=40)}")


def key_of(problem: Mapping[str, Any]) -> str:
    """Return the dotted key of a problem as pydantic lists it."""
    return ".".join(map(str, problem["loc"])) or "value"


def bad_value(problem: Mapping[str, Any]) -> str:
    """Say in one line which key has which value, and what is wrong with it."""
    message = f"{problem['msg'][0].lower()}{problem['msg'][1:]}".removeprefix("value error, ")
    if problem["type"] == "value_error" and not problem["loc"]:
        return message  # a rule on several values, which it names
    return f"{key_of(problem)} = {problem['input']!r}: {message}"


def some(names: Iterable[str], limit: int = 10) -> str:
    """List names for a message of one line; of many only the first ones, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more
