"""The temperature: found where it is known, refused where there is none, written whole."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

import effnet
from effnet import modelfile
from effnet.cli.main import main
from effnet.errors import DataError, EffnetError, UsageError
from effnet.evaluation.classifier import Classifier, load
from effnet.evaluation.metrics import summarise
from effnet.evaluation.temperature import HIGHEST, LOWEST, calibrate, fit, fit_temperature
from effnet.exporting.handing import export_to


def answers(scale: float, count: int = 4000, num_classes: int = 5) -> tuple[Tensor, Tensor]:
    """Return logits that are `scale` times too far apart, and labels drawn by what they should be."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(count, num_classes, generator=generator)
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    return logits * scale, labels


@given(st.floats(0.1, 10.0))
def test_the_temperature_is_how_much_too_far_apart_logits_are(scale: float) -> None:
    logits, labels = answers(scale)
    assert fit_temperature(logits.double(), labels) == pytest.approx(scale, rel=0.06)


def test_no_other_temperature_has_a_lower_loss() -> None:
    logits, labels = answers(3.0)
    best = fit_temperature(logits.double(), labels)
    losses = {
        factor: F.cross_entropy(logits.double() / (factor * best), labels) for factor in (0.99, 1.0, 1.01)
    }
    assert min(losses, key=losses.__getitem__) == 1.0


def test_calibration_lowers_the_error_on_images_it_was_not_fitted_on() -> None:
    found = fit(*answers(3.0))
    assert found.is_crossed
    assert found.before.ece > 0.1
    assert found.after.ece < 0.03
    assert found.after.loss < found.before.loss
    assert found.after.brier < found.before.brier
    assert found.is_significant
    assert found.gain == pytest.approx(found.before.loss - found.after.loss, abs=0.01)


def test_after_calibration_nothing_is_left_to_gain() -> None:
    found = fit(*answers(1.0))
    assert found.temperature == pytest.approx(1.0, abs=0.06)
    assert not fit(*answers(found.temperature)).is_significant


def test_numbers_before_are_those_of_the_evaluation() -> None:
    logits, labels = answers(2.0)
    before, result = fit(logits, labels).before, summarise(logits, labels, tuple("abcde"), "val")
    assert (before.loss, before.ece, before.brier) == pytest.approx((result.loss, result.ece, result.brier))


def test_answers_without_sense_end_at_the_limit() -> None:
    logits, labels = answers(1.0)
    found = fit(logits.flip(0), labels)
    assert found.is_at_limit
    assert found.temperature == pytest.approx(HIGHEST, rel=0.01)


def test_a_network_that_is_always_right_cannot_be_calibrated() -> None:
    with pytest.raises(DataError, match=r"right on all 5 validation images.*hold more images out"):
        fit(torch.eye(5), torch.arange(5))


def test_outputs_that_are_no_numbers_cannot_be_calibrated() -> None:
    with pytest.raises(DataError, match="not finite"):
        fit(torch.tensor([[float("nan"), 0.0]]), torch.tensor([0]))


def test_with_a_single_error_the_numbers_are_those_of_the_images_fitted_on() -> None:
    labels = torch.arange(10) % 2
    logits = F.one_hot(labels, 2) * 4.0
    logits[0] = logits[0].flip(0)
    found = fit(logits, labels)
    assert not found.is_crossed
    assert LOWEST < found.temperature < HIGHEST
    assert found.gain == pytest.approx(found.before.loss - found.after.loss)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "digits"
    effnet.train("digits", out=folder, epochs=1, resolution=8, phi=-8.0, data={"max_train": 300})
    return folder / "model.safetensors"


@pytest.fixture
def model(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(trained, tmp_path / "model.safetensors"))


def test_the_file_keeps_its_weights_bit_for_bit_and_all_it_said(model: Path) -> None:
    header, arrays = modelfile.load(model)
    _, found = calibrate(load(model), "digits")
    after, weights = modelfile.load(model)
    assert after.temperature == found.temperature != 1.0
    assert arrays.keys() == weights.keys()
    assert all(np.array_equal(arrays[name], weights[name]) for name in arrays)
    assert {**after.metrics} == {**header.metrics, "calibration": found.to_dict()}
    assert replace(after, temperature=1.0, metrics=header.metrics) == header


def test_it_is_fitted_on_the_images_that_chose_the_epoch_and_only_those(model: Path) -> None:
    classifier = load(model)
    logits = classifier.evaluate("digits", split="val").answers
    _, found = calibrate(classifier, "digits")
    assert found.num_images == len(logits.labels) == len(classifier.header.split["val"])
    assert found.before.loss == pytest.approx(classifier.evaluate("digits", split="val").loss, rel=1e-5)


def test_all_predictions_use_it_afterwards(model: Path) -> None:
    before = load(model).evaluate("digits")
    calibrated, found = calibrate(load(model), "digits")
    for classifier in (calibrated, load(model)):
        result = classifier.evaluate("digits")
        assert result.uncalibrated is not None
        assert result.uncalibrated.loss == before.loss
        assert (result.temperature, result.num_errors) == (found.temperature, before.num_errors)


def test_calibrating_twice_changes_nothing(model: Path) -> None:
    calibrate(load(model), "digits")
    header, weights = modelfile.load(model)
    calibrate(load(model), "digits")
    again, same = modelfile.load(model)
    assert again == header
    assert all(np.array_equal(same[name], weights[name]) for name in weights)


def test_a_classifier_without_a_file_is_calibrated_in_memory(model: Path) -> None:
    loaded = load(model)
    calibrated, found = calibrate(Classifier(loaded.header, loaded.network, loaded.device), "digits")
    assert calibrated.header.temperature == found.temperature
    assert modelfile.load_header(model).temperature == 1.0


def test_a_file_that_cannot_be_written_stays_as_it_was(model: Path) -> None:
    before = model.read_bytes()
    moved = model.with_name("other.safetensors")
    classifier = load(model)
    model.rename(moved)
    model.mkdir()
    with pytest.raises(EffnetError, match="is a folder"):
        calibrate(classifier, "digits")
    assert moved.read_bytes() == before


def folder(root: Path) -> Path:
    for name in map(str, range(10)):
        (root / name).mkdir(parents=True)
        for number in range(2):
            Image.new("L", (8, 8), 10 * number).save(root / name / f"{number}.png")
    return root


def test_other_images_have_no_validation_part(model: Path, tmp_path: Path) -> None:
    data = folder(tmp_path / "data")
    with pytest.raises(UsageError) as caught:
        calibrate(load(model), data)
    assert str(caught.value).startswith(
        "data has no validation part (none of the 143 images that were drawn when the model was trained "
    )
    assert str(caught.value).endswith("or a folder with train/ and val/")


def test_a_model_for_which_nothing_was_drawn_says_so(model: Path, tmp_path: Path) -> None:
    header, arrays = modelfile.load(model)
    modelfile.save(model, replace(header, split={}), arrays)
    with pytest.raises(UsageError, match="none was drawn from it for this model"):
        calibrate(load(model), folder(tmp_path / "data"))


def test_the_command_prints_before_and_after(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(model), "digits", "--calibrate"]) == 0
    printed = capsys.readouterr()
    temperature = modelfile.load_header(model).temperature
    assert f"temperature {temperature:.3f}, fitted on 143 validation images" in printed.out
    assert "before calibration" in printed.out
    assert f"the temperature is in {model}" in printed.err
    assert main(["show", str(model)]) == 0
    shown = capsys.readouterr().out
    assert f"calibrated to temperature {temperature:.4g}" in shown
    assert shown.count("(before calibration)") == 1  # what was measured when it was trained


def test_the_card_of_a_calibrated_model_says_what_was_measured_before(model: Path, tmp_path: Path) -> None:
    export_to(model, tmp_path / "before", target="hub")
    calibrate(load(model), "digits")
    export_to(model, tmp_path / "after", target="hub")
    said = "are those before calibration"
    assert [said in (tmp_path / name / "README.md").read_text() for name in ("before", "after")] == [
        False,
        True,
    ]


def test_the_command_gives_it_as_json(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(model), "digits", "--calibrate", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["calibration"]["part"] == "val"
    assert found["temperature"] == found["calibration"]["temperature"]
    assert found["calibration"].keys() >= {"before", "after", "is_crossed", "num_images", "is_significant"}
    assert found["uncalibrated"]["loss"] != found["loss"]


def test_the_validation_part_is_no_test_of_its_own_temperature(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(model), "digits", "--calibrate", "--split", "val"]) == 0
    assert "these images also chose the epoch and the temperature" in capsys.readouterr().out


def test_several_models_are_not_calibrated_at_once(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(model), "other.safetensors", "digits", "--calibrate"]) == 2
    assert "--calibrate takes one model" in capsys.readouterr().err
