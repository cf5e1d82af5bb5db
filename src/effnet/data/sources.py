"""What DATA says: a place, and behind it, after commas, which columns and splits are meant.

`photos.csv,label=species` and `hf:ethz/food101,test=validation` are one text each, so that every command and
the Python API take them in the same way, and what a training keeps of it opens the same data again.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from effnet.errors import DataError, UsageError, some, unknown_name

PARTS = ("train", "val", "test")
OPTIONS = ("image", "label", "split", "header", *PARTS, "revision")
SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
NONE = "none"  # a part that is not used


@dataclass(frozen=True)
class Source:
    """A place and what was asked for there."""

    place: str
    """A path, a pattern of paths, or a name."""
    options: Mapping[str, str] = field(default_factory=dict)

    def allow(self, kind: str, allowed: Sequence[str]) -> None:
        """Raise UsageError when an option means nothing for this kind of data."""
        for name in self.options:
            if name not in allowed:
                raise UsageError(
                    f"{self.place}: {kind} has no option {name!r}; there are {', '.join(allowed) or 'none'}"
                )

    def chosen(self) -> dict[str, str]:
        """Return which splits were asked for, by part."""
        return {part: self.options[part] for part in PARTS if part in self.options}

    def at(self, place: str, **options: str) -> str:
        """Return the text that opens the same data from anywhere."""
        given = {**self.options, **options}
        return ",".join([place, *(f"{name}={value}" for name, value in given.items())])


def parse_source(text: str) -> Source:
    """Take a text apart; a file or folder that is called so in full has no options.

    Raises:
        UsageError: an unknown option, one given twice, or without a value.

    """
    if "," not in text or os.path.exists(text):  # a Path raises where a text is too long for one
        return Source(text)
    place, *parts = text.split(",")
    options: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not options and not equals:  # a comma in the path
            place = f"{place},{part}"
            continue
        if name not in OPTIONS:
            raise unknown_name("option", name, OPTIONS)
        if name in options or not value:
            raise UsageError(f"{text}: option {name!r} {'is given twice' if value else 'has no value'}")
        options[name] = value
    return Source(place, options)


def part_of(split: str) -> str | None:
    """Return the part that a split of this name is, or None."""
    return next((part for part, names in SPLIT_NAMES.items() if split.casefold() in names), None)


def map_splits(found: Iterable[str], source: Source) -> dict[str, tuple[str, ...]]:
    """Return the splits that make up each part; `all` where there is a single one.

    Splits are known by their names, unless `train=`, `val=` or `test=` say which to take: several joined by
    `+`, or `none`. A split that is asked for by name is not used a second time.

    Raises:
        UsageError: a split that was asked for is not there, or is asked for twice.
        DataError: nothing to train on.

    """
    splits = tuple(found)
    chosen = {
        part: () if value == NONE else tuple(value.split("+")) for part, value in source.chosen().items()
    }
    asked = [split for names in chosen.values() for split in names]
    for split in asked:
        if split not in splits:
            raise unknown_name(f"split of {source.place}:", split, splits)
        if asked.count(split) > 1:
            raise UsageError(f"{source.place}: the split {split!r} is asked for twice")
    parts = {part: list(names) for part, names in chosen.items()}
    for split in splits:
        part = part_of(split)
        if part is not None and part not in chosen and split not in asked:
            parts.setdefault(part, []).append(split)
    return checked({part: tuple(names) for part, names in parts.items() if names}, splits, source)


def checked(
    parts: Mapping[str, tuple[str, ...]], splits: tuple[str, ...], source: Source
) -> dict[str, tuple[str, ...]]:
    """Return the parts in their order; a single one is `all`."""
    if len(splits) == 1 and not source.chosen():
        return {"all": splits}
    if "train" not in parts:
        raise DataError(
            f"{source.place} has the splits {some(splits)}, and none is called train; say which is which: "
            f"{source.at(source.place, train='NAME', test='NAME')}"
        )
    if len(parts) == 1:
        return {"all": parts["train"]}
    return {part: parts[part] for part in PARTS if part in parts}
