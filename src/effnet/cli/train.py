"""`effnet train`: recipe, flags over it, progress, summary."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import sleep
from typing import Annotated

import tyro

from effnet.cli.group_flags import GroupFlags, of_one_process
from effnet.cli.limits import LimitFlags
from effnet.cli.origin_flags import OriginFlags, names_given, value_of
from effnet.cli.output import console, print_json, table
from effnet.cli.parse import is_given, parse
from effnet.cli.progress import TerminalReporter
from effnet.cli.results import interval, print_caution, print_evaluation
from effnet.cli.settings import with_recipe
from effnet.config import TrainConfig
from effnet.errors import EffnetError, UsageError
from effnet.sizing.budget.sized_training import Training, refuse_phi
from effnet.sizing.budget.sized_training import run as run_training
from effnet.training import state as states
from effnet.training.folder import locked, run_folder
from effnet.training.folds import CrossValidation
from effnet.training.interrupt import InterruptedTrainingError
from effnet.training.joining import current, is_first, is_member, joined, num_restarts
from effnet.training.launch import launch, tell_launcher
from effnet.training.order import RULES, defaults, explain, undertake
from effnet.training.origins import open_origin
from effnet.training.processes import LostPeerError
from effnet.training.results import TrainResult
from effnet.training.resuming import resume, saying_how_to_go_on

PATIENCE = 5.0  # seconds that a process waits for the first one, which fails with the same error, to say so


@dataclass(frozen=True)
class TrainForm:
    """Train a network on a data set: a recipe, with any of its values overridden by flags.

    A folder holds `train/` with `val/` or `test/`, or one folder of images per class. The defaults below are
    those of the recipe that fits DATA. Limits, if there are any, choose phi: the largest network within,
    for one image at a time. The time that this takes counts for --max-minutes too. With --from a training
    begins with the weights of another one: fine-tuning.
    """

    data: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")] = None
    """A name (digits, cifar10, food101, …), a folder, a .csv, .tar or .parquet file, hf:NAME, or a URL."""
    resume: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Go on with the interrupted training in this folder, exactly where it was; takes no other setting."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder for model file, record and pictures; runs/NAME when not given."""
    recipe: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE")] = None
    """Recipe to start from; chosen by the data when not given."""
    overwrite: bool = False
    """Replace a run in the folder."""
    json: bool = False
    """Print one JSON object instead of progress and tables."""
    origin: Annotated[OriginFlags, tyro.conf.arg(name="")] = field(default_factory=OriginFlags)
    limits: Annotated[LimitFlags, tyro.conf.arg(name="")] = field(default_factory=LimitFlags)
    group: Annotated[GroupFlags, tyro.conf.arg(name="")] = field(default_factory=GroupFlags)
    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def run(args: Sequence[str]) -> None:
    """Run the command, as one process or as one of a group."""
    try:
        with joined():
            (resume_run if is_given("--resume", args) else new_run)(args)
    except EffnetError as error:
        if is_member():
            error.ending = partial(end_member, error)
        raise


def end_member(error: EffnetError, code: int) -> None:
    """End a process of a group, whose message is out; at once, as `Processes.dismiss` does and says why."""
    stopped = isinstance(error, InterruptedTrainingError)
    if error.is_common and not stopped and not is_first():
        sleep(PATIENCE)  # the first process says it, and the launcher ends this one
    elif not isinstance(error, LostPeerError) and tell_launcher(code, stopped=stopped) and stopped:
        code = 0  # of this process: another code would be a reason to start it again
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def new_run(args: Sequence[str]) -> None:
    """Begin a training, or go on with it if the same command has begun it."""
    wanted, revision = value_of("--from", args), value_of("--revision", args)
    source = None if wanted is None else open_origin(wanted, revision=revision)
    form, dataset, recipe = with_recipe(TrainForm, "train", args, choose=partial(defaults, source=source))
    limits = form.limits.checked
    if is_given("--phi", args):
        refuse_phi(limits)
    asked = undertake(form.origin.order, names_given(args), limits.words(), source)
    folder = run_folder(dataset, form.out, form.overwrite)
    begin_group(form, args, folder)
    overwrite = form.overwrite and not (num_restarts() and states.exists(folder))
    with reporter_of(form) as reporter:
        if recipe == RULES and not form.origin.probe:
            reporter.message(explain(dataset, form.config))
        reporter.message(f"recipe {recipe}, device {form.config.device}; results go to {folder}")
        training = Training(dataset, form.config, limits, asked, overwrite)
        with saying_how_to_go_on(folder, reporter):
            result = run_training(training, folder, reporter)
    show_result(result, form.json)


def begin_group(form: TrainForm, args: Sequence[str], folder: Path) -> None:
    """Start the processes that are asked for, if any; this one then ends with their exit code."""
    launched = form.group.launch(form.config.device)
    if launched is not None:
        if form.overwrite:  # before the first start: a state that a restart finds is its own
            with locked(folder):
                states.remove(folder)
        raise SystemExit(launch(launched, ["train", *of_one_process(args)]))


def reporter_of(form: TrainForm) -> TerminalReporter:
    """Return who speaks: of several processes the first one."""
    return TerminalReporter(quiet=form.json or not current().is_first)


def resume_run(args: Sequence[str]) -> None:
    """Go on with an interrupted training."""
    form = parse(TrainForm, "train", args)
    if form.resume is None:
        raise UsageError("--resume needs the folder of an interrupted training")
    if form != TrainForm(resume=form.resume, json=form.json, group=form.group):
        raise UsageError(
            "--resume goes on with the data and settings of the interrupted training and takes no others; "
            "for other settings start a new run with another --out"
        )
    begin_group(form, args, form.resume)
    with reporter_of(form) as reporter, saying_how_to_go_on(form.resume, reporter):
        result = resume(form.resume, reporter=reporter)
    show_result(result, form.json)


def show_result(result: TrainResult, as_json: bool) -> None:
    """Print the outcome for a program or a person."""
    if as_json:
        print_json(result.to_dict())
    else:
        print_summary(result)


def print_summary(result: TrainResult) -> None:
    """Print the result and say where to look."""
    out, evaluation, best = console(), result.evaluation, result.best
    print_evaluation(evaluation)
    out.print(
        f"\nkept: {kept_words(result)}, {best.val_top1:.2%} ({interval(best.val_interval)}) "
        f"on the {len(best.correct):,} validation images"
    )
    print_caution(evaluation)
    out.print(f"time: {result.seconds:.0f} s\n")
    if result.folds is not None:
        print_folds(result.folds)
    for name, what in (
        ("model.safetensors", "the model file: network, weights, preprocessing, classes"),
        ("curves.png", "loss, accuracy, learning rate over the epochs"),
        ("confusion.png", "which classes are taken for which"),
        ("examples.png", "held-out images and what the network says"),
        ("metrics.jsonl", "one line per epoch"),
        ("folds.json", "the score of each fold, and where its network is"),
    ):
        if (result.folder / name).exists():
            out.print(f"  {result.folder / name}  {what}", markup=False)
    out.print(f"\nTry: effnet predict {result.model_path} {result.folder / 'examples'}", markup=False)


def kept_words(result: TrainResult) -> str:
    """Say what the model file holds."""
    if result.regression is not None:
        return f"a logistic regression with C = {result.regression.C:.3g}"
    weights = "averaged weights (EMA)" if result.best.averaged else "raw weights"
    return f"{weights} of epoch {result.best.epoch + 1}"


def print_folds(folds: CrossValidation) -> None:
    """Print the scores of a cross-validation."""
    made = table(
        "folds: each judged on images that its network had not seen", ["fold", "images", "errors", "top-1"]
    )
    for score in folds.scores:
        made.add_row(str(score.fold), f"{score.num_images:,}", f"{score.num_errors:,}", f"{score.top1:.2%}")
    out = console()
    out.print("", made)
    spread = f"{folds.mean:.2%} ± {folds.spread:.2%} ({interval(folds.interval)})"
    out.print(f"mean {spread}; the model file is of all training images\n")
