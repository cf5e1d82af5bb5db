"""Names for the outputs of a classifier: ImageNet's, or those of a file."""

from collections import Counter
from functools import cache
from importlib.resources import files
from pathlib import Path

from effnet.errors import UsageError, some

NUM_IMAGENET = 1000
SYNSETS = "imagenet-synsets"
"""Asks for WordNet's numbers, which are the names of ImageNet's folders."""


@cache
def imagenet() -> tuple[tuple[str, str], ...]:
    """Return synset and name of ImageNet's 1000 classes, in the order of the outputs."""
    text = (files("effnet.importing") / "imagenet_classes.txt").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
    return tuple((synset, name) for synset, name in rows)


def read(source: str | Path) -> tuple[str, ...]:
    """Read names: `imagenet`, `imagenet-synsets`, or a text file with one on each line.

    Raises:
        UsageError: no such file, not text, no names, or one of them twice.

    """
    if str(source) in ("imagenet", SYNSETS):
        return tuple(row[0 if str(source) == SYNSETS else 1] for row in imagenet())
    try:
        lines = Path(source).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file in UTF-8"
        raise UsageError(
            f"--classes {source}: {reason}; it takes a text file with a name on each line, or imagenet, or "
            f"{SYNSETS}"
        ) from None
    return checked(tuple(line.strip() for line in lines if line.strip()), str(source))


def checked(names: tuple[str, ...], origin: str) -> tuple[str, ...]:
    """Return names, if there are any and all are different.

    Raises:
        UsageError: there are none, or one of them twice.

    """
    if not names:
        raise UsageError(f"{origin}: there are no class names in it")
    double = [name for name, count in Counter(names).items() if count > 1]
    if double:
        raise UsageError(f"{origin}: names of several classes: {some(double, limit=3)}")
    return names
