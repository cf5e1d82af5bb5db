"""A check of a data set, from its name to the page: what `effnet check` does."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from time import perf_counter

import torch

from effnet.data.datasets import DataSet, open_dataset
from effnet.data.reporter import Quiet, WorkReporter
from effnet.device import kept_memory
from effnet.doctor.copies import Copies, copy_findings, find_copies
from effnet.doctor.features import model_features, patch_features
from effnet.doctor.findings import Finding, sort
from effnet.doctor.forecast import forecast
from effnet.doctor.labels import Suspects, judge, label_findings
from effnet.doctor.page import write_check_page
from effnet.doctor.result import CheckResult, write_lists
from effnet.doctor.survey import Survey, survey
from effnet.doctor.traits import (
    class_findings,
    count_classes,
    shape_findings,
    shapes_of,
    unreadable_findings,
)
from effnet.evaluation.classifier import Classifier, load
from effnet.files import check_folder
from effnet.training.folder import outside_data
from effnet.training.forecast import duration

NOT_JUDGED = "--no-labels was given"


def check(
    data: str | Path | DataSet,
    out: str | Path | None = None,
    *,
    model: str | Path | None = None,
    labels: bool = True,
    reporter: WorkReporter | None = None,
) -> CheckResult:
    """Look for what is wrong with a data set; nothing in it is changed.

    Args:
        data: name or folder.
        out: folder for the page and the lists; `runs/NAME-check` when not given. What an earlier check has
            written there is replaced.
        model: a model file whose network looks at the images, to judge their labels; patches of the images
            when not given.
        labels: whether labels are judged.
        reporter: told of the progress.

    Raises:
        UsageError: neither a known name nor a folder, or `out` lies inside the data.
        DataError: the data cannot be opened, or none of its images can be read.
        ModelFileError: `model` is none of ours.
        EffnetError: `out` cannot be written to.

    """
    listener = reporter or Quiet()
    import_needed(labels)
    classifier = load(model) if model is not None else None
    dataset = data if isinstance(data, DataSet) else open_dataset(data, on_download=listener.downloading)
    folder = outside_data(dataset, Path("runs") / f"{dataset.name}-check" if out is None else Path(out))
    check_folder(folder)
    return Check(dataset, folder, classifier, labels=labels, reporter=listener).run()


def import_needed(labels: bool) -> None:
    """Import what the extra `doctor` brings, so that it is missed before any work is done."""
    for name in ("imagehash", "cleanlab") if labels else ("imagehash",):
        import_module(name)


class Check:
    """One check."""

    def __init__(
        self,
        dataset: DataSet,
        folder: Path,
        classifier: Classifier | None,
        *,
        labels: bool,
        reporter: WorkReporter,
    ) -> None:
        self.dataset = dataset
        self.folder = folder
        self.classifier = classifier
        self.labels = labels
        self.reporter = reporter

    def run(self) -> CheckResult:
        """Read, compare, judge, and write."""
        started = perf_counter()
        with kept_memory(torch.device("cpu")):
            self.announce()
            found = survey(self.dataset, self.reporter.working)
            copies = find_copies(found, self.reporter.working)
            suspects = self.judged(found, copies)
        classes = count_classes(self.dataset)
        result = CheckResult(
            data=self.dataset.name,
            source=self.dataset.source,
            num_images=len(found) + len(found.unreadable),
            findings=sort(self.findings(found, copies, suspects)),
            classes=classes,
            shapes=shapes_of(found),
            labels=suspects,
            seconds=perf_counter() - started,
            command=self.command(),
            folder=self.folder,
        )
        write_lists(result)
        write_check_page(result, found)
        return result

    def announce(self) -> None:
        """Say what is checked and how long that will take."""
        samples, num_classes = self.dataset.all_samples(), len(self.dataset.class_names)
        seconds = forecast(samples, num_classes, labels=self.labels, classifier=self.classifier)
        self.reporter.message(
            f"{self.dataset.name}: {len(samples):,} images of {num_classes} classes; "
            f"this takes about {duration(seconds)}, and changes nothing"
        )

    def command(self) -> tuple[str, ...]:
        """Return the command line that does the same."""
        model = [] if self.classifier is None else ["--model", str(self.classifier.path)]
        labels = [] if self.labels else ["--no-labels"]
        return ("effnet", "check", self.dataset.source, "--out", str(self.folder), *model, *labels)

    def judged(self, found: Survey, copies: Copies) -> Suspects | str:
        """Judge the labels, if that is wanted."""
        if not self.labels:
            return NOT_JUDGED
        if self.classifier is None:
            features = patch_features(found)
        else:
            features = model_features(found, self.classifier, self.reporter)
        return judge(features, found.samples.labels, copies.alike, self.reporter.working)

    def findings(self, found: Survey, copies: Copies, suspects: Suspects | str) -> Iterator[Finding]:
        """Yield all findings."""
        yield from unreadable_findings(found)
        yield from copy_findings(found, copies)
        yield from shape_findings(found)
        yield from class_findings(count_classes(self.dataset))
        if not isinstance(suspects, str):
            yield from label_findings(found, suspects)
