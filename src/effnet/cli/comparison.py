"""A comparison of models, for a person: each one's result and cost, and what may be said of each pair."""

from rich.markup import escape

from effnet.cli.output import big, console, table
from effnet.evaluation.comparison.result import Comparison
from effnet.evaluation.comparison.words import pair_words, points

MAX_LISTED_CLASSES = 10


def print_comparison(comparison: Comparison) -> None:
    """Print a line for each model, the best first, a line for each pair, and where they differ most."""
    print_models(comparison)
    out = console()
    out.print()
    for contrast in comparison.contrasts:
        out.print(pair_words(contrast), markup=False)
    print_classes(comparison)
    for note in comparison.notes:
        out.print(f"\nnote: {note}", markup=False)


def print_models(comparison: Comparison) -> None:
    """Print a line for each model."""
    columns = ["model", "right", "95% interval", "errors", "loss", "calibration error", "parameters", "MACs"]
    made = table(
        f"{comparison.part}: {comparison.num_images:,} images", [*columns, "ms an image"]
    )  # the time is that of a batch, divided
    for each in comparison.ranked:
        result, (low, high) = each.evaluation, each.evaluation.interval
        made.add_row(
            escape(each.label), f"{result.top1:.2%}", f"{100 * low:.1f}–{100 * high:.1f}",
            f"{result.num_errors:,}", f"{result.loss:.4f}", f"{result.ece:.1%}",
            big(each.cost.params), big(each.cost.macs), f"{each.milliseconds:.3g}",
        )  # fmt: skip
    out = console()
    out.print("", made)
    device = comparison.contenders[0].classifier.device.type
    out.print(f"time: on {device}, {comparison.batch_size} images at once, in turns")


def print_classes(comparison: Comparison) -> None:
    """Print the classes at which the models differ most."""
    listed = [each for each in comparison.classes if each.spread][:MAX_LISTED_CLASSES]
    if not listed:
        return
    names = [escape(each.label) for each in comparison.contenders]
    two = len(names) == 2
    made = table("recall, where they differ most", ["class", "images", *names, *(["points"] if two else [])])
    for each in listed:
        difference = [points(each.difference) + ("*" if each.is_significant else "")] if two else []
        made.add_row(
            escape(each.name), f"{each.support:,}", *(f"{recall:.1%}" for recall in each.recalls), *difference
        )
    out = console()
    out.print("", made)
    if any(each.is_significant for each in listed):
        out.print("* more than chance, of all classes together (McNemar's test with Holm's correction)")
