"""The result of an evaluation, for a person: totals, table of classes, confusions, what to beware of."""

from rich.markup import escape

from effnet.cli.output import console, table
from effnet.evaluation.metrics import Evaluation
from effnet.evaluation.mistakes import frequent_confusions, weakest_first

MAX_LISTED_CLASSES = 20


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
    listed = weakest_first(evaluation.classes)[:MAX_LISTED_CLASSES]
    shown = [c for c in evaluation.classes if c in listed]
    classes = table("", ["class", "images", "precision", "recall", "F1"])
    for c in shown:
        classes.add_row(
            escape(c.name), str(c.support), f"{c.precision:.1%}", f"{c.recall:.1%}", f"{c.f1:.1%}"
        )
    out.print(classes)


def print_confusion(evaluation: Evaluation) -> None:
    """Print the confusion matrix when it fits a terminal, else the most frequent confusions."""
    names = [escape(c.name) for c in evaluation.classes]
    out = console()
    if len(names) <= MAX_LISTED_CLASSES:
        matrix = table("confusion: true class by row, predicted by column", ["", *names])
        for name, row in zip(names, evaluation.confusion, strict=True):
            matrix.add_row(name, *(str(number) if number else "·" for number in row))
        out.print("", matrix)
        return
    made = table("most frequent confusions", ["true", "predicted", "images"], left=2)
    for pair in frequent_confusions(evaluation, MAX_LISTED_CLASSES):
        made.add_row(escape(pair.truth), escape(pair.predicted), str(pair.count))
    out.print("", made)


def print_caution(evaluation: Evaluation) -> None:
    """Say why the numbers are too good, if they are."""
    if evaluation.caution is not None:
        console().print(f"\nnote: {evaluation.caution}", markup=False)
