"""What all pages share: one self-contained HTML file, with pictures inside, from a template."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypedDict

import jinja2
from PIL import Image

from effnet.files import write_text

HERE = "effnet.evaluation"
PIXELATED_SIDE = 100  # up to this side pixels are shown as squares, not smeared
JPEG_QUALITY = 88


@dataclass(frozen=True)
class Picture:
    """A picture to be embedded."""

    content: bytes
    kind: str
    """As in its media type: png or jpeg."""
    width: int
    height: int

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return f"data:image/{self.kind};base64,{b64encode(self.content).decode()}"

    @property
    def is_tiny(self) -> bool:
        """Whether single pixels should be seen."""
        return max(self.width, self.height) <= PIXELATED_SIDE


@dataclass(frozen=True)
class Section:
    """A part of a page that is not always there."""

    anchor: str
    """Name of the section in links."""
    title: str
    """What the list of sections calls it."""
    template: str
    """A file of this room's templates, which finds the values as `section.values`."""
    values: Mapping[str, Any]


class Extras(TypedDict, total=False):
    """What a report may have beside its numbers, as keyword arguments."""

    command: str
    """The command line to show."""
    sections: Sequence[Section]
    """What else was measured."""


def picture(path: Path) -> Picture:
    """Take a PNG file."""
    with Image.open(path) as image:
        return Picture(path.read_bytes(), "png", image.width, image.height)


def embedded(image: Image.Image) -> Picture:
    """Take a picture that needs no file of its own, as JPEG: a tenth of a photograph's PNG."""
    buffer = BytesIO()
    image.save(buffer, format="jpeg", quality=JPEG_QUALITY, subsampling=0)
    return Picture(buffer.getvalue(), "jpeg", image.width, image.height)


def write_page(path: Path, template: str, content: Mapping[str, Any], *, package: str = HERE) -> None:
    """Fill a template and write the page, whole or not at all.

    Args:
        path: the HTML file.
        template: name of a file in `templates` of the package; it may extend `base.html` of this room.
        content: values by name; one that the template uses and is not there is an error.
        package: where the template is.

    """
    page = _templates(package).get_template(template).render(content)
    write_text(path, page.encode(errors="replace").decode())  # names of files need not be Unicode


def _templates(package: str) -> jinja2.Environment:
    packages = dict.fromkeys((package, HERE))
    templates = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name) for name in packages]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["percent"] = lambda share, digits=1: f"{share:.{digits}%}"
    templates.filters["bounds"] = lambda pair: f"{100 * pair[0]:.1f}–{100 * pair[1]:.1f}"
    return templates


def machine(place: Mapping[str, Any]) -> str:
    """Say in one line what `device.environment` found."""
    count = place["threads"]
    device = place["accelerator"] or f"{place['device']} with {count} thread{'' if count == 1 else 's'}"
    versions = f"effnet {place['effnet']}, torch {place['torch']}, Python {place['python']}"
    return f"{device}, {place['platform']}; {versions}"


def flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested values as (dotted key, text), as the flags of `effnet train` have them."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows += flatten(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", "–" if value is None else str(value)))
    return rows
