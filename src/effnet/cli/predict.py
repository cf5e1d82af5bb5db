"""`effnet predict`: images in, classes with probabilities out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.markup import escape

from effnet.cli.output import console, print_json, table
from effnet.cli.parse import parse
from effnet.errors import UsageError
from effnet.evaluation.classifier import Prediction, load


@dataclass(frozen=True)
class PredictForm:
    """Classify images with a model file."""

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """The model file that `effnet train` wrote."""
    images: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE|FOLDER")]
    """Image files, or folders of which all images are taken."""
    top: int = 5
    """Classes to name per image, the most probable first."""
    device: str = "auto"
    """Where to compute: auto, cpu, cuda, mps."""
    json: bool = False
    """Print one JSON object."""


def run(args: Sequence[str]) -> None:
    """Run the command."""
    form = parse(PredictForm, "predict", args)
    if not form.images:
        raise UsageError("missing IMAGE or FOLDER (see effnet predict --help)")
    predictions = load(form.model, device=form.device).predict(form.images, top=form.top)
    if form.json:
        print_json({"model": str(form.model), "predictions": [p.to_dict() for p in predictions]})
    else:
        print_predictions(predictions)


def print_predictions(predictions: Sequence[Prediction]) -> None:
    """Print a line per image: the classes with their probabilities."""
    made = table("", ["image", "class", "probability", "then"])
    made.columns[1].justify = made.columns[3].justify = "left"
    made.columns[0].no_wrap = made.columns[3].no_wrap = False
    for prediction in predictions:
        (name, probability), *others = prediction.classes
        then = ", ".join(f"{other} {p:.1%}" for other, p in others)
        made.add_row(escape(prediction.image), escape(name), f"{probability:.1%}", escape(then))
    console().print(made)
