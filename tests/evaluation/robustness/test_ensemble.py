"""Models that answer together: the mean of their probabilities against the best of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from effnet.evaluation.classifier import load
from effnet.evaluation.comparison.compare import compare
from effnet.evaluation.robustness.ensemble import Ensemble, ensemble
from effnet.evaluation.robustness.words import ensemble_words, hopeless
from effnet.evaluation.significance import mcnemar
from tiny_models import always, folder, write

CLASSES = ("ant", "bee", "fly")


def together(tmp_path: Path, *answers: tuple[str, float]) -> Ensemble:
    """Let models that always say the same, each at a temperature of its own, answer together."""
    for name, count in (("ant", 6), ("bee", 3), ("fly", 1)):
        folder(tmp_path / "data", name, images=count)
    models = []
    for number, (answer, temperature) in enumerate(answers):
        header, changes = always(answer, *CLASSES)
        path = tmp_path / f"{answer}{number}.safetensors"
        models.append(load(write(path, replace(header, temperature=temperature), changes), device="cpu"))
    return ensemble(compare(models, tmp_path / "data"))


def test_the_surest_models_decide(tmp_path: Path) -> None:
    found = together(tmp_path, ("ant", 20.0), ("bee", 1.0))
    assert set(found.evaluation.answers.predicted.tolist()) == {1}
    assert found.evaluation.top1 == pytest.approx(0.3)


def test_probabilities_are_the_mean_of_those_of_the_members(tmp_path: Path) -> None:
    found = together(tmp_path, ("ant", 1.0), ("bee", 2.0), ("fly", 4.0))
    members = [each.evaluation.answers.probs for each in found.comparison.contenders]
    np.testing.assert_allclose(found.evaluation.answers.probs, np.mean(members, axis=0), rtol=1e-5)


def test_it_is_compared_with_the_best_member(tmp_path: Path) -> None:
    found = together(tmp_path, ("bee", 1.0), ("ant", 5.0))
    assert found.best.label == "ant1"
    assert (found.contrast.only_first, found.contrast.only_second) == (3, 6)
    assert found.contrast.p_value == mcnemar(3, 6)
    assert "−30.00 points against ant1" in ensemble_words(found)
    assert "ant1 is the best one on these very images, which favours it" in ensemble_words(found)


def test_what_no_member_knows_is_counted_and_costs_add_up(tmp_path: Path) -> None:
    found = together(tmp_path, ("ant", 1.0), ("bee", 1.0))
    assert found.num_hopeless == 1
    assert found.macs == sum(each.cost.macs for each in found.comparison.contenders)
    assert found.to_dict()["wrong_of_all"] == 1
    assert found.to_dict()["members"] == ["ant0", "bee1"]


def test_no_hopeless_image_is_said_in_words() -> None:
    assert hopeless(0) == "about each image at least one model is right"
    assert hopeless(1) == "about 1 image every model is wrong"
