"""What a check found: as a value, as a table for a spreadsheet, as JSON."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effnet.doctor.findings import Finding, count, problems
from effnet.doctor.labels import Suspects
from effnet.doctor.traits import ClassCount, Shapes
from effnet.files import write_bytes

TABLE_FILE, JSON_FILE, PAGE_FILE = "findings.csv", "check.json", "check.html"
COLUMNS = ("kind", "path", "part", "class", "what", "why", "suggestion", "other", "score")


@dataclass(frozen=True, eq=False)
class CheckResult:
    """Result of a check."""

    data: str
    """Name of the data set."""
    source: str
    """What opens it: its name, or its absolute path."""
    num_images: int
    """Unreadable ones included."""
    findings: tuple[Finding, ...]
    """All of them, the most urgent kinds first."""
    classes: tuple[ClassCount, ...]
    shapes: Shapes
    labels: Suspects | str
    """What was found about labels, or why they were not judged."""
    seconds: float
    command: tuple[str, ...]
    """The command that does the same."""
    folder: Path

    @property
    def num_readable(self) -> int:
        """How many images were looked at."""
        return self.num_images - self.counts.get("unreadable", 0)

    @property
    def counts(self) -> dict[str, int]:
        """How many findings there are of each kind, the most urgent first."""
        return count(self.findings)

    @property
    def problems(self) -> dict[str, int]:
        """The same, of those kinds only that `--strict` fails for."""
        return problems(self.findings)

    @property
    def page(self) -> Path:
        """The page for people."""
        return self.folder / PAGE_FILE

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "data": self.data,
            "source": self.source,
            "num_images": self.num_images,
            "counts": self.counts,
            "problems": sum(self.problems.values()),
            "classes": [{"name": each.name, **each.parts} for each in self.classes],
            "shapes": self.shapes.to_dict(),
            "labels": judgement(self.labels),
            "findings": [finding.to_dict() for finding in self.findings],
            "seconds": round(self.seconds, 2),
        }


def judgement(labels: Suspects | str) -> dict[str, Any]:
    """Return what is known of labels as plain JSON values."""
    if isinstance(labels, str):
        return {"judged": 0, "reason": labels}
    return {
        "judged": labels.num_judged,
        "by": labels.origin,
        "accuracy": labels.accuracy,
        "likely_wrong": labels.num_likely,
        "share_wrong": labels.noise.share,
        "power": labels.power,
    }


def write_lists(result: CheckResult) -> None:
    """Write all findings as a table and as JSON."""
    write_bytes(result.folder / TABLE_FILE, lambda path: _write(path, as_table(result.findings)))
    text = json.dumps(result.to_dict(), indent=1)  # what is no Unicode in names is escaped
    write_bytes(result.folder / JSON_FILE, lambda path: _write(path, text + "\n"))


def as_table(findings: Sequence[Finding]) -> str:
    """Return findings as comma-separated values with a line of column names."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(finding.to_dict() for finding in findings)
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    """Write names of files as the bytes that they are, Unicode or not."""
    path.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
