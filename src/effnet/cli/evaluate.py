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
from effnet.cli.results import print_calibration, print_caution, print_confusion, print_evaluation
from effnet.data.datasets import DataSet, open_dataset
from effnet.errors import UsageError
from effnet.evaluation.classifier import load
from effnet.evaluation.html import write_report
from effnet.evaluation.metrics import Evaluation
from effnet.evaluation.opened import ReadOptions
from effnet.evaluation.temperature import Calibration, calibrate
from effnet.files import check_folder
from effnet.modelfile import is_model_file
from effnet.training.folder import outside_data


@dataclass(frozen=True)
class EvaluateForm:
    """Measure a model file on a data set: top-1, top-5, loss, per class, confusion matrix."""

    paths: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="MODEL DATA")]
    """The model file that `effnet train` wrote, then a data set: by name (digits, cifar10, cifar100) or a
    folder of images."""
    split: Annotated[str | None, tyro.conf.arg(metavar="train|val|test|all")] = None
    """Part to measure on, as it was in training; by default the images that training never saw."""
    calibrate: bool = False
    """First fit the temperature on the validation images, so that probabilities mean what they say, and write
    it into the model file; from then on all its probabilities use it."""
    device: str = "auto"
    """Where to compute: auto, cpu, cuda, mps."""
    report: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Write report.html, a page that needs nothing else, and its pictures into this folder."""
    json: bool = False
    """Print one JSON object."""

    @property
    def models(self) -> tuple[Path, ...]:
        """The model files."""
        return tuple(map(Path, self.paths[:-1]))

    @property
    def data(self) -> str:
        """Name or folder of the data set."""
        return self.paths[-1]


@dataclass(frozen=True)
class Request:
    """What was asked for, and who is told how it goes."""

    form: EvaluateForm
    command: str
    """The command line, for reports."""
    reporter: TerminalReporter

    def open_dataset(self) -> DataSet:
        """Open the data, and make the folder of the report."""
        dataset = open_dataset(self.form.data, on_download=self.reporter.downloading)
        if self.form.report is not None:  # made only now: inside the data, the folder would be a class of it
            check_folder(outside_data(dataset, self.form.report, flag="--report"))
        return dataset

    @property
    def options(self) -> ReadOptions:
        """How images are read."""
        return {
            "on_read": lambda done, total: self.reporter.reading("images", done, total),
            "say": self.reporter.message,
        }


def run(args: Sequence[str]) -> None:
    """Run the command."""
    form = parse(EvaluateForm, "evaluate", args)
    check(form)
    with TerminalReporter(quiet=form.json) as reporter:
        evaluate(Request(form, shlex.join(["effnet", "evaluate", *args]), reporter))


def check(form: EvaluateForm) -> None:
    """Refuse what can be seen to be wrong at once.

    Raises:
        UsageError: there is no data, or no place for the report.

    """
    missing = "MODEL and DATA" if not form.paths else "DATA"
    if len(form.paths) < 2 or is_model_file(Path(form.data)):
        raise UsageError(f"missing {missing}: effnet evaluate MODEL DATA, the data at last")
    if len(form.models) > 1:
        raise UsageError("one model is evaluated at a time")
    if form.report is not None and form.report.exists() and not form.report.is_dir():
        raise UsageError(f"--report {form.report}: is a file; it takes a folder")


def evaluate(request: Request) -> None:
    """Measure one model, after calibration if that is wanted."""
    form, calibration = request.form, None
    classifier = load(form.models[0], device=form.device)
    dataset = request.open_dataset()
    if form.calibrate:
        classifier, calibration = calibrate(classifier, dataset, **request.options)
        request.reporter.message(f"the temperature is in {classifier.path}")
    with classifier.opened(dataset, split=form.split, **request.options) as opened:
        evaluation = classifier.judge(opened)
    show_result(evaluation, calibration, form.json)
    if form.report is not None:
        command = request.command
        path = write_report(evaluation, form.report, classifier=classifier, data=dataset, command=command)
        request.reporter.message(f"report: {path}")


def show_result(evaluation: Evaluation, calibration: Calibration | None, as_json: bool) -> None:
    """Print the result for a program or a person."""
    if as_json:
        found = {} if calibration is None else {"calibration": calibration.to_dict()}
        print_json(evaluation.to_dict() | found)
        return
    if calibration is not None:
        print_calibration(calibration)
    print_evaluation(evaluation)
    print_confusion(evaluation)
    print_caution(evaluation)
