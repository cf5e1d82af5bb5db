"""Where a network looked: when it was wrong, for what it said and for what is true; when it was right."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from effnet.data.datasets import Samples
from effnet.device import kept_memory
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.explanation import ClassMap, class_maps, read_batches, single_cell
from effnet.evaluation.heat import overlay, seen
from effnet.evaluation.mistakes import Hit, Mistake
from effnet.evaluation.page import Picture, embedded
from effnet.inference.inputs import refuse


@dataclass(frozen=True)
class Look:
    """The map of a class over what the network saw."""

    word: str
    """Which class it is of: said or true."""
    name: str
    picture: Picture


@dataclass(frozen=True)
class _Wanted:
    """An image, and the classes to map on it: word, class, probability; of all images as many."""

    name: str
    classes: tuple[tuple[str, str, float], ...]


def map_mistakes(
    classifier: Classifier, mistakes: Sequence[Mistake], samples: Samples
) -> list[tuple[Look, ...]]:
    """Map, for each mistake, the predicted class and the true one, by CAM.

    Where the network ends in a single cell there is nothing to see, and each mistake has no map.

    Raises:
        DataError: an image is gone or damaged.

    """
    if single_cell(classifier.header) is not None:
        return [() for _ in mistakes]
    wanted = [
        _Wanted(
            each.name,
            (("said", each.predicted, each.probability), ("true", each.truth, each.true_probability)),
        )
        for each in mistakes
    ]
    return [looks for _, looks in _mapped(classifier, wanted, samples)]


def map_hits(
    classifier: Classifier, hits: Sequence[Hit], samples: Samples
) -> list[tuple[Hit, Picture, Look]]:
    """Map, for each right answer, its class, by CAM: the answer, what the network saw, the map.

    Where the network ends in a single cell there is nothing to see, and the list is empty.

    Raises:
        DataError: an image is gone or damaged.

    """
    if single_cell(classifier.header) is not None:
        return []
    wanted = [_Wanted(hit.name, (("said", hit.truth, hit.probability),)) for hit in hits]
    mapped = _mapped(classifier, wanted, samples)
    return [(hit, image, look) for hit, (image, (look,)) in zip(hits, mapped, strict=True)]


def _mapped(
    classifier: Classifier, wanted: Sequence[_Wanted], samples: Samples
) -> list[tuple[Picture, tuple[Look, ...]]]:
    """Return what the network saw of each image, and the maps."""
    found: list[tuple[Picture, tuple[Look, ...]]] = []
    images = [samples.read(each.name) for each in wanted]
    index = classifier.header.class_names.index
    with kept_memory(classifier.device):
        for _, inputs in read_batches(classifier, images, refuse):
            batch = wanted[len(found) : len(found) + len(inputs)]
            classes = torch.tensor([[index(name) for _, name, _ in each.classes] for each in batch])
            maps = class_maps(classifier, inputs, classes, "cam")
            pixels = classifier.header.preprocess.denormalise(inputs.numpy())
            for each, image, cells in zip(batch, pixels, maps, strict=True):
                looks = (
                    Look(word, name, embedded(overlay(image, ClassMap(name, probability, of_one))))
                    for (word, name, probability), of_one in zip(each.classes, cells, strict=True)
                )
                found.append((embedded(seen(image)), tuple(looks)))
    return found
