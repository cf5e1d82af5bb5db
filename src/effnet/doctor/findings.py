"""What can be wrong with an image or a class, in plain words, and what to do about it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Kind:
    """A sort of finding."""

    title: str
    why: str
    """Why it matters."""
    advice: str
    """What to do."""
    is_problem: bool = True
    """Whether `--strict` fails for it; what may well be right is no problem."""


# The most urgent first.
KINDS = {
    "unreadable": Kind(
        "Files that cannot be read",
        "Training leaves them out, and stops if there are many.",
        "Fetch the file again, or delete it.",
    ),
    "conflict": Kind(
        "One picture, two classes",
        "One of the two labels is wrong, or the classes overlap. A network cannot learn both.",
        "Look at both, keep the one that is right, delete the other.",
    ),
    "leak": Kind(
        "The same picture in two parts",
        "The network has learned what it is tested on, so that its accuracy comes out too high.",
        "Delete the copy that the network learns from.",
    ),
    "label": Kind(
        "Labels that are probably wrong",
        "Wrong labels in training make the network worse; in the test part they make it look worse.",
        "Look at the picture. If the label is wrong, move the file to the right class.",
    ),
    "copy": Kind(
        "The same picture twice",
        "It counts twice in training; and when a part is drawn for testing, one copy may fall into each.",
        "Keep one, delete the other.",
    ),
    "near": Kind(
        "Pictures that hardly differ",
        "They count almost as copies; and when a part is drawn for testing, one may fall into each.",
        "Keep one, or put them all into the same part.",
    ),
    "blank": Kind(
        "Empty pictures",
        "There is nothing to see, so nothing can be learned from it.",
        "Delete it, or fetch the file again.",
    ),
    "few": Kind(
        "Classes with few images",
        "So few cannot be divided into training, validation and test, and teach a network hardly anything.",
        "Collect more images of the class, join it with another, or leave it out.",
    ),
    "absent": Kind(
        "Classes that a part lacks",
        "How well the network does on the class will not be seen.",
        "Move some images of the class there.",
    ),
    "imbalance": Kind(
        "Classes of very different size",
        "A network that is unsure says the larger class; accuracy hides how it does on the small ones.",
        "Train with --data.balance sampling or weights, and look at the recall of each class.",
        is_problem=False,
    ),
    "small": Kind(
        "Images much smaller than the others",
        "Enlarged to the size of the others they are blurred; thumbnails and icons end up here.",
        "Fetch the image in its full size, or delete it.",
        is_problem=False,
    ),
    "long": Kind(
        "Very long images",
        "The network sees a square from the middle, which is less than a third of the image.",
        "Crop the image to what matters.",
        is_problem=False,
    ),
    "doubt": Kind(
        "Labels to look at, if there is time",
        "They fit worse than all others, and most of them will still be right.",
        "Look at the picture. If the label is wrong, move the file to the right class.",
        is_problem=False,
    ),
}


@dataclass(frozen=True)
class Finding:
    """One thing that someone should look at."""

    kind: str
    what: str
    """What is the matter, in words."""
    path: str = ""
    """Name of the image: for a folder the path below it. Empty where a whole class is meant."""
    part: str = ""
    class_name: str = ""
    suggestion: str = ""
    """What to do about this very one; the advice of its kind if empty."""
    other: str = ""
    """Name of the image that it is compared with."""
    score: float | None = None
    """Of labels: the probability that it is wrong, 0 to 1."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, under the names that the columns of the CSV file have."""
        kind = KINDS[self.kind]
        return {
            "kind": self.kind,
            "path": self.path,
            "part": self.part,
            "class": self.class_name,
            "what": self.what,
            "why": kind.why,
            "suggestion": self.suggestion or kind.advice,
            "other": self.other,
            "score": self.score,
        }


def sort(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort by urgency of the kind; within a kind the order stays."""
    order = {name: place for place, name in enumerate(KINDS)}
    return tuple(sorted(findings, key=lambda finding: order[finding.kind]))


def count(findings: Sequence[Finding]) -> dict[str, int]:
    """Return how many findings there are of each kind, the most urgent first."""
    counts = Counter(finding.kind for finding in findings)
    return {name: counts[name] for name in KINDS if counts[name]}


def problems(findings: Sequence[Finding]) -> dict[str, int]:
    """Return how many there are of each kind that `--strict` fails for."""
    return {name: number for name, number in count(findings).items() if KINDS[name].is_problem}
