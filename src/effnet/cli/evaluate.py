"""`effnet evaluate`: a model file on a data set."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from effnet.cli.output import print_json
from effnet.cli.parse import parse
from effnet.cli.progress import TerminalReporter
from effnet.cli.results import print_caution, print_confusion, print_evaluation
from effnet.data.datasets import open_dataset
from effnet.errors import UsageError
from effnet.evaluation.classifier import load
from effnet.evaluation.html import write_report
from effnet.evaluation.metrics import Evaluation
from effnet.files import check_folder
from effnet.training.folder import outside_data


@dataclass(frozen=True)
class EvaluateForm:
    """Measure a model file on a data set: top-1, top-5, loss, per class, confusion matrix."""

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """The model file that `effnet train` wrote."""
    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """A data set by name (digits, cifar10, cifar100) or a folder of images."""
    split: Annotated[str | None, tyro.conf.arg(metavar="train|val|test|all")] = None
    """Part to measure on, as it was in training; by default the images that training never saw."""
    device: str = "auto"
    """Where to compute: auto, cpu, cuda, mps."""
    report: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Write report.html, a page that needs nothing else, and its pictures into this folder."""
    json: bool = False
    """Print one JSON object."""


def run(args: Sequence[str]) -> None:
    """Run the command."""
    form = parse(EvaluateForm, "evaluate", args)
    if form.report is not None and form.report.exists() and not form.report.is_dir():
        raise UsageError(f"--report {form.report}: is a file; it takes a folder")
    classifier = load(form.model, device=form.device)
    with TerminalReporter(quiet=form.json) as reporter:
        dataset = open_dataset(form.data, on_download=reporter.downloading)
        if form.report is not None:  # made only now: inside the data, the folder would be a class of it
            check_folder(outside_data(dataset, form.report, flag="--report"))
        evaluation = classifier.evaluate(
            dataset,
            split=form.split,
            on_read=lambda done, total: reporter.reading("images", done, total),
            say=reporter.message,
        )
    show_result(evaluation, form.json)
    if form.report is not None:
        command = shlex.join(["effnet", "evaluate", *args])
        path = write_report(evaluation, form.report, classifier=classifier, data=dataset, command=command)
        reporter.message(f"report: {path}")


def show_result(evaluation: Evaluation, as_json: bool) -> None:
    """Print the result for a program or a person."""
    if as_json:
        print_json(evaluation.to_dict())
        return
    print_evaluation(evaluation)
    print_confusion(evaluation)
    print_caution(evaluation)
