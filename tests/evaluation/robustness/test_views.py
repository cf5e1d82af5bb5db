"""Test-time augmentation: what the views are, what their mean is worth and costs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import effnet
from corrupted_scenes import scenes
from effnet.evaluation.classifier import load
from effnet.evaluation.robustness.follow import ignore
from effnet.evaluation.robustness.tta import VIEWS, Augmented, ViewsName, measure_views, probs_of, shifted
from effnet.evaluation.robustness.words import views_words
from tiny_models import HEADER, folder, write

NAMES: tuple[ViewsName, ...] = ("flip", "shifts", "flip-shifts")


def measure(tmp_path: Path, name: ViewsName, images: int = 4) -> tuple[Augmented, torch.Tensor]:
    """Return the result and the mean of probabilities computed by hand."""
    data = folder(tmp_path / "data", "ant", "bee", "fly", images=images)
    classifier = load(write(tmp_path / "model.safetensors", replace(HEADER, temperature=1.5)), device="cpu")
    with classifier.opened(data) as opened:
        single = classifier.judge(opened)
        found = measure_views(classifier, opened, single, name=name, follow=ignore)
        probs = [torch.from_numpy(probs_of(classifier, opened, view)) for view in VIEWS[name]]
    return found, torch.stack(probs).mean(0)


@pytest.mark.parametrize(("name", "count"), [("flip", 2), ("shifts", 5), ("flip-shifts", 10)])
def test_views_are_different_and_begin_with_the_image(name: ViewsName, count: int) -> None:
    image = scenes(1, 32)
    views = [view(image) for view in VIEWS[name]]
    assert torch.equal(views[0], image)
    assert len({each.numpy().tobytes() for each in views}) == count
    assert {(each.shape, each.dtype) for each in views} == {(image.shape, torch.uint8)}


@pytest.mark.parametrize(("side", "step"), [(8, 1), (32, 2), (224, 14)])
def test_images_move_by_a_sixteenth_of_their_side(side: int, step: int) -> None:
    image = scenes(1, side)
    moved = shifted(image, down=1, right=-1)
    assert torch.equal(moved[..., step:, : side - step], image[..., : side - step, step:])
    assert torch.equal(moved[..., :step, 0], image[..., :1, step].expand(-1, -1, step))


@pytest.mark.parametrize("name", NAMES)
def test_the_mean_is_that_of_calibrated_probabilities(tmp_path: Path, name: ViewsName) -> None:
    found, expected = measure(tmp_path, name)
    np.testing.assert_allclose(found.evaluation.answers.probs, expected.numpy(), rtol=1e-4, atol=1e-6)


def test_one_call_opens_and_measures(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", "ant", "bee", "fly")
    classifier = load(write(tmp_path / "model.safetensors"), device="cpu")
    assert effnet.views(classifier, data, name="shifts").num_views == 5


def test_the_result_is_compared_with_one_view_and_says_its_cost(tmp_path: Path) -> None:
    found, _ = measure(tmp_path, "flip")
    single_errors = found.evaluation.num_errors + found.contrast.only_first - found.contrast.only_second
    assert found.contrast.num_images == found.evaluation.num_images == 12
    assert 0 <= single_errors <= 12
    assert found.to_dict().keys() >= {"views", "num_views", "top1", "against_one_view", "milliseconds"}
    assert found.milliseconds > 0
    assert "it costs 2 times the computation" in views_words(found)
    assert "itself and its mirror image" in views_words(found)
