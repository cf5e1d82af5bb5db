"""`effnet predict`: images in, classes with probabilities out, and perhaps what speaks for them."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro
from PIL import Image
from rich.markup import escape

from effnet.cli.cluster_flags import ImagesOnCluster
from effnet.cli.explain_flags import ExplainFlags, check_once
from effnet.cli.output import console, print_json, table
from effnet.cli.parse import parse
from effnet.errors import DataError, UsageError, some
from effnet.inference.prediction import Prediction
from effnet.inference.urls import is_url
from effnet.loading import load
from effnet.modelfile import ModelHeader


@dataclass(frozen=True)
class PredictForm:
    """Classify images with a model file, or with an exported network, which needs no torch."""

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """The model file that `effnet train` wrote, the .onnx file that `effnet export` made of it, or
    cifar10-small, which comes with effnet."""
    images: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE|FOLDER")]
    """Image files, or folders of which all images are taken; with --out also URLs, such as s3://BUCKET/FOLDER."""
    top: int = 5
    """Classes to name per image, the most probable first."""
    explaining: Annotated[ExplainFlags, tyro.conf.arg(name="")] = field(default_factory=ExplainFlags)
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write a row for each image into this file: .csv, .jsonl or .parquet, with the columns image, class,
    probability, then class2, probability2 and so on up to --top, and error, which says why an image cannot be
    read; then a warning gives their number, and the exit code is 0 unless it is all of them. Any number of
    images; after an interruption the same command goes on."""
    overwrite: bool = False
    """Replace a file that is at --out, and forget an interrupted run."""
    placing: Annotated[ImagesOnCluster, tyro.conf.arg(name="")] = field(default_factory=ImagesOnCluster)
    device: str = "auto"
    """Where to compute: auto, cpu, cuda, mps; an exported network is computed on the CPU."""
    json: bool = False
    """Print one JSON object."""


def run(args: Sequence[str]) -> None:
    """Run the command."""
    form = parse(PredictForm, "predict", args)
    if not form.images:
        raise UsageError("missing IMAGE or FOLDER (see effnet predict --help)")
    check_once(args)
    if form.out is not None:
        if form.explaining != ExplainFlags():
            raise UsageError("--out FILE and --explain DIR are two runs: one for all images, one for some")
        from effnet.cli.predict_file import write_predictions

        write_predictions(form, form.out)
        return
    refuse_without_out(form)
    paths = [Path(image) for image in form.images]
    broken: list[DataError] = []
    classifier = load(form.model, device=form.device)
    asked = None
    if form.explaining != ExplainFlags():  # maps need torch, predictions of an exported network do not
        from effnet.cli.explained import draw_maps, plan

        asked = plan(form.explaining, classifier, paths, form.device)
    predictions = classifier.predict(paths, top=form.top, on_broken=broken.append)
    if not predictions:
        raise failure(broken, len(broken))
    skipped = [str(error) for error in broken]
    if not form.json:
        print_predictions(predictions)
        note_tiny(predictions, classifier.header)
    answer: dict[str, Any] = {"model": str(form.model), "skipped": skipped}
    answer["predictions"] = [prediction.to_dict() for prediction in predictions]
    if asked is not None:
        seen = [prediction.image for prediction in predictions]
        command = shlex.join(["effnet", "predict", *args])
        answer["explained"] = draw_maps(asked, seen, skipped, command=command, quiet=form.json)
    if form.json:
        print_json(answer)
    if broken:
        raise failure(broken, len(predictions) + len(broken))


def refuse_without_out(form: PredictForm) -> None:
    """Refuse what only a file of predictions takes.

    Raises:
        UsageError: names it.

    """
    url = next(filter(is_url, form.images), None)
    for what, is_asked in (
        ("--overwrite", form.overwrite),
        ("--cluster", form.placing != ImagesOnCluster()),
        (f"the URL {url}", url is not None),
    ):
        if is_asked:
            raise UsageError(f"{what} is for a file of predictions; add --out FILE")


def note_tiny(predictions: Sequence[Prediction], header: ModelHeader) -> None:
    """Say which images had fewer pixels than the network's stride, on standard error."""
    stride, sizes = header.spec.total_stride, {}
    for prediction in predictions:
        with Image.open(prediction.image) as image:
            sizes[prediction.image] = image.size
    tiny = [f"{name} ({w}×{h})" for name, (w, h) in sizes.items() if min(w, h) < stride]
    if tiny:
        side = header.preprocess.resolution
        console(stderr=True).print(
            f"note: smaller than the network's stride of {stride} pixels, and enlarged to {side}×{side}, so "
            f"expect little of the answer: {some(tiny, limit=5)}",
            markup=False,
        )


def failure(broken: Sequence[DataError], total: int) -> DataError:
    """Return the error about images that cannot be read; for one image alone, its own."""
    if total == 1:
        return broken[0]
    return DataError(f"{len(broken)} of {total} images cannot be read: {some(map(str, broken), limit=5)}")


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
