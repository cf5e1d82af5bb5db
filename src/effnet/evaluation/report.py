"""Pictures of a run: curves, confusion matrix, reliability, a few held-out images with their answers."""

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from effnet.data.datasets import DataSet, Samples
from effnet.data.splits import held_out
from effnet.errors import DataError
from effnet.evaluation.calibration import reliability
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.metrics import Evaluation
from effnet.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

NUM_EXAMPLES = 3
MAX_NUMBERED_CLASSES = 25  # above, cells are too small for numbers
MAX_TICKS = 125  # more class names do not fit beside each other
MAX_NAME_LENGTH = 24
MAX_FILE_NAME_BYTES = 100  # a file system takes 255, an encrypted one 143, and a temporary name is longer
BLUE, ORANGE, GREY = "#1f6fb4", "#d9730d", "#8a8a8a"


def new_figure(width: float, height: float, **layout: Any) -> tuple["Figure", Any]:
    """Make a figure without touching the global state of pyplot; sizes in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(**layout)


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a PNG, whole or not at all; characters that the font lacks become boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        write_bytes(
            path, lambda temporary: figure.savefig(temporary, dpi=150, format="png", bbox_inches="tight")
        )


def draw_curves(records: Sequence[Mapping[str, Any]], path: Path, *, stacked: bool = False) -> None:
    """Draw loss, accuracy and learning rate over the epochs, beside each other or, for a phone, stacked.

    `records` are as in `metrics.jsonl`.
    """
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    size, rows, columns = ((4.6, 9.6), 3, 1) if stacked else ((11.0, 3.6), 1, 3)
    figure, axes = new_figure(*size, nrows=rows, ncols=columns)
    epochs = [record["epoch"] + 1 for record in records]
    marker = "o" if len(epochs) < 3 else None  # a line through one point is not seen
    series = (
        ("train", "train_{}", GREY),
        ("validation", "val_{}", BLUE),
        ("validation, EMA", "ema_val_{}", ORANGE),
    )
    axes[0].set_yscale("log")
    axes[0].yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes[0].yaxis.set_major_formatter("{x:g}")
    axes[0].yaxis.set_minor_locator(NullLocator())
    for axis, key, title in ((axes[0], "loss", "Loss"), (axes[1], "top1", "Accuracy")):
        for label, pattern, colour in series:
            values = [record[pattern.format(key)] for record in records]
            if values[0] is not None:
                axis.plot(epochs, values, label=label, color=colour, marker=marker)
        axis.set(title=title, xlabel="epoch")
        axis.legend(frameon=False)
    axes[2].plot(epochs, [record["lr"] for record in records], color=BLUE, marker=marker)
    axes[2].set(title="Learning rate at the end of the epoch", xlabel="epoch")
    for axis in axes:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


def draw_confusion(evaluation: Evaluation, path: Path) -> None:
    """Draw the confusion matrix; colours are shares of the true class, numbers are counts."""
    from matplotlib.colors import PowerNorm

    names = [shorten(result.name) for result in evaluation.classes]
    count = len(names)
    is_large = count > MAX_NUMBERED_CLASSES
    side = min(12.0, max(4.2, 1.6 + 0.37 * count))
    figure, axis = new_figure(side + 1, side)
    shares = evaluation.confusion / np.maximum(evaluation.confusion.sum(1, keepdims=True), 1)
    # Without numbers, rare confusions must be seen: the colour follows the square root.
    image = axis.imshow(shares, cmap="Blues", norm=PowerNorm(0.5 if is_large else 1.0, vmin=0, vmax=1))
    figure.colorbar(image, ax=axis, label="share of the true class", shrink=0.8)
    shown = range(0, count, -(-count // MAX_TICKS))
    ticks: dict[str, Any] = {"fontsize": min(9.0, 50 * side / len(shown)), "parse_math": False}
    axis.set_xticks(shown, names[:: shown.step], rotation=90, **ticks)
    axis.set_yticks(shown, names[:: shown.step], **ticks)
    axis.set(
        xlabel="predicted",
        ylabel="true",
        title=f"{evaluation.split}: {evaluation.num_images - evaluation.num_errors:,} of "
        f"{evaluation.num_images:,} images right, "
        f"{evaluation.top1:.2%}",
    )
    if not is_large:
        _write_counts(axis, evaluation, shares)
    save_figure(figure, path)


def shorten(name: str) -> str:
    """Cut a name so that it leaves room for the picture; what is no Unicode becomes a question mark."""
    text = name.encode(errors="replace").decode()
    return text if len(text) <= MAX_NAME_LENGTH else f"{text[: MAX_NAME_LENGTH - 1]}…"


def _write_counts(axis: "Axes", evaluation: Evaluation, shares: Any) -> None:
    for (row, column), number in np.ndenumerate(evaluation.confusion):
        if number:
            colour = "white" if shares[row, column] > 0.5 else "black"
            axis.text(column, row, str(number), ha="center", va="center", color=colour, fontsize=8)


def draw_reliability(evaluation: Evaluation, path: Path, *, when: str = "") -> None:
    """Draw accuracy against confidence in 15 bins, and how many images are in each; say `when` this is."""
    answers = evaluation.answers
    bins = reliability(answers.confidence, answers.correct)
    figure, (top, bottom) = new_figure(5.6, 6.4, nrows=2, ncols=1, sharex=True, height_ratios=(3, 1))
    left, width = [each.lower for each in bins], 1 / len(bins)
    style: dict[str, Any] = {"width": width, "align": "edge", "edgecolor": "white"}
    top.bar(left, [each.accuracy for each in bins], color=BLUE, label="right", **style)
    filled = [each for each in bins if each.count]
    means = [each.confidence for each in filled]
    top.plot(means, means, "o", color=ORANGE, markersize=5, label="mean probability")
    top.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    top.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of answers that are right")
    top.set_title(f"{when}{': ' if when else ''}expected calibration error {evaluation.ece:.1%}")
    figure.legend(frameon=False, loc="outside lower center", ncols=2)
    bottom.bar(left, [each.count for each in bins], color=GREY, **style)
    bottom.set(xlabel="probability of the answer", ylabel="images", yscale="log")
    bottom.set_ylim(bottom=0.5)
    bottom.yaxis.set_major_formatter("{x:,.0f}")
    for axis in (top, bottom):
        axis.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


def draw_examples(classifier: Classifier, dataset: DataSet, folder: Path) -> None:
    """Save a few held-out images of different classes as PNG, classify them and draw the answers."""
    examples = pick_examples(held_out(dataset, classifier.drawn).samples)
    if not examples:
        return
    for old in (folder / "examples").glob("*.png"):
        old.unlink()  # of a run before, which may have held out other images
    figure, axes = new_figure(3.2 * len(examples), 4.2, nrows=1, ncols=len(examples), squeeze=False)
    for axis, (name, label, image) in zip(axes[0], examples, strict=True):
        truth = dataset.class_names[label]
        path = folder / "examples" / f"{file_name(f'{truth}_{Path(name).stem}')}.png"
        write_bytes(path, partial(image.save, format="png"))
        (prediction,) = classifier.predict(path)
        axis.imshow(image, cmap="gray")
        axis.set_axis_off()
        best = [f"{shorten(name)}: {probability:.1%}" for name, probability in prediction.classes[:3]]
        axis.set_title("\n".join([f"true: {shorten(truth)}", *best]), fontsize=10, parse_math=False)
    save_figure(figure, folder / "examples.png")


def file_name(text: str) -> str:
    """Cut a name to what every file system takes; a hash at the end keeps those cut apart."""
    data = text.encode(errors="surrogatepass")
    if len(data) <= MAX_FILE_NAME_BYTES:
        return text
    end = f"-{sha256(data).hexdigest()[:8]}"
    return data[: MAX_FILE_NAME_BYTES - len(end)].decode(errors="ignore") + end


def pick_examples(samples: Samples) -> list[tuple[str, int, "Image"]]:
    """Pick a readable image of each of a few classes, spread over the class list: name, label, image."""
    labels = np.unique(samples.labels)
    picked = labels[np.linspace(0, len(labels) - 1, min(NUM_EXAMPLES, len(labels))).astype(np.int64)]
    found = (_first_readable(samples.take(np.flatnonzero(samples.labels == label))) for label in picked)
    return [example for example in found if example is not None]


def _first_readable(samples: Samples) -> tuple[str, int, "Image"] | None:
    for name, label in zip(samples.names, samples.labels.tolist(), strict=True):
        try:
            return name, label, samples.read(name)
        except DataError:
            continue  # it was named when the images were read
    return None
