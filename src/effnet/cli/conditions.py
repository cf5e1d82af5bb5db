"""`effnet evaluate` under other conditions: corruptions, resolutions, several views, several models."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Unpack

import tyro

from effnet.cli.progress import TerminalReporter
from effnet.errors import EffnetError
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.metrics import Evaluation
from effnet.evaluation.opened import Opened, OpenOptions
from effnet.evaluation.page import Section
from effnet.evaluation.robustness.corrupted import (
    CONDITIONS,
    Robustness,
    Settings,
    measure_robustness,
)
from effnet.evaluation.robustness.page import (
    resolutions_section,
    robustness_section,
    views_section,
)
from effnet.evaluation.robustness.passes import Pass, open_store
from effnet.evaluation.robustness.resolutions import Resolutions, measure_resolutions
from effnet.evaluation.robustness.tta import Augmented, ViewsName, measure_views
from effnet.spec.cost import cost

ORDER = ("robustness", "resolutions", "views")
"""Anchors of the sections of a report."""


@dataclass(frozen=True)
class Conditions:
    """Other conditions to measure under."""

    robustness: bool = False
    """Measure under the 15 common corruptions of Hendrycks and Dietterich (2019) at 5 severities. Each of
    these 75 passes is kept: the same command goes on where it was stopped."""
    resolutions: bool = False
    """Measure at 0.5 to 1.5 times the resolution that the network was trained for."""
    tta: Annotated[ViewsName | None, tyro.conf.arg(metavar="flip|shifts|flip-shifts")] = None
    """Measure the mean over several views of each image: mirrored, moved, or both."""
    ensemble: bool = False
    """Measure the mean of the probabilities of several models."""
    max_images: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Measure on at most so many images, drawn so that each class has its share."""
    seed: int = 0
    """Of that draw, and of what is random in corruptions."""

    @property
    def of_one_model(self) -> list[str]:
        """Flags given that take one model."""
        given = {"--robustness": self.robustness, "--resolutions": self.resolutions, "--tta": self.tta}
        return [flag for flag, value in given.items() if value]


@dataclass(frozen=True)
class Found:
    """What was measured beside the images as they are, and the sections of a report that show it."""

    robustness: Robustness | None = None
    augmented: Augmented | None = None
    resolutions: Resolutions | None = None
    sections: tuple[Section, ...] = ()
    """In the order in which they were measured."""

    @property
    def page(self) -> list[Section]:
        """Sections in the order of a report."""
        return sorted(self.sections, key=lambda section: ORDER.index(section.anchor))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values of what there is."""
        named = {"robustness": self.robustness, "tta": self.augmented, "resolutions": self.resolutions}
        return {name: each.to_dict() for name, each in named.items() if each is not None}


@dataclass(frozen=True)
class Session:
    """A model on images, what it says of them as they are, and who is told how it goes on."""

    classifier: Classifier
    opened: Opened
    evaluation: Evaluation
    reporter: TerminalReporter
    report: Path | None
    """Folder of the report, if one is wanted."""

    def warn(self, text: str) -> None:
        """Say a warning, and nothing else."""
        if text.startswith("warning"):
            self.reporter.message(text)


def measure_open(wanted: Conditions, session: Session) -> Found:
    """Measure what needs the images as they are read for the model."""
    found = Found()
    if wanted.robustness:
        found = with_robustness(found, wanted, session)
    if wanted.tta is not None:
        found = with_views(found, wanted.tta, session)
    return found


def with_robustness(found: Found, wanted: Conditions, session: Session) -> Found:
    """Measure under corruptions, and say what is kept."""
    classifier, opened, said = session.classifier, session.opened, session.evaluation
    clean = Pass(said.answers.correct, said.loss, said.ece)
    store = open_store(classifier, opened, session.reporter.message)
    settings = Settings(wanted.seed, store)
    if settings.num_kept:
        session.reporter.message(
            f"{settings.num_kept} of {len(CONDITIONS)} passes are there, in {store.folder}"
        )
    with stopping_in_order(settings):
        made = measure_robustness(
            classifier, opened, clean, settings=settings, follow=session.reporter.condition
        )
    if session.report is None:
        return replace(found, robustness=made)
    section = robustness_section(made, opened, session.report)
    return replace(found, robustness=made, sections=(*found.sections, section))


class InterruptedMeasurementError(EffnetError):
    """Ctrl-C ended a measurement, whose passes so far are kept."""

    exit_code = 130


@contextmanager
def stopping_in_order(settings: Settings) -> Iterator[None]:
    """Say how to go on when Ctrl-C ends a measurement.

    Raises:
        InterruptedMeasurementError: it did.

    """
    try:
        yield
    except KeyboardInterrupt:
        kept = f"{settings.num_kept} of {len(CONDITIONS)} passes are kept in {settings.store.folder}"
        raise InterruptedMeasurementError(f"interrupted; {kept}, and the same command goes on") from None


def with_views(found: Found, name: ViewsName, session: Session) -> Found:
    """Measure the mean over several views of each image."""
    classifier, said, header = session.classifier, session.evaluation, session.classifier.header
    follow = session.reporter.condition
    made = measure_views(classifier, session.opened, said, name=name, follow=follow)
    macs = cost(header.spec, header.num_classes, header.preprocess.resolution).macs
    return replace(found, augmented=made, sections=(*found.sections, views_section(made, said, macs)))


def with_resolutions(found: Found, session: Session, **options: Unpack[OpenOptions]) -> Found:
    """Measure at other resolutions, on the same images, read anew."""
    classifier, said = session.classifier, session.evaluation
    own = Pass(said.answers.correct, said.loss, said.ece)
    follow, dataset = session.reporter.condition, session.opened.dataset
    options |= {"say": session.warn}  # what images are skipped, and what the cache holds, was said before
    made = measure_resolutions(classifier, dataset, own, follow=follow, **options)
    if session.report is None:
        return replace(found, resolutions=made)
    section = resolutions_section(made, session.report, stride=classifier.header.spec.total_stride)
    return replace(found, resolutions=made, sections=(*found.sections, section))
