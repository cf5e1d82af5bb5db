"""The result of an evaluation, for a person: totals, table of classes, confusions, what to beware of."""

from rich.markup import escape

from effnet.cli.output import bounds, console, table
from effnet.errors import some
from effnet.evaluation.metrics import Evaluation
from effnet.evaluation.mistakes import frequent_confusions, weakest_first
from effnet.evaluation.temperature import Calibration

MAX_LISTED_CLASSES = 20


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the totals, and the table of classes when it fits."""
    out = console()
    top5 = f"top-5 {evaluation.top5:.2%}, " if len(evaluation.classes) > 5 else ""
    out.print(
        f"\n[bold]{evaluation.split}: {evaluation.top1:.2%} ({interval(evaluation.interval)}) "
        f"of {evaluation.num_images:,} images right, {errors(evaluation)}[/]{drawn(evaluation)}; "
        f"{top5}loss {evaluation.loss:.4f}, {trust(evaluation)}"
    )
    if len(evaluation.classes) > MAX_LISTED_CLASSES:
        out.print(f"the {MAX_LISTED_CLASSES} of {len(evaluation.classes)} classes with the lowest F1:")
    listed = weakest_first(evaluation.classes)[:MAX_LISTED_CLASSES]
    shown = [c for c in evaluation.classes if c in listed]
    classes = table("", ["class", "images", "precision", "recall", "95% interval", "F1"])
    for c in shown:
        low, high = c.recall_interval
        sure = f"{100 * low:.0f}–{100 * high:.0f}" if c.support else ""
        scores = f"{c.precision:.1%}", f"{c.recall:.1%}", sure, f"{c.f1:.1%}"
        classes.add_row(escape(c.name), str(c.support), *scores)
    out.print(classes)


def errors(evaluation: Evaluation) -> str:
    """Count the errors."""
    return f"{evaluation.num_errors:,} {'error' if evaluation.num_errors == 1 else 'errors'}"


def drawn(evaluation: Evaluation) -> str:
    """Say that only some images were evaluated, if so."""
    whole = evaluation.num_images + len(evaluation.broken) + evaluation.num_left_out
    return f" (drawn from {whole:,}, of each class its share)" if evaluation.num_left_out else ""


def interval(found: tuple[float, float]) -> str:
    """Write the interval of an accuracy in percent."""
    return f"95% interval {bounds(found)}"


def trust(evaluation: Evaluation) -> str:
    """Say how far probabilities are from what they mean, before calibration too, and what chance does."""
    before = evaluation.uncalibrated
    was = "" if before is None else f"{before.ece:.1%} before calibration, "
    return f"calibration error {evaluation.ece:.1%} ({was}{evaluation.chance_ece[0]:.1%} by chance alone)"


def print_calibration(calibration: Calibration) -> None:
    """Say which temperature was fitted and what it does to the validation images."""
    before, after = calibration.before, calibration.after
    how = (
        "each fifth with a temperature that it had no part in"
        if calibration.is_crossed
        else "measured on the very images that it was fitted on"
    )
    out = console()
    out.print(
        f"\n[bold]temperature {calibration.temperature:.3f}[/], fitted on {calibration.num_images:,} "
        f"validation images: calibration error {before.ece:.1%} before, {after.ece:.1%} after; "
        f"loss {before.loss:.4f}, then {after.loss:.4f} ({how})"
    )
    if calibration.is_at_limit:
        out.print("this is the limit of what is tried: the outputs say little about which class is right")
    elif not calibration.is_significant:
        out.print("the gain is no more than chance: 1 may be as good a temperature")


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
    """Say which classes were not measured, and why the numbers are too good, if they are."""
    absent = evaluation.unmeasured
    if absent:
        some_classes = f"{len(absent)} class{'es' if len(absent) > 1 else ''}"
        console().print(f"\nnote: there are no images of {some_classes}: {some(absent)}", markup=False)
    if evaluation.caution is not None:
        console().print(f"\nnote: {evaluation.caution}", markup=False)
