"""Explanations as rows of pictures: an image, and beside it a map for each class or model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from effnet.errors import UsageError
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.explanation import Explanation
from effnet.evaluation.heat import overlay, seen
from effnet.evaluation.page import Picture, embedded
from effnet.evaluation.report import file_name, new_figure, save_figure, shorten

ROWS_OF_FIGURE = 8
WIDTH, HEIGHT = 2.4, 2.8  # inches of a panel with its title


@dataclass(frozen=True)
class Panel:
    """A map over its image, and what it is of."""

    model: str
    name: str
    probability: float
    image: Image.Image

    @property
    def picture(self) -> Picture:
        """The map for a page."""
        return embedded(self.image)


@dataclass(frozen=True)
class Row:
    """An image, what each model says of it, and the maps of all models."""

    name: str
    """Short name of the image."""
    explanations: tuple[Explanation, ...]
    panels: tuple[Panel, ...]
    figure: str
    """Name of the PNG file that shows it."""

    @property
    def image(self) -> str:
        """The image as it was given, such as its path."""
        return self.explanations[0].image

    @property
    def seen(self) -> Image.Image:
        """The image as the first model sees it."""
        return seen(self.explanations[0].pixels)

    @property
    def picture(self) -> Picture:
        """The same for a page."""
        return embedded(self.seen)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        models = [explanation.to_dict() for explanation in self.explanations]
        return {"image": self.image, "figure": self.figure, "models": models}


def build_rows(explanations: Sequence[Sequence[Explanation]]) -> list[Row]:
    """Arrange explanations, a sequence for each model, by image.

    Raises:
        UsageError: no image, not the same ones, or not by the same method.

    """
    if not explanations or not explanations[0]:
        raise UsageError("there is no image to show")
    if len({tuple(each.image for each in of_model) for of_model in explanations}) > 1:
        raise UsageError("the models explain different images; give each of them the same")
    if len({each.method for of_model in explanations for each in of_model}) > 1:
        raise UsageError("the maps are made by different methods; take one for all")
    models = labels([of_model[0].classifier for of_model in explanations])
    by_image = list(zip(*explanations, strict=True))
    names = short_names([each[0].image for each in by_image])
    figures = figure_names(names, compares=len(models) > 1)
    return [
        Row(name, each, tuple(_panels(each, models)), figure)
        for name, each, figure in zip(names, by_image, figures, strict=True)
    ]


def _panels(explanations: Sequence[Explanation], models: Sequence[str]) -> list[Panel]:
    return [
        Panel(model, one.name, one.probability, overlay(explanation.pixels, one))
        for explanation, model in zip(explanations, models, strict=True)
        for one in explanation.maps
    ]


def labels(models: Sequence[Classifier]) -> list[str]:
    """Name models by their networks; those of the same network get their number in the order."""
    names = [model.header.spec.name for model in models]
    numbered = enumerate(names, start=1)
    return [f"{name} {number}" if names.count(name) > 1 else name for number, name in numbered]


def short_names(images: Sequence[str]) -> list[str]:
    """Name images without their folders, or with the last one where that is not enough."""
    names = [Path(image).name for image in images]
    if len(set(names)) == len(names):
        return names
    return ["/".join(Path(image).parts[-2:]) for image in images]


def figure_names(names: Sequence[str], *, compares: bool) -> list[str]:
    """Return the figure of each image: one of its own, or one for some images where models are compared."""
    if compares:
        return [f"models-{1 + place // ROWS_OF_FIGURE:02d}.png" for place in range(len(names))]
    figures: dict[str, str] = {}  # by the name as a file system without capitals has it
    for name in names:
        stem = file_name(f"{Path(name).with_suffix('').as_posix().replace('/', '-')}-maps")
        figure, count = stem, 1
        while figure.casefold() in figures:
            count += 1
            figure = f"{stem}-{count}"
        figures[figure.casefold()] = f"{figure}.png"
    return list(figures.values())


def draw_rows(rows: Sequence[Row], path: Path) -> None:
    """Draw images with their maps beside them."""
    columns = 1 + max(len(row.panels) for row in rows)
    compares = len(rows[0].explanations) > 1
    size = WIDTH * columns, (HEIGHT + 0.2 * compares) * len(rows)
    figure, axes = new_figure(*size, nrows=len(rows), ncols=columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    style: dict[str, Any] = {"fontsize": 10, "parse_math": False}
    for row, row_axes in zip(rows, axes, strict=True):
        row_axes[0].imshow(row.seen, cmap="gray", vmin=0, vmax=255)
        row_axes[0].set_title(shorten(row.name), **style)
        for panel, axis in zip(row.panels, row_axes[1:], strict=False):
            axis.imshow(panel.image)
            said = f"{shorten(panel.name)}: {panel.probability:.1%}"
            axis.set_title(f"{shorten(panel.model)}\n{said}" if compares else said, **style)
    save_figure(figure, path)
