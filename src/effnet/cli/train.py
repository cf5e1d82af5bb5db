"""`effnet train`: recipe, flags over it, progress, summary."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.markup import escape

from effnet.cli.output import console, print_json, table
from effnet.cli.parse import parse
from effnet.cli.progress import TerminalReporter
from effnet.config import TrainConfig, load_recipe
from effnet.data.datasets import needs_download, open_dataset
from effnet.errors import UsageError
from effnet.evaluation.metrics import Evaluation
from effnet.training.folder import run_folder
from effnet.training.results import TrainResult
from effnet.training.run import resume
from effnet.training.run import run as run_training
from effnet.training.setup import default_recipe

MAX_LISTED_CLASSES = 20


@dataclass(frozen=True)
class TrainForm:
    """Train a network on a data set: a recipe, with any of its values overridden by flags.

    A folder holds `train/` with `val/` or `test/`, or one folder of images per class. The defaults below are
    those of the recipe that fits DATA.
    """

    data: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")] = None
    """A data set by name (digits, cifar10, cifar100) or a folder of images."""
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
    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def run(args: Sequence[str]) -> None:
    """Run the command."""
    if any(arg.partition("=")[0] == "--resume" for arg in args):
        resume_run(args)
        return
    data, recipe = peek(args)
    if data is not None and needs_download(data):
        parse(TrainForm, "train", args)  # help and wrong flags come before many megabytes
    with TerminalReporter(quiet="--json" in args) as reporter:
        dataset = open_dataset(data, on_download=reporter.downloading) if data is not None else None
    if recipe is None and dataset is not None:
        recipe = default_recipe(dataset)
    defaults = load_recipe(recipe) if recipe else TrainConfig()
    form = parse(TrainForm, "train", args, TrainForm(config=defaults))
    if dataset is None:
        raise UsageError("missing DATA (see effnet train --help)")
    folder = run_folder(dataset, form.out, form.overwrite)
    with TerminalReporter(quiet=form.json) as reporter:
        reporter.message(f"recipe {recipe}, device {form.config.device}; results go to {folder}")
        result = run_training(dataset, form.config, folder, reporter)
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


def peek(args: Sequence[str]) -> tuple[str | None, str | None]:
    """Find DATA and --recipe before the flags can be parsed, since they decide the flags' defaults."""
    positional, recipe = None, None
    for index, arg in enumerate(args):
        before = args[index - 1] if index else ""
        if arg.startswith("--recipe="):
            recipe = arg.removeprefix("--recipe=")
        elif before == "--recipe":
            recipe = arg
        elif positional is None and not arg.startswith("-") and (index == 0 or not takes_value(before)):
            positional = arg
    return positional, recipe


def takes_value(flag: str) -> bool:
    """Tell whether the argument after this one is its value."""
    switches = ("--overwrite", "--json", "--no-", "--augment.flip", "--augment.no-flip")
    return flag.startswith("--") and "=" not in flag and not flag.startswith(switches)


def print_summary(result: TrainResult) -> None:
    """Print the result and say where to look."""
    out, evaluation, best = console(), result.evaluation, result.best
    print_evaluation(evaluation)
    weights = "averaged weights (EMA)" if best.averaged else "raw weights"
    out.print(f"\nkept: {weights} of epoch {best.epoch + 1}, {best.val_top1:.2%} on the validation images")
    if evaluation.split != "test":
        out.print(
            f"note: these {evaluation.split} images also chose the epoch; a test/ folder would be unbiased"
        )
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


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the totals, and the table of classes when it fits."""
    out = console()
    low, high = evaluation.interval
    out.print(
        f"\n[bold]{evaluation.split}: {evaluation.top1:.2%} (95% interval {100 * low:.1f}–{100 * high:.1f}) "
        f"of {evaluation.num_images:,} images right, {evaluation.num_errors:,} errors[/]; "
        f"top-5 {evaluation.top5:.2%}, loss {evaluation.loss:.4f}, calibration error {evaluation.ece:.1%}"
    )
    if len(evaluation.classes) > MAX_LISTED_CLASSES:
        out.print(f"the {MAX_LISTED_CLASSES} of {len(evaluation.classes)} classes with the lowest F1:")
    listed = sorted(evaluation.classes, key=lambda c: c.f1)[:MAX_LISTED_CLASSES]
    shown = [c for c in evaluation.classes if c in listed]
    classes = table("", ["class", "images", "precision", "recall", "F1"])
    for c in shown:
        classes.add_row(
            escape(c.name), str(c.support), f"{c.precision:.1%}", f"{c.recall:.1%}", f"{c.f1:.1%}"
        )
    out.print(classes)
