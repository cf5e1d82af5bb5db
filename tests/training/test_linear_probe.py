"""The probe: its classifier is scikit-learn's regression, and its model file is like any other."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import effnet
from effnet.errors import DataError, UsageError
from effnet.evaluation.classifier import load
from effnet.training.regression import STRENGTHS, Features, choose
from effnet.training.results import TrainResult
from tiny_origins import DIGITS, FEW, moved, write

LETTERS = tuple("abcdefghij")


def features(num_classes: int, count: int = 90, seed: int = 0) -> Features:
    """Draw features of very different scales, whose means depend on the class; one is always the same."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % num_classes
    drawn = torch.randn(count, 6, generator=generator) + 0.8 * labels[:, None] * torch.eye(6)[0]
    scaled = drawn * torch.tensor([1.0, 100.0, 0.01, 1.0, 5.0, 0.0]) + torch.tensor(
        [0.0, 50.0, 0.0, -3.0, 0.0, 7.0]
    )
    return scaled, labels


@pytest.mark.parametrize("num_classes", [2, 3])
def test_the_classifier_gives_the_probabilities_of_scikit_learn(num_classes: int) -> None:
    train, val = features(num_classes), features(num_classes, seed=1)
    found, linear = choose(train, val, LETTERS[:num_classes], "none")
    model = make_pipeline(StandardScaler(), LogisticRegression(C=found.C, max_iter=5000, tol=1e-8))
    model.fit(train[0].double().numpy(), train[1].numpy())
    expected = model.predict_proba(val[0].double().numpy())
    np.testing.assert_allclose(linear.logits(val[0]).softmax(1).numpy(), expected, atol=5e-3)


def test_no_other_strength_is_better_on_the_validation_images() -> None:
    train, val = features(3), features(3, seed=1)
    found, _ = choose(train, val, "abc", "none")
    scores = []
    for strength in STRENGTHS:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=5000))
        scores.append(model.fit(train[0].numpy(), train[1].numpy()).score(val[0].numpy(), val[1].numpy()))
    assert found.top1 == pytest.approx(max(scores), abs=0.5 / len(val[1]))


def test_unequal_classes_can_be_balanced() -> None:
    drawn, labels = features(2, count=200)
    rare = torch.cat([torch.nonzero(labels == 0)[:, 0], torch.nonzero(labels == 1)[:10, 0]])
    train, val = (drawn[rare], labels[rare]), features(2, seed=1)
    shares = [
        choose(train, val, "ab", balance)[1].logits(val[0]).softmax(1)[:, 1].mean()
        for balance in ("none", "weights")
    ]
    assert shares[0] < shares[1]


def probe(source: Path, out: Path, **settings: Any) -> TrainResult:
    return effnet.train("digits", source=str(source), probe=True, out=out, **FEW | settings)


def test_nothing_but_the_classifier_is_new(tmp_path: Path) -> None:
    source = write(tmp_path / "source.safetensors")
    assert moved(source, probe(source, tmp_path / "run").model_path) == {
        "classifier.weight",
        "classifier.bias",
    }


def test_a_probe_of_other_classes_is_evaluated_exported_and_explained_like_any_model(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    result = probe(write(tmp_path / "source.safetensors", LETTERS), tmp_path / "run")
    model = load(result.model_path)
    assert model.header.class_names == DIGITS
    assert model.evaluate("digits").top1 == result.evaluation.top1
    assert result.evaluation.top1 > 0.3  # by chance a tenth; the features are those of random weights
    effnet.export(result.model_path, tmp_path / "probe.onnx")
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8))
    exported = effnet.load(tmp_path / "probe.onnx").predict(image)[0]
    own = model.predict(image)[0]
    assert [answer[0] for answer in exported.classes] == [answer[0] for answer in own.classes]


def test_a_probe_says_what_it_is(tmp_path: Path) -> None:
    result = probe(write(tmp_path / "source.safetensors"), tmp_path / "run")
    recorded = effnet.load(result.model_path).header.training["probe"]
    assert recorded["C"] in STRENGTHS
    assert result.to_dict()["probe"] == recorded
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
    caution = load(result.model_path).evaluate("digits", split="val").caution
    assert caution is not None
    assert caution.startswith("these images also chose the regularisation; ")


def test_a_class_without_readable_images_is_named() -> None:
    drawn, labels = features(3)
    with pytest.raises(DataError, match="class 'd' has no readable image"):
        choose((drawn, labels), (drawn, labels), "abcd", "none")


def test_a_probe_needs_weights(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--probe needs --from MODEL"):
        effnet.train("digits", probe=True, out=tmp_path)


def test_a_probe_has_no_teacher(tmp_path: Path) -> None:
    source = write(tmp_path / "source.safetensors")
    with pytest.raises(UsageError, match="--probe and --teacher exclude each other"):
        probe(source, tmp_path / "run", teacher=str(source))
