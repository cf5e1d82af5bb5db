"""A model file of half the size answers as before, or is not written."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from effnet import modelfile
from effnet.cli.main import main
from effnet.errors import ModelFileError, UsageError
from effnet.evaluation.classifier import Classifier
from effnet.exporting.half import KEY, export_half
from effnet.exporting.parity import ParityError
from effnet.loading import load
from effnet.spec.families import B0_CIFAR
from effnet.spec.scale import scale
from effnet.weightfile import HALF_LIMIT, halved, widened
from settled import classifier_of, saved

SPEC = scale(B0_CIFAR, -8)
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(classifier_of(SPEC), tmp_path_factory.mktemp("models") / "ein Modell.safetensors")


@given(arrays(np.float32, (3, 4), elements=st.floats(-100, 100, width=32)))
def test_kernels_lose_no_more_than_the_limit(kernel: np.ndarray) -> None:
    back = widened(halved({"kernel": kernel}))["kernel"]
    assert back.dtype == np.float32
    assert np.linalg.norm(back - kernel) <= 1.01 * HALF_LIMIT * np.linalg.norm(kernel)


@pytest.mark.parametrize("value", [1e5, 1e-7])
def test_what_float16_cannot_hold_stays_float32(value: float) -> None:
    kernel = np.full((2, 2), value, np.float32)
    assert halved({"kernel": kernel})["kernel"] is kernel


def test_statistics_and_counts_stay_as_they_are() -> None:
    given = {"running_var": np.ones(3, np.float32), "num_batches_tracked": np.array(7)}
    assert {name: array.dtype for name, array in halved(given).items()} == {
        "running_var": np.float32,
        "num_batches_tracked": np.int64,
    }


def test_the_file_is_about_half_as_large(model: Path, tmp_path: Path) -> None:
    export_half(model, tmp_path / "half.safetensors")
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * model.stat().st_size


def test_it_is_the_same_model_file_but_for_the_record(model: Path, tmp_path: Path) -> None:
    found = export_half(model, tmp_path / "half.safetensors")
    before, after = modelfile.load_header(model), modelfile.load_header(tmp_path / "half.safetensors")
    assert replace(after, training=before.training) == before
    assert after.training[KEY]["parity"]["agreement"] == found.parity.agreement == 1.0


def test_the_loaded_network_computes_in_float32(model: Path, tmp_path: Path) -> None:
    export_half(model, tmp_path / "half.safetensors")
    network = load(tmp_path / "half.safetensors").network  # type: ignore[union-attr]
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_what_is_halved_already_is_refused(model: Path, tmp_path: Path) -> None:
    export_half(model, tmp_path / "half.safetensors")
    with pytest.raises(UsageError, match=r"half\.safetensors is in half precision already"):
        export_half(tmp_path / "half.safetensors", tmp_path / "quarter.safetensors")


def test_real_images_are_compared_and_counted(tmp_path: Path, digits_model: Path) -> None:
    found = export_half(digits_model, tmp_path / "half.safetensors", check_on="digits")
    assert found.parity.num_real > 300
    assert found.top1 is not None
    assert found.top1[0] == pytest.approx(found.top1[1], abs=0.02)


@pytest.fixture(scope="module")
def digits_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from effnet.data.datasets import open_dataset

    names = open_dataset("digits").class_names
    base = classifier_of(SPEC)
    header = replace(base.header, class_names=names, split={})
    return saved(classifier_of(SPEC, header=header), tmp_path_factory.mktemp("digits") / "m.safetensors")


def cancelling(classifier: Classifier) -> Classifier:
    """Let two channels be each other's opposite, and give both the same large weight in the next layer.

    What remains of the sum is in digits that float16 does not have.
    """
    first, second = classifier.network.stages[0][-1].project, classifier.network.stages[1][0].expand  # type: ignore[index]
    with torch.no_grad():
        first.conv.weight[1] = -first.conv.weight[0]
        first.norm.weight[1], first.norm.bias[1] = first.norm.weight[0], -first.norm.bias[0]
        first.norm.running_mean[1] = -first.norm.running_mean[0]
        first.norm.running_var[1] = first.norm.running_var[0]
        second.conv.weight[:, :2] += 1000.0
    return classifier


def test_a_network_that_amplifies_rounding_is_refused(tmp_path: Path) -> None:
    classifier = cancelling(classifier_of(SPEC))
    with pytest.raises(ParityError, match="no file was written"):
        export_half(classifier, tmp_path / "half.safetensors")
    assert not (tmp_path / "half.safetensors").exists()


def test_infinite_float16_is_refused_when_read(model: Path, tmp_path: Path) -> None:
    header, stored = modelfile.load_stored(model)
    broken = stored | {"stem.conv.weight": np.full_like(stored["stem.conv.weight"], np.inf, np.float16)}
    modelfile.save(tmp_path / "m.safetensors", header, broken)
    with pytest.raises(ModelFileError, match=r"not finite numbers: stem\.conv\.weight"):
        load(tmp_path / "m.safetensors")


def test_a_wrong_suffix_is_told_before_the_work(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"must end in \.safetensors"):
        export_half(model, tmp_path / "half.onnx")


def test_the_command_says_what_was_proved(model: Path, tmp_path: Path, capsys: Capture) -> None:
    assert main(["export", str(model), "--target", "half", "--out", str(tmp_path / "h.safetensors")]) == 0
    text = capsys.readouterr().out
    assert "kernels in float16; computed in float32" in text
    assert "64 random images: logits differ by at most" in text


def test_the_command_answers_programs(model: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "h.safetensors"
    assert main(["export", str(model), "--target", "half", "--out", str(out), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["path"], answer["parity"]["agreement"], answer["top1"]) == (str(out), 1.0, None)


def test_flags_of_onnx_files_are_refused(model: Path, tmp_path: Path, capsys: Capture) -> None:
    out = str(tmp_path / "h.safetensors")
    assert main(["export", str(model), "--target", "half", "--int8", "--out", out]) == 2
    assert "--int8 is for ONNX files, not for --target half" in capsys.readouterr().err


def test_a_damaged_record_is_one_line(model: Path, tmp_path: Path, capsys: Capture) -> None:
    header, stored = modelfile.load_stored(model)
    damaged = replace(header, training={KEY: {"source": 3}})
    modelfile.save(tmp_path / "m.safetensors", damaged, stored)
    assert main(["show", str(tmp_path / "m.safetensors")]) == 1
    assert "the record of half precision is damaged" in capsys.readouterr().err
