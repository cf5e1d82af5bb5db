"""`effnet evaluate`: a model file on a data set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from effnet.cli.output import console, print_json, table
from effnet.cli.parse import parse
from effnet.cli.progress import TerminalReporter
from effnet.cli.train import MAX_LISTED_CLASSES, print_evaluation
from effnet.data.datasets import open_dataset
from effnet.evaluation.classifier import load
from effnet.evaluation.metrics import Evaluation


@dataclass(frozen=True)
class EvaluateForm:
    """Measure a model file on a data set: top-1, top-5, loss, per class, confusion matrix."""

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """The model file that `effnet train` wrote."""
    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """A data set by name (digits) or a folder of images."""
    split: Annotated[str | None, tyro.conf.arg(metavar="train|val|test|all")] = None
    """Part to measure on; by default the images that training never saw."""
    device: str = "auto"
    """Where to compute: auto, cpu, cuda, mps."""
    json: bool = False
    """Print one JSON object."""


def run(args: Sequence[str]) -> None:
    """Run the command."""
    form = parse(EvaluateForm, "evaluate", args)
    classifier = load(form.model, device=form.device)
    dataset = open_dataset(form.data)
    with TerminalReporter(quiet=form.json) as reporter:
        evaluation = classifier.evaluate(
            dataset, split=form.split, on_read=lambda done, total: reporter.reading("images", done, total)
        )
    for problem in evaluation.broken:
        reporter.message(f"skipped: {problem}")
    if form.json:
        print_json(evaluation.to_dict())
        return
    print_evaluation(evaluation)
    print_confusion(evaluation)


def print_confusion(evaluation: Evaluation) -> None:
    """Print the confusion matrix when it fits a terminal, else the most frequent confusions."""
    names = [c.name for c in evaluation.classes]
    out = console()
    if len(names) <= MAX_LISTED_CLASSES:
        matrix = table("confusion: true class by row, predicted by column", ["", *names])
        for name, row in zip(names, evaluation.confusion, strict=True):
            matrix.add_row(name, *(str(number) if number else "·" for number in row))
        out.print("", matrix)
        return
    wrong = evaluation.confusion * (1 - np.eye(len(names), dtype=np.int64))
    made = table("most frequent confusions", ["true", "predicted", "images"], left=2)
    for flat in np.argsort(-wrong, axis=None, kind="stable")[:MAX_LISTED_CLASSES]:
        row, column = divmod(int(flat), len(names))
        if wrong[row, column]:
            made.add_row(names[row], names[column], str(wrong[row, column]))
    out.print("", made)
