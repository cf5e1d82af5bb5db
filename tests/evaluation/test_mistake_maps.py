"""Maps of mistakes: of the class that was said and of the true one, over the right image."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import effnet
from effnet.data.datasets import DataSet, Samples
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.heat import overlay, seen
from effnet.evaluation.metrics import summarise
from effnet.evaluation.mistake_maps import map_hits, map_mistakes
from effnet.evaluation.mistakes import Hit, Mistake
from effnet.evaluation.page import embedded
from effnet.spec.families import B0
from effnet.spec.scale import scale
from html_page import Page, open_page
from random_models import NAMES, classifier_of, noise

MISTAKES = (Mistake("7", "bee", "fox", 0.9, 0.05), Mistake("3", "ant", "eel", 0.8, 0.1))
SAMPLES = Samples(tuple("0123456789"), np.zeros(10, dtype=np.int64), lambda name: noise(int(name)))


def test_each_mistake_has_the_maps_of_what_was_said_and_of_what_is_true() -> None:
    model = classifier_of()
    looks = map_mistakes(model, MISTAKES, SAMPLES)
    assert [[(look.word, look.name) for look in of_one] for of_one in looks] == [
        [("said", "fox"), ("true", "bee")],
        [("said", "eel"), ("true", "ant")],
    ]
    for mistake, of_one in zip(MISTAKES, looks, strict=True):
        (explanation,) = model.explain(SAMPLES.read(mistake.name), classes=[mistake.predicted, mistake.truth])
        pictures = [embedded(overlay(explanation.pixels, one)) for one in explanation.maps]
        assert [look.picture for look in of_one] == pictures


def test_without_mistakes_there_are_no_maps() -> None:
    assert map_mistakes(classifier_of(), [], SAMPLES) == []


def report(folder: Path, model: Classifier) -> Page:
    """Write the report of a model that is always wrong about two images."""
    names = ("0.png", "1.png")
    samples = Samples(names, np.array([1, 0]), lambda name: Image.new("RGB", (40, 40), "red"))
    data = DataSet("pictures", NAMES, {"test": samples}, source="pictures")
    evaluation = summarise(torch.eye(2, len(NAMES)) * 9, torch.tensor([1, 0]), NAMES, "test", names)
    return open_page(effnet.write_report(evaluation, folder, classifier=model, data=data))


def test_the_report_shows_both_maps_of_a_mistake(tmp_path: Path) -> None:
    alternatives = [image["alt"] for image in report(tmp_path, classifier_of()).of("img")]
    assert alternatives.count("Map for ant, which is what the network said") == 1
    assert alternatives.count("Map for bee, which is what is true") == 1


def test_a_network_that_ends_in_a_single_cell_has_a_report_without_maps(tmp_path: Path) -> None:
    page = report(tmp_path, classifier_of(replace(scale(B0, -8), resolution=32), side=32))
    assert "No maps: b0-phi-8 sees 32×32 pixels and ends in a single cell" in page.text
    assert not any("Map for" in str(image["alt"]) for image in page.of("img"))


def test_a_right_answer_has_what_the_network_saw_and_the_map_of_its_class() -> None:
    model = classifier_of()
    (found,) = map_hits(model, [Hit("3", "bee", 0.9)], SAMPLES)
    (explanation,) = model.explain(SAMPLES.read("3"), classes=["bee"])
    hit, image, look = found
    assert (hit.truth, look.word, look.name) == ("bee", "said", "bee")
    assert image == embedded(seen(explanation.pixels))
    assert look.picture == embedded(overlay(explanation.pixels, explanation.maps[0]))


def test_a_network_that_ends_in_a_single_cell_has_no_maps_of_right_answers() -> None:
    model = classifier_of(replace(scale(B0, -8), resolution=32), side=32)
    assert map_hits(model, [Hit("3", "bee", 0.9)], SAMPLES) == []
