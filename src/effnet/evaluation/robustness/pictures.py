"""Pictures of robustness: the heat map, an image under each corruption, accuracy over resolutions."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from effnet.evaluation.corruptions.catalogue import CORRUPTIONS, corrupt
from effnet.evaluation.corruptions.severities import NUM_SEVERITIES
from effnet.evaluation.report import BLUE, GREY, new_figure, save_figure
from effnet.evaluation.robustness.colours import loss_colour
from effnet.evaluation.robustness.corrupted import SEVERITIES, Robustness
from effnet.evaluation.robustness.resolutions import Resolutions

TILE = 96  # pixels of an example, at least; smaller images are enlarged by whole numbers
GAP = 4


def draw_heat_map(robustness: Robustness, path: Path) -> None:
    """Draw accuracy by corruption and severity, and its mean over the severities."""
    clean = robustness.clean.top1
    rows = [[each.top1 for each in robustness.cells[name]] for name in CORRUPTIONS]
    values = np.array([[*row, np.mean(row)] for row in rows])
    colours = np.array([[loss_colour(value, clean) for value in row] for row in values], dtype=np.uint8)
    figure, axis = new_figure(6.4, 7.2)
    axis.imshow(colours, aspect="auto")
    axis.set_xticks(range(NUM_SEVERITIES + 1), [*map(str, SEVERITIES), "mean"])
    axis.set_yticks(range(len(CORRUPTIONS)), [title(name) for name in CORRUPTIONS])
    axis.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axis.axvline(NUM_SEVERITIES - 0.5, color="black", linewidth=0.8)
    for (row, column), value in np.ndenumerate(values):
        axis.text(column, row, f"{value:.1%}", ha="center", va="center", color="black", fontsize=9)
    for start in family_starts():
        axis.axhline(start - 0.5, color="black", linewidth=0.8)
    figure.suptitle(f"accuracy by severity: {clean:.1%} clean, {robustness.top1:.1%} on average", fontsize=12)
    save_figure(figure, path)


def title(name: str) -> str:
    """Name a corruption, with a star where ours is not comparable with the published images."""
    corruption = CORRUPTIONS[name]
    return f"{corruption.title}{' *' if corruption.caveat else ''}"


def family_starts() -> list[int]:
    """Return the rows where another family of corruptions begins."""
    families = [corruption.family for corruption in CORRUPTIONS.values()]
    return [row for row in range(1, len(families)) if families[row] != families[row - 1]]


def draw_examples(image: Tensor, key: NDArray[np.uint64], seed: int, path: Path) -> None:
    """Draw an image `(1, C, S, S)` uint8, with its key `(1,)`, under each corruption at each severity."""
    tiles = [
        [corrupt(image, name, severity, seed=seed, indices=key)[0] for severity in SEVERITIES]
        for name in CORRUPTIONS
    ]
    blank = torch.full_like(image[0], 255)
    mosaic = _mosaic([[image[0], *(blank,) * (NUM_SEVERITIES - 1)], *tiles])
    step = mosaic.shape[0] / (len(CORRUPTIONS) + 1)
    figure, axis = new_figure(6.4, 16.5)
    axis.imshow(mosaic, interpolation="nearest", cmap="gray", vmin=0, vmax=255)
    axis.set_xticks([(k + 0.5) * step for k in range(NUM_SEVERITIES)], [*map(str, SEVERITIES)])
    labels = ["the image", *(title(name) for name in CORRUPTIONS)]
    axis.set_yticks([(row + 0.5) * step for row in range(len(labels))], labels)
    axis.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axis.spines[:].set_visible(False)
    save_figure(figure, path)


def _mosaic(tiles: list[list[Tensor]]) -> NDArray[np.uint8]:
    """Lay out images `(C, S, S)` in rows, each enlarged to at least `TILE` pixels, white between them."""
    channels, side, _ = tiles[0][0].shape
    factor = -(-TILE // side)
    cell = side * factor + GAP
    mosaic = np.full((len(tiles) * cell, len(tiles[0]) * cell, channels), 255, np.uint8)
    for row, images in enumerate(tiles):
        for column, image in enumerate(images):
            enlarged = image.permute(1, 2, 0).numpy().repeat(factor, 0).repeat(factor, 1)
            top, left = row * cell, column * cell
            mosaic[top : top + side * factor, left : left + side * factor] = enlarged
    return mosaic[..., 0] if channels == 1 else mosaic


def draw_resolutions(resolutions: Resolutions, path: Path) -> None:
    """Draw accuracy with its 95 % interval against the side of the images."""
    sides = [point.side for point in resolutions.points]
    measured = [point.measured for point in resolutions.points]
    figure, axis = new_figure(6.4, 4.2)
    low, high = zip(*(each.interval for each in measured), strict=True)
    axis.fill_between(
        sides, [100 * v for v in low], [100 * v for v in high], color=BLUE, alpha=0.15, linewidth=0
    )
    axis.plot(sides, [100 * each.top1 for each in measured], color=BLUE)
    for is_whole, label, fill in ((True, "whole cells", BLUE), (False, "cells over the border", "white")):
        shown = [point for point in resolutions.points if point.cells.is_integer() is is_whole]
        heights = [100 * point.measured.top1 for point in shown]
        places = [point.side for point in shown]
        axis.plot(places, heights, "o", color=BLUE, markerfacecolor=fill, label=label)
    axis.legend(frameon=False)
    axis.axvline(resolutions.side, color=GREY, linestyle="--", linewidth=1)
    axis.annotate(
        "trained", (resolutions.side, 0), (4, 4), xycoords=("data", "axes fraction"),
        textcoords="offset points", color="#555555",
    )  # fmt: skip
    axis.set(xlabel="side of the images in pixels", ylabel="right, in %")
    axis.set_xticks(sides)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)
