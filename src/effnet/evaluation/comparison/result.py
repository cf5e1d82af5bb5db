"""What a comparison finds, as values."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.evaluation.classifier import Classifier
from effnet.evaluation.metrics import Evaluation, chosen_on_val
from effnet.evaluation.significance import difference_interval, holm, mcnemar
from effnet.spec.cost import Cost

LEVEL = 0.05  # of all claims together


@dataclass(frozen=True, eq=False)
class Contender:
    """One of the models compared."""

    label: str
    """What it is called beside the others."""
    classifier: Classifier
    evaluation: Evaluation
    """On the images that all were measured on; classes in the order of the first model."""
    cost: Cost
    """For one image."""
    milliseconds: float
    """Measured for one image, in a batch."""
    num_held: int
    """Images that were held out from this model."""

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Which images it is right about, `(N,)`."""
        return self.evaluation.answers.correct

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "label": self.label,
            "model": str(self.classifier.path or ""),
            "network": self.classifier.header.spec.name,
            **self.evaluation.summary(),
            "temperature": self.evaluation.temperature,
            "params": self.cost.params,
            "macs": self.cost.macs,
            "milliseconds": self.milliseconds,
            "num_held": self.num_held,
        }


@dataclass(frozen=True)
class Contrast:
    """Two models on the same images."""

    first: str
    second: str
    only_first: int
    """Images that only the first is right about."""
    only_second: int
    num_images: int
    p_value: float
    """Of both being equally good: McNemar's exact test, corrected for all pairs (Holm)."""

    @property
    def difference(self) -> float:
        """Accuracy of the first minus that of the second, -1 to 1."""
        return (self.only_first - self.only_second) / self.num_images

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the difference on images like these, of this pair alone."""
        return difference_interval(self.only_first, self.only_second, self.num_images)

    @property
    def is_significant(self) -> bool:
        """Whether one may be called better."""
        return self.p_value < LEVEL

    @property
    def better(self) -> str | None:
        """The label of the better one, where there is one."""
        if not self.is_significant:
            return None
        return self.first if self.difference > 0 else self.second

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            **vars(self),
            "difference": self.difference,
            "interval": list(self.interval),
            "is_significant": self.is_significant,
        }


@dataclass(frozen=True)
class ClassContrast:
    """A class, and the share of its images that each model is right about."""

    name: str
    support: int
    recalls: tuple[float, ...]
    p_value: float | None
    """Of the first two being equally good at it, corrected for all classes; None for three models or more."""

    @property
    def difference(self) -> float:
        """Recall of the first minus that of the second."""
        return self.recalls[0] - self.recalls[1]

    @property
    def spread(self) -> float:
        """Between the highest recall and the lowest."""
        return max(self.recalls) - min(self.recalls)

    @property
    def is_significant(self) -> bool:
        """Whether one of two may be called better at this class."""
        return self.p_value is not None and self.p_value < LEVEL

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**vars(self), "recalls": list(self.recalls)}


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two or more models on the same images."""

    data: str
    part: str
    """The part that the images are from, or several with a comma, where the models do not agree."""
    contenders: tuple[Contender, ...]
    """In the order given."""
    batch_size: int
    """Images that were computed together when the time was taken."""

    @property
    def num_images(self) -> int:
        """Images that all models were measured on."""
        return self.contenders[0].evaluation.num_images

    @property
    def ranked(self) -> list[Contender]:
        """Contenders, the most accurate first."""
        return sorted(self.contenders, key=lambda each: each.evaluation.num_errors)

    def pairs(self) -> Iterator[tuple[Contender, Contender]]:
        """Yield all pairs, in the order given."""
        for place, first in enumerate(self.contenders):
            for second in self.contenders[place + 1 :]:
                yield first, second

    @cached_property
    def contrasts(self) -> tuple[Contrast, ...]:
        """Each pair."""
        counted = [count(first.correct, second.correct) for first, second in self.pairs()]
        p_values = holm([mcnemar(*counts) for counts in counted])
        return tuple(
            Contrast(first.label, second.label, *counts, self.num_images, p_value)
            for (first, second), counts, p_value in zip(self.pairs(), counted, p_values, strict=True)
        )

    @cached_property
    def classes(self) -> tuple[ClassContrast, ...]:
        """Each class that has images; where the models differ most comes first."""
        found = [
            (results[0].name, results[0].support, tuple(result.recall for result in results))
            for results in zip(*(each.evaluation.classes for each in self.contenders), strict=True)
            if results[0].support
        ]
        p_values = self._class_p_values([name for name, _, _ in found])
        made = [ClassContrast(*row, p) for row, p in zip(found, p_values, strict=True)]
        return tuple(sorted(made, key=lambda each: -each.spread))

    def _class_p_values(self, names: list[str]) -> list[float | None]:
        if len(self.contenders) > 2:
            return [None] * len(names)
        first, second = self.contenders
        places = {each.name: place for place, each in enumerate(first.evaluation.classes)}
        inside = [first.evaluation.answers.labels == places[name] for name in names]
        return [*holm([mcnemar(*count(first.correct[rows], second.correct[rows])) for rows in inside])]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "data": self.data,
            "split": self.part,
            "num_images": self.num_images,
            "batch_size": self.batch_size,
            "models": [each.to_dict() for each in self.contenders],
            "pairs": [each.to_dict() for each in self.contrasts],
            "classes": [each.to_dict() for each in self.classes],
            "notes": list(self.notes),
            "skipped": list(self.contenders[0].evaluation.broken),
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What to beware of: images left out, and images that a model may know."""
        return (*self._left_out(), *(note for each in self.contenders for note in caution(each)))

    def _left_out(self) -> Iterator[str]:
        largest = max(each.num_held for each in self.contenders)
        first = self.contenders[0].evaluation
        shared = self.num_images + len(first.broken) + first.num_left_out
        if first.num_left_out:
            yield f"of {shared:,} images {self.num_images:,} were drawn, of each class its share"
        if largest > shared:
            held = ", ".join(f"{each.num_held:,} from {each.label}" for each in self.contenders)
            yield f"compared are only images that were held out from every model: {shared:,} ({held})"


CAUTIONS = {
    "train": "learned from these images",
    "val": "these images also chose {its}",
    "all": "may have learned from some of these images",
}


def caution(contender: Contender) -> Iterator[str]:
    """Say why a model may do better on these images than on new ones, if it may."""
    result = contender.evaluation
    words = CAUTIONS.get(result.split)
    if words is not None:
        fitted = " and its temperature" if result.split == "val" and result.temperature != 1.0 else ""
        lost = "" if result.lost is None else f" ({result.lost})"
        its = chosen_on_val(contender.classifier.header).replace("the ", "its ")
        yield f"{contender.label}: {words.format(its=its)}{fitted}{lost}"


def count(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[int, int]:
    """Count the images that only the first is right about, and those that only the second is."""
    return int((first & ~second).sum()), int((second & ~first).sum())
