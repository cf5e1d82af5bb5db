"""`effnet evaluate`: a model file on a data set, or several side by side."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from effnet.cli.comparison import print_comparison
from effnet.cli.condition_results import print_ensemble, print_found
from effnet.cli.conditions import Conditions, Found, Session, measure_open, with_resolutions
from effnet.cli.output import print_json
from effnet.cli.parse import parse
from effnet.cli.progress import TerminalReporter
from effnet.cli.results import print_calibration, print_caution, print_confusion, print_evaluation
from effnet.data.datasets import DataSet, open_dataset
from effnet.errors import UsageError
from effnet.evaluation.classifier import load
from effnet.evaluation.comparison.compare import check_models, compare, labels
from effnet.evaluation.comparison.page import write_comparison
from effnet.evaluation.comparison.result import Comparison
from effnet.evaluation.html import write_report
from effnet.evaluation.metrics import Evaluation
from effnet.evaluation.opened import ReadOptions
from effnet.evaluation.robustness.ensemble import Ensemble, ensemble
from effnet.evaluation.robustness.page import ensemble_section
from effnet.evaluation.temperature import Calibration, calibrate
from effnet.files import check_folder
from effnet.modelfile import is_model_file
from effnet.training.folder import outside_data


@dataclass(frozen=True)
class EvaluateForm:
    """Measure a model file on a data set: top-1, top-5, loss, calibration, per class, confusion matrix.

    Several model files are compared on the same images: which is better, where they differ, at what cost.
    """

    paths: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="MODEL [MODEL …] DATA")]
    """Model files that `effnet train` wrote, or cifar10-small, which comes with effnet; and at last a data
    set: a name (digits, cifar10, food101, …), a folder of images, a .csv, .tar or .parquet file, hf:NAME, or
    the URL of shards."""
    split: Annotated[str | None, tyro.conf.arg(metavar="train|val|test|all")] = None
    """Part to measure on, as it was in training; by default the images that training never saw."""
    calibrate: bool = False
    """First fit the temperature on the validation images, so that probabilities mean what they say, and write
    it into the model file; from then on all its probabilities use it."""
    conditions: Annotated[Conditions, tyro.conf.OmitArgPrefixes] = field(default_factory=Conditions)
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
        """How images are read, and how many."""
        conditions = self.form.conditions
        return {
            "max_images": conditions.max_images,
            "seed": conditions.seed,
            "on_read": lambda done, total: self.reporter.reading("images", done, total),
            "on_measured": self.reporter.measuring,
            "say": self.reporter.message,
        }


def run(args: Sequence[str]) -> None:
    """Run the command."""
    form = parse(EvaluateForm, "evaluate", args)
    check(form)
    mode = evaluate if len(form.models) == 1 else compare_models
    with TerminalReporter(quiet=form.json) as reporter:
        mode(Request(form, shlex.join(["effnet", "evaluate", *args]), reporter))


def check(form: EvaluateForm) -> None:
    """Refuse what can be seen to be wrong at once.

    Raises:
        UsageError: there is no data, or no place for the report.

    """
    missing = "MODEL and DATA" if not form.paths else "DATA"
    if len(form.paths) < 2 or (is_model_file(Path(form.data)) and not Path(form.data).is_dir()):
        raise UsageError(f"missing {missing}: effnet evaluate MODEL [MODEL …] DATA, the data at last")
    if form.calibrate and len(form.models) > 1:
        raise UsageError("--calibrate takes one model; calibrate each, then compare them")
    check_conditions(form)
    if form.report is not None and form.report.exists() and not form.report.is_dir():
        raise UsageError(f"--report {form.report}: is a file; it takes a folder")


def check_conditions(form: EvaluateForm) -> None:
    """Refuse conditions that do not fit the number of models, and numbers out of range.

    Raises:
        UsageError: there is one of them.

    """
    conditions, count = form.conditions, len(form.models)
    if conditions.of_one_model and count > 1:
        raise UsageError(
            f"{', '.join(conditions.of_one_model)}: takes one model, not {count}; run it for each"
        )
    if conditions.ensemble and count == 1:
        raise UsageError("--ensemble needs two models or more: effnet evaluate A B DATA --ensemble")
    if conditions.max_images is not None and conditions.max_images < 1:
        raise UsageError(f"--max-images {conditions.max_images}: must be at least 1")
    if not 0 <= conditions.seed < 2**63:
        raise UsageError(f"--seed {conditions.seed}: must be at least 0 and below 2^63")


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
        session = Session(classifier, opened, evaluation, request.reporter, form.report)
        found = measure_open(form.conditions, session)
    if form.conditions.resolutions:
        found = with_resolutions(found, session, split=form.split, **request.options)
    show_result(evaluation, found, calibration, as_json=form.json)
    if form.report is not None:
        path = write_report(
            evaluation, form.report,
            classifier=classifier, data=dataset, command=request.command, sections=found.page,
        )  # fmt: skip
        request.reporter.message(f"report: {path}")


def compare_models(request: Request) -> None:
    """Measure several models on the same images."""
    form = request.form
    classifiers = [load(path, device=form.device) for path in form.models]
    check_models(classifiers, labels(classifiers))
    dataset = request.open_dataset()
    comparison = compare(classifiers, dataset, split=form.split, **request.options)
    together = ensemble(comparison) if form.conditions.ensemble else None
    show_comparison(comparison, together, form.json)
    if form.report is not None:
        sections = () if together is None else (ensemble_section(together),)
        command = request.command
        path = write_comparison(comparison, form.report, data=dataset, command=command, sections=sections)
        request.reporter.message(f"report: {path}")


def show_comparison(comparison: Comparison, together: Ensemble | None, as_json: bool) -> None:
    """Print a comparison for a program or a person, and what the models answer together."""
    if as_json:
        print_json(comparison.to_dict() | ({} if together is None else {"ensemble": together.to_dict()}))
        return
    print_comparison(comparison)
    if together is not None:
        print_ensemble(together)


def show_result(
    evaluation: Evaluation, found: Found, calibration: Calibration | None, *, as_json: bool
) -> None:
    """Print the result for a program or a person."""
    if as_json:
        fitted = {} if calibration is None else {"calibration": calibration.to_dict()}
        print_json(evaluation.to_dict() | fitted | found.to_dict())
        return
    if calibration is not None:
        print_calibration(calibration)
    print_evaluation(evaluation)
    print_confusion(evaluation)
    print_found(found)
    print_caution(evaluation)
