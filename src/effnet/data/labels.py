"""From labels as people write them to class names and places among them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from effnet.errors import DataError, some

MAX_NAME = 200  # characters; a longer "class" is a text
LARGEST_SHARE_OF_CLASSES = 0.5  # of the images; more classes than that, and the column holds no classes

Value = str | int | None


@dataclass(frozen=True)
class Labelled:
    """Classes, and the class of each image by part."""

    class_names: tuple[str, ...]
    labels: Mapping[str, NDArray[np.int64]]


def classify(
    values: Mapping[str, Sequence[Value]], where: str, names: Sequence[str] | None = None
) -> Labelled:
    """Find the classes. With `names`, values are places among them; a class without images is one too.

    Args:
        values: of each image, by part; all whole numbers or all text; None, -1 and empty text are missing.
        where: what the messages call the data.
        names: of the classes, where the data brings them.

    Raises:
        DataError: labels are missing or of another type, name no class, or are too many to be classes.

    """
    for part, of_part in values.items():
        check_values(of_part, part, where)
    if names is not None:
        return by_names(values, where, tuple(names))
    first = next(iter(values.values()))  # training images decide
    known = sorted(set(first), key=sort_key)
    check_classes(tuple(map(str, known)), len(first), where)
    place = {value: index for index, value in enumerate(known)}
    for part, of_part in values.items():
        strange = sorted(set(of_part) - place.keys(), key=sort_key)
        if strange:
            raise DataError(
                f"{where}: {part} has classes that the training images lack: "
                f"{some(show(value) for value in strange)}"
            )
    labels = {part: np.array([place[v] for v in of_part], np.int64) for part, of_part in values.items()}
    return Labelled(tuple(map(str, known)), labels)


def by_names(values: Mapping[str, Sequence[Value]], where: str, names: tuple[str, ...]) -> Labelled:
    """Take values for places among names."""
    check_classes(names, None, where)
    if len(set(names)) < len(names):
        raise DataError(f"{where}: two classes have the same name")
    labels = {}
    for part, of_part in values.items():
        numbers = [value for value in of_part if isinstance(value, int)]
        if len(numbers) < len(of_part):
            raise DataError(f"{where}: the labels of {part} must be places among the names of the classes")
        highest = max(numbers)
        if highest >= len(names):
            raise DataError(f"{where}: {part} has a label {highest}, but there are {len(names)} classes")
        labels[part] = np.array(of_part, np.int64)
    return Labelled(names, labels)


def check_values(values: Sequence[Value], part: str, where: str) -> None:
    """Raise DataError when a label of a part is missing, or of another type than the first."""
    called = "the data" if part == "all" else part
    if not values:
        raise DataError(f"{where}: {called} has no images")
    kinds = {type(value) for value in values if value is not None}
    if not kinds <= {str} and not kinds <= {int}:
        raise DataError(
            f"{where}: labels must be whole numbers or text, not {some(k.__name__ for k in kinds)}"
        )
    missing = sum(is_missing(value) for value in values)
    if missing:
        remedy = "remove these images" if missing < len(values) else f"leave it out: {part}=none"
        raise DataError(f"{where}: {missing:,} of {len(values):,} images of {called} have no label; {remedy}")


def is_missing(value: Value) -> bool:
    """Tell whether there is no label: nothing, blank text, or the -1 that stands for unknown."""
    return value is None or (value < 0 if isinstance(value, int) else not value.strip())


def check_classes(names: tuple[str, ...], num_images: int | None, where: str) -> None:
    """Raise DataError when these are no names of classes."""
    if len(names) < 2:
        raise DataError(f"{where}: there is a single class, {some(map(show, names))}; a classifier needs two")
    if num_images is not None and len(names) > max(2, LARGEST_SHARE_OF_CLASSES * num_images):
        raise DataError(
            f"{where}: {len(names):,} different labels for {num_images:,} images: these are no classes "
            f"({some(map(show, names), limit=3)}); say which column holds them with label=NAME"
        )
    for name in names:
        if len(name) > MAX_NAME or not name.isprintable() or not name.strip():
            raise DataError(
                f"{where}: {show(name)} is no name of a class: it must be text of 1 to {MAX_NAME} characters "
                f"that can be printed, on one line"
            )


def show(value: object) -> str:
    """Write a label for a message: what cannot be printed is escaped, what is long is cut."""
    text = str(value)
    return repr(text if len(text) <= 40 else f"{text[:40]}…")


def sort_key(value: Value) -> tuple[bool, int, str]:
    """Sort numbers as numbers, also when they are text: 2 before 10."""
    text = str(value)
    number = text.isascii() and text.isdigit() and len(text) < 19
    return not number, int(text) if number else 0, text
