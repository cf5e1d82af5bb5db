"""The page of a check: the pictures concerned, in plain words, with what to do about each."""

import shlex
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

import torch

from effnet.data.datasets import Samples
from effnet.device import environment
from effnet.doctor.findings import KINDS, Finding, Kind
from effnet.doctor.result import PAGE_FILE, TABLE_FILE, CheckResult
from effnet.doctor.survey import Survey
from effnet.doctor.words import trust
from effnet.evaluation.page import PIXELATED_SIDE, machine, write_page
from effnet.training.forecast import duration

MAX_SHOWN = 24  # pictures of a kind
MAX_LABELS = 40
MAX_LISTED = 50  # lines of a kind without pictures
SIDE = 240  # pixels; smaller images are embedded as they are
QUALITY = 85
MODES = {
    "1": "black and white",
    "L": "grey",
    "P": "palette",
    "RGB": "colour",
    "RGBA": "colour, transparent",
    "LA": "grey, transparent",
    "CMYK": "colour for print",
    "I;16": "grey, 16 bits",
    "I": "grey, 32 bits",
    "F": "grey, numbers with a point",
}
WITHOUT_PICTURE = ("unreadable", "few", "absent", "imbalance")


@dataclass(frozen=True)
class Thumbnail:
    """A small picture, to be embedded."""

    uri: str
    width: int
    height: int

    @property
    def is_tiny(self) -> bool:
        """Whether single pixels should be seen."""
        return max(self.width, self.height) <= PIXELATED_SIDE


@dataclass(frozen=True)
class Card:
    """A finding with its pictures: of the image, and of the one that it is compared with."""

    finding: Finding
    pictures: tuple[Thumbnail, ...]
    num_more: int
    """Further copies of the same picture."""


@dataclass(frozen=True)
class Group:
    """The findings of a kind, as far as they are shown."""

    name: str
    kind: Kind
    total: int
    cards: tuple[Card, ...] = ()
    lines: tuple[Finding, ...] = ()

    @property
    def num_hidden(self) -> int:
        """How many are only in the table."""
        return self.total - len(self.lines) - sum(1 + card.num_more for card in self.cards)


def write_check_page(result: CheckResult, found: Survey) -> None:
    """Write the page; it needs no other file and no network.

    Raises:
        DataError: an image is gone since it was read.
        EffnetError: the folder cannot be written to.

    """
    content = {
        "result": result,
        "groups": [group(name, result.findings, found.samples) for name in result.counts],
        "num_problems": sum(result.problems.values()),
        "parts": found.part_names,
        "largest": max(each.total for each in result.classes),
        "modes": [(mode, MODES.get(mode, ""), number) for mode, number in result.shapes.modes],
        "trust": trust(result.labels, len(found)),
        "table_file": TABLE_FILE,
        "facts": facts(result),
    }
    write_page(result.page, PAGE_FILE, content, package="effnet.doctor")


def group(name: str, findings: Sequence[Finding], samples: Samples) -> Group:
    """Choose what is shown of a kind, and read the pictures."""
    ours = [finding for finding in findings if finding.kind == name]
    if name in WITHOUT_PICTURE:
        return Group(name, KINDS[name], len(ours), lines=tuple(ours[:MAX_LISTED]))
    most = MAX_LABELS if name in ("label", "doubt") else MAX_SHOWN
    return Group(name, KINDS[name], len(ours), tuple(card(each, samples) for each in by_other(ours)[:most]))


def card(copies: Sequence[Finding], samples: Samples) -> Card:
    """Return a card of the first of several copies."""
    first = copies[0]
    return Card(first, tuple(thumbnails(samples, (first.other, first.path))), len(copies) - 1)


def by_other(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Put copies of the same picture together; of other kinds each finding is alone."""
    together: dict[str, list[Finding]] = {}
    for finding in findings:
        together.setdefault(finding.other or finding.path, []).append(finding)
    return list(together.values())


def thumbnails(samples: Samples, names: Sequence[str]) -> Iterator[Thumbnail]:
    """Yield small pictures of images; an empty name is none."""
    for name in filter(None, names):
        image = samples.read(name).copy()
        image.thumbnail((SIDE, SIDE))
        is_tiny = max(image.size) <= PIXELATED_SIDE
        file = BytesIO()
        image.save(file, "PNG") if is_tiny else image.convert("RGB").save(file, "JPEG", quality=QUALITY)
        kind = "png" if is_tiny else "jpeg"
        yield Thumbnail(f"data:image/{kind};base64,{b64encode(file.getvalue()).decode()}", *image.size)


def facts(result: CheckResult) -> list[tuple[str, str]]:
    """Say how the findings came about: term and value."""
    labels, now = result.labels, datetime.now().astimezone()
    return [
        ("Checked", f"{now:%Y-%m-%d %H:%M %Z}, in {duration(result.seconds)}"),
        ("Command", shlex.join(result.command)),
        ("On", machine(environment(torch.device("cpu")))),
        ("Data", f"{result.source}; nothing in it was changed"),
        (
            "Copies",
            "the same pixels, or alike by ImageHash's perceptual hash and by correlation of 16×16 pixels",
        ),
        ("Labels", labels if isinstance(labels, str) else f"judged by {labels.origin}; ranked by cleanlab"),
    ]
