"""The benchmark of learning in minutes: who learns how, for how long, and what is not done twice."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import learners
import learning
import ledger
import minutes
import plain
from effnet.config import AugmentConfig
from effnet.data.augment import Augment
from effnet.data.datasets import DataSet, open_dataset
from effnet.data.mixing import Mix
from effnet.data.pixels import Pixels
from effnet.errors import DataError, UsageError
from effnet.imaging.preprocess import Preprocess
from effnet.training.optim import Horizon, lr_at
from effnet.training.parts import build_trainer
from effnet.training.reporter import Silent, StepRecord
from shard_sets import write_folder

FLAGS = ("--phi", "-6", "--resolution", "16", "--batch-size", "8", "--no-native", "--precision", "float32")
SMALL = plain.PlainSettings((4, 8, 8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    write_folder(root, 60, "train")
    return write_folder(root, 20, "test")


@pytest.fixture(scope="module")
def dataset(folder: Path) -> DataSet:
    return open_dataset(folder)


def ignore(record: StepRecord) -> None:
    """Follow nothing."""


def test_ours_learns_what_effnet_train_learns_in_as_many_steps(dataset: DataSet) -> None:
    parts, ours = learners.put_together(dataset, "ours", FLAGS, 3)
    assert learning.train(ours, learning.Counted(9), 3, ignore) == 9
    trainer = build_trainer(parts, Silent())
    trainer.total_steps = 9
    trainer.fit(ignore, lambda record: None)
    for mine, theirs in zip(
        ours.network.state_dict().values(), trainer.network.state_dict().values(), strict=True
    ):
        assert torch.equal(mine, theirs)


def test_a_timed_training_is_as_far_as_its_time_and_ends_in_it() -> None:
    moments = iter([100.0, 101.0, 102.0, 104.0, 109.5])
    clock = learning.Timed(110.0, lambda: next(moments))
    assert clock.total(0) == learning.UNKNOWN
    assert clock.total(1) == 10
    assert clock.total(4) == 20
    assert not clock.is_over(4)
    assert clock.is_over(9)


def test_a_timed_training_takes_one_step_in_any_case() -> None:
    assert not learning.Timed(-1.0).is_over(0)


def test_images_of_a_budget_are_those_that_the_minutes_allow_after_the_start() -> None:
    assert minutes.images_in(2, {"start_seconds": 20.0, "images_per_second": 10.0}) == 1000
    assert minutes.images_in(0.1, {"start_seconds": 20.0, "images_per_second": 10.0}) == 1


def test_flags_change_the_contender_that_is_tuned() -> None:
    contest = minutes.Contest("nowhere", 10.0, "wall", "plain", ("--batch-size", "64"), 1, tested=False)
    sizes = {name: learners.config_of(name, contest.flags_of(name), 0) for name in ("ours", "plain")}
    assert {name: config.batch_size for name, config in sizes.items()} == {"ours": 128, "plain": 64}
    assert sizes["plain"].augment.crop_padding == 2
    assert learners.config_of("ours", FLAGS, 3) == replace(
        learners.config_of("ours", ("--no-native", *FLAGS), 0), seed=3
    )


def test_what_is_described_are_changes() -> None:
    found = learners.describe("resnet-18-cifar", ())
    assert (found["config"]["optim"]["lr"], found["spec"]["name"]) == (0.1, "resnet-18-cifar")
    assert "data" not in found["config"]
    assert "spec" not in learners.describe("plain", ())
    assert learners.differing({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 0}, "d": 3}) == {
        "a": {"c": 2}
    }


def test_an_unknown_contender_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"plein.*plain"):
        learners.config_of("plein", (), 0)


@pytest.mark.parametrize(("name", "steps"), [("timm-b0", 1), ("timm-b0-bf16", 1), ("plain-half", 6)])
def test_a_peer_learns_and_is_measured(dataset: DataSet, name: str, steps: int) -> None:
    parts, learner = learners.put_together(dataset, name, (), 0)
    before = [parameter.clone() for parameter in learner.network.parameters()]
    assert learning.train(learner, learning.Counted(steps), 0, ignore) == steps
    moved = [not torch.equal(old, new) for old, new in zip(before, learner.network.parameters(), strict=True)]
    frozen = [not parameter.requires_grad for parameter in learner.network.parameters()]
    assert sum(moved) >= 0.9 * (len(moved) - sum(frozen))
    assert parts.splits.test is not None
    assert 0 <= learning.accuracy(learner, parts.splits.test, parts) <= 1


def test_timms_network_is_counted_as_it_is(dataset: DataSet) -> None:
    _, learner = learners.put_together(dataset, "timm-b0", (), 0)
    assert learner.macs == macs_of(learner.network)


def test_plain_convolutions_are_counted_as_they_are() -> None:
    for widths in plain.WIDTHS.values():
        settings = plain.PlainSettings(widths)
        assert plain.macs(settings) == macs_of(plain.PlainNet(settings))


def macs_of(network: nn.Module) -> int:
    """Count the multiply-adds of an image of 32 pixels while they are done."""
    found = []

    def count(module: nn.Module, given: Any, output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d | nn.Linear)
        positions = output[0].numel() // output.shape[1]
        found.append(positions * module.weight.numel())

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    network.eval()(torch.zeros(1, 3, 32, 32))
    return sum(found)


def test_whitened_patches_are_uncorrelated() -> None:
    generator = torch.Generator().manual_seed(0)
    images = F.interpolate(torch.randn(500, 3, 8, 8, generator=generator), scale_factor=2.0, mode="bilinear")
    network = plain.PlainNet(SMALL)
    plain.whiten(network, images)
    found = network.whiten(images).transpose(0, 1).flatten(1)
    first, second = found.split(plain.WHITENED // 2)
    assert torch.allclose(first, -second, atol=1e-5)
    correlation = torch.corrcoef(first)
    assert (correlation - torch.eye(12)).abs().max() < 0.01


def test_a_group_begins_as_the_identity() -> None:
    images = torch.rand(1, 3, 6, 6)
    assert torch.equal(plain.Convolution(3, 5)(images)[:, :3], images)


def test_the_triangle_rises_and_falls_as_in_the_paper() -> None:
    shares = [SMALL.triangle(share) for share in (0.0, 0.115, 0.23, 0.615, 1.0)]
    assert shares == pytest.approx([0.2, 0.6, 1.0, 0.535, 0.07])


def test_biases_of_norms_learn_64_times_as_fast_and_decay_as_the_rest() -> None:
    network = plain.PlainNet(SMALL)
    practice = plain.Practice(network, SMALL, 512)
    batch = torch.randn(4, 3, 32, 32), torch.arange(4)
    practice.update(batch, 23, 100)
    others, norms = practice.optimizer.param_groups
    assert norms["lr"] == pytest.approx(64 * others["lr"]) == pytest.approx(64 * practice.lr_at(23, 100))
    assert norms["lr"] * norms["weight_decay"] == pytest.approx(others["lr"] * others["weight_decay"])
    assert [tuple(bias.shape) for bias in norms["params"]] == [(4,), (4,), (8,), (8,), (8,), (8,)]


def test_a_training_of_plain_convolutions_ends_on_the_average() -> None:
    network = plain.PlainNet(SMALL)
    average = plain.Lookahead(network, SMALL)
    begin = network.classifier.weight.detach().clone()
    with torch.no_grad():
        network.classifier.weight.add_(1.0)
    average.pull(0.75)
    assert torch.allclose(network.classifier.weight, begin + 0.25)
    with torch.no_grad():
        network.classifier.weight.add_(1.0)
    average.pull(1.0)
    assert torch.allclose(network.classifier.weight, begin + 0.25)


def test_the_whitening_bias_stops_learning() -> None:
    network = plain.PlainNet(SMALL)
    practice = plain.Practice(network, SMALL, 4)
    batch = torch.randn(4, 3, 32, 32), torch.arange(4)
    states = []
    for step in (0, 29, 30, 99):
        practice.update(batch, step, 100)
        states.append(network.whiten.bias.detach().clone())  # type: ignore[union-attr]
    assert not torch.equal(states[0], states[1])
    assert torch.equal(states[1], states[2])
    assert torch.equal(states[2], states[3])


def test_an_image_is_mirrored_in_one_of_two_epochs() -> None:
    pixels = torch.arange(20 * 3 * 16).reshape(20, 3, 4, 4).to(torch.uint8)
    look = Preprocess(4, 1.0, "bicubic", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    augment = AugmentConfig(flip=False)
    stored = Pixels(pixels, torch.arange(20), tuple(map(str, range(20))), ())
    loader = plain.AlternatingLoader(stored, Augment(augment, look), Mix(augment, 20), 20, 7)
    seen = []
    for epoch in range(3):
        (images, labels) = next(loader.epoch(epoch))
        seen.append(images[labels.argsort()])
    plain_images = pixels.float() / 255
    for first, second, third, image in zip(*seen, plain_images, strict=True):
        assert torch.equal(first, second.flip(-1))
        assert torch.equal(first, third)
        assert torch.equal(first, image) or torch.equal(second, image)
    mirrored = [torch.equal(first, image) for first, image in zip(seen[0], plain_images, strict=True)]
    assert 0 < np.sum(mirrored) < 20


def test_timms_rate_is_that_of_the_recipe(dataset: DataSet) -> None:
    parts, learner = learners.put_together(dataset, "timm-b0", (), 0)
    horizon = Horizon(learner.loader.num_steps, 100 * learner.loader.num_steps, 40)
    assert learner.lr_at(30, 40) == lr_at(30, horizon, parts.config.optim)


def test_a_run_in_the_record_is_found_by_its_terms(tmp_path: Path) -> None:
    kept = ledger.Ledger("speed", tmp_path)
    kept.add({"kind": "run", "contender": "ours", "seed": 1, "test_top1": 0.8})
    again = ledger.Ledger("speed", tmp_path)
    assert again.find({"kind": "run", "seed": 1}) == kept.rows[0]
    assert again.find({"kind": "run", "seed": 2}) is None
    assert ledger.Ledger("speed", None).find({"kind": "run"}) is None


def test_a_line_that_was_cut_off_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "speed.jsonl").write_text('{"kind": "run"}\n{"kind": "ru')
    with pytest.raises(DataError, match=r"speed\.jsonl, line 2 is no result"):
        ledger.Ledger("speed", tmp_path)


def test_a_digest_is_that_of_the_values() -> None:
    assert ledger.digest({"a": (1, 2), "b": None}) == ledger.digest({"b": None, "a": [1, 2]})
    assert ledger.digest({"a": 1}) != ledger.digest({"a": 2})


@pytest.mark.slow
@pytest.mark.parametrize(("budget", "name"), [("wall", "ours"), ("images", "plain-half")])
def test_a_contest_goes_on_where_it_stopped(folder: Path, tmp_path: Path, budget: str, name: str) -> None:
    script = str(Path(minutes.__file__))
    terms = ["--minutes", "0.05", "--budget", budget, "--seeds", "1", "--rounds", "2", "--seconds", "0.1"]
    more = ["--only", name, "--results", str(tmp_path), "--picture", str(tmp_path / "a.png")]
    command = [sys.executable, script, str(folder), *terms, *more, "--", *FLAGS]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    record = tmp_path / "cifar10-minutes.jsonl"
    rows = [json.loads(line) for line in record.read_text().splitlines()]
    assert [row["kind"] for row in rows] == ["run"] if budget == "wall" else ["speed", "run"]
    assert {row["contender"] for row in rows} == {name}
    assert 0 <= rows[-1]["test_top1"] <= 1
    assert (tmp_path / "a.png").exists()
    assert subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout == said
    assert len(record.read_text().splitlines()) == len(rows)
