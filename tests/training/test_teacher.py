"""Distillation: what the loss is, what the teacher sees, and that it is needed only at the start."""

import hashlib
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import finished, fit, tiny, trainer
from torch import Tensor, nn
from torch.nn import functional as F
from whole_runs import Listener, StopError, assert_same_run

import effnet
from effnet import modelfile
from effnet.errors import DataError, ModelFileError, UsageError
from effnet.evaluation.classifier import load
from effnet.evaluation.metrics import predict_logits
from effnet.imaging.preprocess import Preprocess
from effnet.training.compute import PLAIN
from effnet.training.results import TrainResult
from effnet.training.teacher import Adapt, Mentor, mentor
from effnet.transfer.settings import DistillConfig
from tiny_origins import DIGITS, FEW, write

CPU = torch.device("cpu")


class Fixed(nn.Module):
    """Answers the same to every batch."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, images: Tensor) -> Tensor:
        return self.logits


def fixed(logits: Tensor, config: DistillConfig) -> Mentor:
    order = torch.arange(logits.shape[1])
    return Mentor(Fixed(logits), order, nn.Identity(), config, PLAIN)


def answers(seed: int) -> Tensor:
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(seed))


@given(st.floats(0.1, 1.0), st.floats(0.5, 20.0))
def test_the_loss_is_that_of_hinton(weight: float, temperature: float) -> None:
    config, labels_loss = DistillConfig(weight=weight, temperature=temperature), torch.tensor(0.7)
    theirs, ours = answers(1).double(), answers(2).double()
    p, q = (theirs / temperature).softmax(1), (ours / temperature).softmax(1)
    divergence = (p * (p / q).log()).sum(1).mean()
    expected = (1 - weight) * 0.7 + weight * temperature**2 * divergence
    found = fixed(theirs.float(), config).blend(torch.zeros(6, 1, 8, 8), ours.float(), labels_loss)
    assert found.item() == pytest.approx(expected.item(), rel=1e-3, abs=1e-5)


def test_who_answers_as_the_teacher_has_nothing_to_learn() -> None:
    logits = answers(3).requires_grad_()
    fixed(logits.detach(), DistillConfig(weight=1.0)).blend(
        torch.zeros(6, 1, 8, 8), logits, logits.sum()
    ).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits), atol=1e-6, rtol=0.0)


def test_the_teacher_sees_its_own_colours() -> None:
    mine = Preprocess(8, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    theirs = Preprocess(8, mean=(0.1, 0.2, 0.9), std=(0.5, 0.25, 0.1))
    pixels = torch.rand(2, 3, 8, 8)
    adapted = Adapt(mine, theirs, CPU)(mine.normalise(pixels))
    torch.testing.assert_close(adapted, theirs.normalise(pixels), atol=1e-5, rtol=1e-5)


def test_an_input_that_is_the_same_stays_the_same_bits() -> None:
    images = torch.randn(2, 1, 8, 8)
    same = Preprocess(8, mean=(0.3,), std=(0.35,))
    assert torch.equal(Adapt(same, same, CPU)(images), images)


def test_the_teacher_sees_its_own_resolution() -> None:
    mine, theirs = Preprocess(8, mean=(0.3,), std=(0.35,)), Preprocess(20, mean=(0.3,), std=(0.35,))
    flat = torch.full((2, 1, 8, 8), 0.25)
    torch.testing.assert_close(Adapt(mine, theirs, CPU)(flat), torch.full((2, 1, 20, 20), 0.25))


def test_classes_are_matched_by_name(tmp_path: Path) -> None:
    teacher = load(write(tmp_path / "teacher.safetensors", DIGITS[::-1]))
    images = torch.randn(3, 1, 8, 8)
    made = mentor(teacher, DIGITS, teacher.header.preprocess, DistillConfig(), PLAIN)
    torch.testing.assert_close(made.logits(images), teacher.network(images).flip(1))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("teacher") / "teacher.safetensors")


def distil(teacher: Path, out: Path, **settings: Any) -> TrainResult:
    reporter = settings.pop("reporter", None)
    small = FEW | {"phi": -8.0, "resolution": 8, "optim": {"lr": 0.01}} | settings
    return effnet.train("digits", teacher=str(teacher), out=out, reporter=reporter, **small)


def test_a_student_takes_after_its_teacher() -> None:
    """Its answers are nearer to the teacher's than those of a network that learned the labels alone."""
    learned, _, _ = finished()
    config = DistillConfig(weight=1.0, temperature=2.0)
    model = deepcopy(learned.network).eval()
    taught, alone = (trainer(tiny(epochs=5, seed=2), num_images=256) for _ in range(2))
    taught.teacher = Mentor(model, torch.arange(10), nn.Identity(), config, PLAIN)
    for each in (taught, alone):
        fit(each)
    target, ours, theirs = (
        predict_logits(network, taught.val)[0].softmax(1)
        for network in (model, taught.network, alone.network)
    )
    assert F.l1_loss(ours, target) < F.l1_loss(theirs, target)


def test_the_model_file_names_its_teacher(teacher: Path, tmp_path: Path) -> None:
    header = distil(teacher, tmp_path / "run", epochs=1).classifier.header
    assert header.training["teacher"]["source"] == str(teacher)
    assert header.training["teacher"]["sha256"] == hashlib.sha256(teacher.read_bytes()).hexdigest()
    assert not (tmp_path / "run" / "teacher.safetensors").exists()


def test_a_taught_run_resumes_in_the_same_bits_without_its_teacher(teacher: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(teacher.read_bytes())
    distil(teacher, tmp_path / "whole")
    with pytest.raises(StopError):
        distil(copy, tmp_path / "halves", reporter=Listener(epochs=1))
    copy.unlink()
    effnet.resume(tmp_path / "halves")
    assert_same_run(tmp_path / "halves", tmp_path / "whole")


def test_another_teacher_than_before_is_refused(teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(StopError):
        distil(teacher, tmp_path / "run", reporter=Listener(epochs=1))
    write(tmp_path / "run" / "teacher.safetensors", seed=2)
    with pytest.raises(ModelFileError, match="is not the model file that the training began with"):
        effnet.resume(tmp_path / "run")


def test_a_teacher_of_other_classes_is_refused(tmp_path: Path) -> None:
    teacher = write(tmp_path / "teacher.safetensors", (*DIGITS[:9], "ten"))
    with pytest.raises(DataError, match="it lacks 9, and has beside them ten"):
        distil(teacher, tmp_path / "run")


def test_a_teacher_of_other_channels_is_refused(teacher: Path, tmp_path: Path) -> None:
    coloured = {"channels": 3, "mean": [0.5] * 3, "std": [0.5] * 3}
    with pytest.raises(UsageError, match=r"takes 1 channels, and input\.channels = 3"):
        distil(teacher, tmp_path / "run", input=coloured)


def test_a_teacher_and_limits_go_together(teacher: Path, tmp_path: Path) -> None:
    settings = {name: value for name, value in FEW.items() if name != "epochs"} | {
        "resolution": 8,
        "epochs": 1,
    }
    result = effnet.train("digits", teacher=str(teacher), max_params="200k", out=tmp_path / "run", **settings)
    assert {"sizing", "teacher"} <= result.classifier.header.training.keys()
    assert sum(tensor.numel() for tensor in result.classifier.network.parameters()) <= 200_000


def test_a_damaged_header_of_origins_is_an_error(teacher: Path, tmp_path: Path) -> None:
    header, arrays = modelfile.load(teacher)
    modelfile.save(tmp_path / "odd.safetensors", replace(header, training={"teacher": "me"}), arrays)
    with pytest.raises(ModelFileError, match=r"training\.teacher is no dict"):
        effnet.load(tmp_path / "odd.safetensors")
