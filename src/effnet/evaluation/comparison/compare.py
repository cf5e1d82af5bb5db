"""Measure two or more models on the images that were held out from all of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from torch import Tensor

from effnet.data.datasets import DataSet, open_dataset
from effnet.data.pixels import ignore
from effnet.data.splits import HeldOut, sampled
from effnet.errors import DataError, UsageError, some
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.comparison.result import Comparison, Contender
from effnet.evaluation.comparison.speed import milliseconds
from effnet.evaluation.metrics import Evaluation, calibrated, summarise
from effnet.evaluation.opened import Opened, ReadOptions, open_held
from effnet.spec.cost import Cost, cost

MODEL_FILE = "model.safetensors"  # as a training calls it, in the folder that tells it from others


def compare(
    classifiers: Sequence[Classifier],
    data: str | Path | DataSet,
    *,
    split: str | None = None,
    **options: Unpack[ReadOptions],
) -> Comparison:
    """Measure models on the same images, and take the time of each.

    Compared are the images that were held out from every model. Models that were trained on one data set with
    one seed have the same ones; otherwise only some are left.

    Args:
        classifiers: two or more models with the same classes, in any order, on one device.
        data: name or folder.
        split: part to measure on, as it was in the training of each model; by default what `evaluate` takes.
        options: how images are read.

    Raises:
        UsageError: fewer than two models, one of them twice, other classes, or no image is left.
        DataError: the data has classes that the models lack, or too many images are unreadable.

    """
    names = labels(classifiers)
    check_models(classifiers, names)
    dataset = data if isinstance(data, DataSet) else open_dataset(data)
    helds = [classifier.held(dataset, split) for classifier in classifiers]
    limit = options.get("max_images"), options.get("seed", 0)
    shared = [sampled(held, *limit) for held in in_common(helds, names)]
    found = measure(classifiers, shared, dataset, options)
    inputs = [batch for _, batch in found]
    spent = milliseconds([classifier.network for classifier in classifiers], inputs)
    contenders = tuple(
        Contender(name, classifier, evaluation, cost_of(classifier), time, len(held.samples))
        for name, classifier, (evaluation, _), time, held in zip(
            names, classifiers, found, spent, helds, strict=True
        )
    )
    parts = ", ".join(dict.fromkeys(held.part for held in helds))
    return Comparison(dataset.name, parts, contenders, len(inputs[0]))


def labels(classifiers: Sequence[Classifier]) -> list[str]:
    """Name each model: by its file, or the folder of its training; by its path where that is not enough."""
    paths = [classifier.path for classifier in classifiers]
    short = [f"model {number}" if path is None else label(path) for number, path in enumerate(paths, start=1)]
    counts = Counter(short)
    return [name if counts[name] == 1 else str(path) for name, path in zip(short, paths, strict=True)]


def label(path: Path) -> str:
    """Return a short name of a model file."""
    return path.resolve().parent.name if path.name == MODEL_FILE else path.stem


def check_models(classifiers: Sequence[Classifier], names: Sequence[str]) -> None:
    """Refuse models that cannot be compared.

    Raises:
        UsageError: fewer than two, one of them twice, or other classes.

    """
    if len(classifiers) < 2:
        raise UsageError(f"a comparison needs two models or more, not {len(classifiers)}")
    paths = Counter(classifier.path.resolve() for classifier in classifiers if classifier.path is not None)
    twice = [str(path) for path, count in paths.items() if count > 1]
    if twice:
        raise UsageError(f"{some(twice)} is given more than once; a model has no difference to itself")
    ours = set(classifiers[0].header.class_names)
    for name, classifier in zip(names, classifiers, strict=True):
        theirs = set(classifier.header.class_names)
        if ours != theirs:
            raise UsageError(
                f"{name} has other classes than {names[0]}: without {some(sorted(ours - theirs)) or 'none'}, "
                f"but with {some(sorted(theirs - ours)) or 'none'}; compare models of the same classes"
            )


def in_common(helds: Sequence[HeldOut], names: Sequence[str]) -> list[HeldOut]:
    """Leave of each model's images those that all have.

    Raises:
        UsageError: there are none.

    """
    shared = frozenset.intersection(*(frozenset(held.samples.names) for held in helds))
    if not shared:
        held = ", ".join(
            f"{len(each.samples):,} from {name}" for name, each in zip(names, helds, strict=True)
        )
        raise UsageError(
            f"no image was held out from every model ({held}): they were trained with other seeds or data; "
            f"train them with the same --seed, or compare them on images that none has seen"
        )
    samples = helds[0].samples.named(shared)
    return [replace(held, samples=samples) for held in helds]


def measure(
    classifiers: Sequence[Classifier], helds: Sequence[HeldOut], dataset: DataSet, options: ReadOptions
) -> list[tuple[Evaluation, Tensor]]:
    """Return each model's result, and its input of one batch `(N, C, S, S)`.

    Models that preprocess in the same way see the same reading of the images.
    """
    class_names = classifiers[0].header.class_names
    reading = classifiers[0].reading(**options)
    found: dict[int, tuple[Evaluation, Tensor]] = {}
    for preprocess in dict.fromkeys(classifier.header.preprocess for classifier in classifiers):
        with open_held(dataset, helds[0], class_names, preprocess, reading) as images:
            opened = replace(images, on_measured=options.get("on_measured", ignore))
            batch, _ = next(iter(opened.batches()))
            for place, classifier in enumerate(classifiers):
                if classifier.header.preprocess == preprocess:
                    held = replace(opened, held=replace(helds[place], samples=opened.held.samples))
                    found[place] = judge(classifier, held, class_names), batch
    check_names([evaluation for evaluation, _ in found.values()])
    return [found[place] for place in range(len(classifiers))]


def judge(classifier: Classifier, opened: Opened, class_names: tuple[str, ...]) -> Evaluation:
    """Measure a model on images that are labelled in this order of classes."""
    logits, truth = classifier.logits(opened)
    order = [classifier.header.class_names.index(name) for name in class_names]
    result = calibrated(
        logits[:, order],
        classifier.header.temperature,
        lambda scores: summarise(scores, truth, class_names, opened.held.part, opened.names),
    )
    return replace(result, **opened.about)


def check_names(evaluations: Sequence[Evaluation]) -> None:
    """Make sure that all models were measured on the same images.

    Raises:
        DataError: an image could be read for one model and not for another.

    """
    if len({evaluation.answers.names for evaluation in evaluations}) > 1:
        raise DataError("some images changed while they were read; try again when the data is left alone")


def cost_of(classifier: Classifier) -> Cost:
    """Count what a model costs for one image of its own size."""
    header = classifier.header
    return cost(header.spec, header.num_classes, header.preprocess.resolution)
