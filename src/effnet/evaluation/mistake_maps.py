"""Where a network looked when it was wrong: maps for the class it said, and for the true one."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from effnet.data.datasets import Samples
from effnet.device import kept_memory
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.explanation import ClassMap, class_maps, single_cell
from effnet.evaluation.heat import overlay
from effnet.evaluation.inputs import read_batches, refuse
from effnet.evaluation.mistakes import Mistake
from effnet.evaluation.page import Picture, embedded


@dataclass(frozen=True)
class Look:
    """The map of a class over what the network saw."""

    word: str
    """Which class of a mistake it is of: said or true."""
    name: str
    picture: Picture


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
    looks: list[tuple[Look, ...]] = []
    images = [samples.read(mistake.name) for mistake in mistakes]
    index = classifier.header.class_names.index
    with kept_memory(classifier.device):
        for _, inputs in read_batches(images, classifier.header.preprocess, refuse):
            wrong = mistakes[len(looks) : len(looks) + len(inputs)]
            classes = torch.tensor([[index(each.predicted), index(each.truth)] for each in wrong])
            maps = class_maps(classifier, inputs, classes, "cam")
            pixels = classifier.header.preprocess.denormalise(inputs.numpy())
            for mistake, seen, (said, true) in zip(wrong, pixels, maps, strict=True):
                both = (
                    ("said", ClassMap(mistake.predicted, mistake.probability, said)),
                    ("true", ClassMap(mistake.truth, mistake.true_probability, true)),
                )
                looks.append(tuple(Look(word, one.name, embedded(overlay(seen, one))) for word, one in both))
    return looks
