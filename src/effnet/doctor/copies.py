"""Copies: the same picture in several files, and what that does to parts and classes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from effnet.doctor.alike import find_alike
from effnet.doctor.findings import Finding
from effnet.doctor.reporter import Progress
from effnet.doctor.survey import Survey

KEPT_FIRST = ("test", "val", "train", "all")  # of copies in two parts, the one to learn from is to go


@dataclass(frozen=True, eq=False)
class Copies:
    """Which images are copies of one another; each has its own number if there are none."""

    same: NDArray[np.int64]
    """Number of the group of images with the same pixels, `(N,)`."""
    alike: NDArray[np.int64]
    """Number of the group of images that look alike, `(N,)`; those with the same pixels are alike."""

    def groups(self) -> Iterator[NDArray[np.int64]]:
        """Yield the rows of each group of at least two images that look alike."""
        order = np.argsort(self.alike, kind="stable")
        cuts = np.flatnonzero(np.diff(self.alike[order])) + 1
        yield from (rows for rows in np.split(order, cuts) if len(rows) > 1)


def find_copies(survey: Survey, on_progress: Progress) -> Copies:
    """Group the images of a survey; pictures with the same pixels are compared with others once."""
    _, firsts, same = np.unique(survey.digests, return_index=True, return_inverse=True)
    alike = find_alike(survey.hashes[firsts], survey.thumbs[firsts], on_progress)
    return Copies(same, alike[same])


def copy_findings(survey: Survey, copies: Copies) -> Iterator[Finding]:
    """Yield a finding for each copy, compared with the one of its group that had better stay."""
    groups = [sorted(rows.tolist(), key=lambda row: precedence(survey, row)) for rows in copies.groups()]
    for kept, *others in sorted(groups, key=lambda rows: rows[0]):
        yield from (compared(survey, copies, kept, row) for row in others)


def precedence(survey: Survey, row: int) -> tuple[int, int]:
    """Return what decides which copy stays: its part, then its place."""
    return KEPT_FIRST.index(survey.part_names[survey.parts[row]]), row


def compared(survey: Survey, copies: Copies, kept: int, row: int) -> Finding:
    """Say what it means that two images are copies."""
    names, labels, parts = survey.samples.names, survey.samples.labels, survey.parts
    is_same = copies.same[kept] == copies.same[row]
    if labels[kept] != labels[row]:
        kind = "conflict"
    elif parts[kept] != parts[row]:
        kind = "leak"
    else:
        kind = "copy" if is_same else "near"
    ours, theirs = (survey.dataset.class_names[labels[each]] for each in (row, kept))
    likeness = "the same picture as" if is_same else "looks like"
    called = f", there called {theirs!r}, here {ours!r}" if kind == "conflict" else ""
    return Finding(
        kind,
        f"{likeness} {names[kept]}{called}",
        names[row],
        survey.part_names[parts[row]],
        ours,
        suggestion=remedy(kind, survey.part_names[parts[row]], names[row]),
        other=names[kept],
    )


def remedy(kind: str, part: str, name: str) -> str:
    """Say what to do about a copy; empty where the advice for all of its kind says it."""
    return f"Delete {name}: the copy in the part {part!r}." if kind == "leak" else ""
