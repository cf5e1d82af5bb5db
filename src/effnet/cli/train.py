"""`effnet train`: recipe, flags over it, progress, summary."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from effnet.cli.limits import LimitFlags
from effnet.cli.output import console, print_json
from effnet.cli.parse import is_given, parse
from effnet.cli.progress import TerminalReporter
from effnet.cli.results import interval, print_caution, print_evaluation
from effnet.cli.settings import with_recipe
from effnet.config import TrainConfig
from effnet.errors import UsageError
from effnet.sizing.budget.sized_training import refuse_phi
from effnet.sizing.budget.sized_training import run as run_training
from effnet.training.folder import run_folder
from effnet.training.results import TrainResult
from effnet.training.run import resume


@dataclass(frozen=True)
class TrainForm:
    """Train a network on a data set: a recipe, with any of its values overridden by flags.

    A folder holds `train/` with `val/` or `test/`, or one folder of images per class. The defaults below are
    those of the recipe that fits DATA. Limits, if there are any, choose phi: the largest network within,
    for one image at a time. The time that this takes counts for --max-minutes too.
    """

    data: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")] = None
    """A name (digits, cifar10, food101, …), a folder of images, a .csv, .tar or .parquet file, or hf:NAME."""
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
    limits: Annotated[LimitFlags, tyro.conf.arg(name="")] = field(default_factory=LimitFlags)
    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def run(args: Sequence[str]) -> None:
    """Run the command."""
    if is_given("--resume", args):
        resume_run(args)
        return
    form, dataset, recipe = with_recipe(TrainForm, "train", args)
    limits = form.limits.checked
    if is_given("--phi", args):
        refuse_phi(limits)
    folder = run_folder(dataset, form.out, form.overwrite)
    with TerminalReporter(quiet=form.json) as reporter:
        reporter.message(f"recipe {recipe}, device {form.config.device}; results go to {folder}")
        result = run_training(dataset, form.config, folder, reporter, limits)
    show_result(result, form.json)


def resume_run(args: Sequence[str]) -> None:
    """Go on with an interrupted training."""
    form = parse(TrainForm, "train", args)
    if form.resume is None:
        raise UsageError("--resume needs the folder of an interrupted training")
    if form != TrainForm(resume=form.resume, json=form.json):
        raise UsageError(
            "--resume goes on with the data and settings of the interrupted training and takes no others; "
            "for other settings start a new run with another --out"
        )
    with TerminalReporter(quiet=form.json) as reporter:
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
    weights = "averaged weights (EMA)" if best.averaged else "raw weights"
    out.print(
        f"\nkept: {weights} of epoch {best.epoch + 1}, {best.val_top1:.2%} ({interval(best.val_interval)}) "
        f"on the {len(best.correct):,} validation images"
    )
    print_caution(evaluation)
    out.print(f"time: {result.seconds:.0f} s\n")
    for name, what in (
        ("model.safetensors", "the model file: network, weights, preprocessing, classes"),
        ("curves.png", "loss, accuracy, learning rate over the epochs"),
        ("confusion.png", "which classes are taken for which"),
        ("examples.png", "held-out images and what the network says"),
        ("metrics.jsonl", "one line per epoch"),
    ):
        out.print(f"  {result.folder / name}  {what}", markup=False)
    out.print(f"\nTry: effnet predict {result.model_path} {result.folder / 'examples'}", markup=False)
