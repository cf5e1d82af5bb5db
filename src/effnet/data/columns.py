"""Which column of a table holds the images, and which the labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from effnet.data.labels import show
from effnet.data.sources import Source
from effnet.errors import DataError, UsageError, some

Kind = Literal["image", "bytes", "classes", "number", "text", "other"]
IMAGE_NAMES = ("image", "img")
LABEL_NAMES = ("label", "labels", "class", "cls", "target", "class_name")


@dataclass(frozen=True)
class Column:
    """A column as far as it concerns us."""

    name: str
    kind: Kind
    """`image`: bytes and perhaps a path; `classes`: places among names; `number`: whole numbers."""
    says: str
    """Its type, for messages."""
    class_names: tuple[str, ...] | None = None


def find_image(columns: Sequence[Column], source: Source) -> Column:
    """Return the column of images.

    Raises:
        UsageError: the one that was asked for is not there, or there are several.
        DataError: there is none.

    """
    if "image" in source.options:
        asked = named(columns, source.options["image"], source)
        if asked.kind not in ("image", "bytes"):
            raise DataError(
                f"{source.place}: the column {show(asked.name)} holds {asked.says}, not images: "
                f"{listed(columns)}"
            )
        return asked
    for kind in ("image", "bytes"):
        found = [column for column in columns if column.kind == kind]
        if found:
            return only(found, IMAGE_NAMES, "image", source)
    raise DataError(f"{source.place}: no column holds images; there are {listed(columns)}")


def find_label(columns: Sequence[Column], source: Source) -> Column:
    """Return the column of labels.

    Raises:
        UsageError: the one that was asked for is not there, or there are several.
        DataError: there is none, or it holds what can be no labels.

    """
    if "label" in source.options:
        asked = named(columns, source.options["label"], source)
        if asked.kind not in ("classes", "number", "text"):
            raise DataError(
                f"{source.place}: the column {show(asked.name)} holds {asked.says}; labels are one class, "
                f"whole number or text for each image: {listed(columns)}"
            )
        return asked
    found = [column for column in columns if column.kind == "classes"]
    if not found:
        fitting = [column for column in columns if column.kind in ("number", "text")]
        found = [column for column in fitting if column.name.casefold() in LABEL_NAMES]
    if found:
        return only(found, LABEL_NAMES, "label", source)
    raise DataError(
        f"{source.place}: no column is known to hold labels; there are {listed(columns)}; "
        f"say which does: {source.at(source.place, label='NAME')}"
    )


def only(found: Sequence[Column], names: Sequence[str], kind: str, source: Source) -> Column:
    """Return the one column, or the one that is called as such columns are."""
    usual = [column for column in found if column.name.casefold() in names] if len(found) > 1 else list(found)
    if len(usual) != 1:
        raise UsageError(
            f"{source.place}: {some(show(column.name) for column in found)} may all be the {kind}; "
            f"say which: {source.at(source.place, **{kind: found[0].name})}"
        )
    return usual[0]


def named(columns: Sequence[Column], name: str, source: Source) -> Column:
    """Return the column with this name."""
    for column in columns:
        if column.name == name:
            return column
    raise UsageError(f"{source.place}: there is no column {show(name)}; there are {listed(columns)}")


def listed(columns: Sequence[Column]) -> str:
    """Name columns and what they hold."""
    return some(f"{show(column.name)} ({column.says})" for column in columns)


def from_feature(name: str, feature: Any) -> Column | None:
    """Return a column by what Hugging Face's metadata say of it; None where they say nothing of use."""
    if not isinstance(feature, Mapping):
        return None
    kind = feature.get("_type")
    if kind == "Image":
        return Column(name, "image", "images")
    if kind == "ClassLabel" and isinstance(feature.get("names"), list):
        return Column(name, "classes", "classes", tuple(map(str, feature["names"])))
    return None
