"""Several processes train as one does: the same images, the same gradients, the same decisions."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from forked import together
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import digits, fit, ignore, tiny, trainer
from torch import Tensor

from effnet.config import TrainConfig
from effnet.data.pixels import PixelSource
from effnet.data.share import Share
from effnet.training.compute import PLAIN, Compute
from effnet.training.group import ALONE, Group
from effnet.training.kept import Weights
from effnet.training.loop import Trainer

SAME_FOR_ALL: dict[str, Any] = {"dropout": 0.0, "drop_path": 0.0, "finetune": {"freeze_bn": True}}
"""What a step does not depend on which images are in one process with: no statistics, no draws of torch."""
STEPS = 4


def member(config: TrainConfig, group: Group, compute: Compute = PLAIN, num_images: int = 160) -> Trainer:
    trained = trainer(config, num_images)
    trained.join(group)
    trained.compute_by(compute)
    return trained


def after_steps(trained: Trainer, steps: int = STEPS) -> tuple[Weights, list[float]]:
    """Return the weights after some steps, and the loss of each whole batch."""
    losses = []
    for batch, _ in zip(trained.train.epoch(0), range(steps), strict=False):
        loss, hits = trained._measured(batch, *trained.update(batch, 0.1))
        losses += [loss.item(), hits.item()]
    return {name: tensor.detach().clone() for name, tensor in trained.network.state_dict().items()}, losses


def distance(one: Weights, other: Weights) -> float:
    return max((one[name].double() - other[name].double()).abs().max().item() for name in one)


@given(st.integers(0, 1000), st.integers(1, 17))
def test_shares_are_the_whole_in_order_and_differ_by_one_at_most(count: int, size: int) -> None:
    shares = [range(count)[Share(rank, size).of(count)] for rank in range(size)]
    assert [place for share in shares for place in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_size": 31, "optim": {"accumulate": 3}},
        {"batch_size": 31, "data": {"balance": "weights"}},
        {"batch_size": 30, "data": {"balance": "weights"}, "augment": {"mixup": 0.4, "cutmix": 1.0}},
        {"batch_size": 31, "optim": {"clip_norm": 0.1, "name": "rmsprop", "lr": 0.01}},
    ],
    ids=["pieces", "class-weights", "mixed", "clipped"],
)
def test_weights_after_steps_are_those_of_one_process(settings: dict[str, Any], tmp_path: Path) -> None:
    config = tiny(**{**SAME_FOR_ALL, **settings})
    alone, losses = after_steps(member(config, ALONE))
    for size in (1, 2, 3):
        results = together(tmp_path, size, lambda group: after_steps(member(config, group)))
        assert distance(alone, trainer(config).network.state_dict()) > 0.01
        for weights, theirs in results:
            assert distance(weights, alone) < 1e-5
            assert theirs == pytest.approx(losses, abs=1e-5)


def test_own_kernels_and_bfloat16_train_in_a_group(tmp_path: Path) -> None:
    compute = Compute(dtype=torch.bfloat16, native=True)
    config = tiny(**SAME_FOR_ALL, optim={"lr": 0.05})
    alone, _ = after_steps(member(config, ALONE, compute))
    one, other = together(tmp_path, 2, lambda group: after_steps(member(config, group, compute))[0])
    assert distance(one, other) == 0.0
    assert distance(one, alone) < 0.02  # bfloat16 has 8 bits


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_slices_of_all_processes_are_the_batch_of_one(size: int) -> None:
    config = tiny(batch_size=31, augment={"mixup": 0.4, "cutmix": 1.0, "erasing": 0.5})
    whole = trainer(config).train
    parts = [trainer(config).train for _ in range(size)]
    for rank, part in enumerate(parts):
        part.share = Share(rank, size)
    for batch, *slices in zip(whole.epoch(3), *(part.epoch(3) for part in parts), strict=True):
        for place in (0, 1):
            assert torch.equal(torch.cat([one[place] for one in slices]), batch[place])


def test_only_images_of_the_own_slice_are_read() -> None:
    class Counted:
        windows = None

        def __init__(self, pixels: Any) -> None:
            self.pixels, self.read = pixels, 0

        def __len__(self) -> int:
            return len(self.pixels)

        def batches(self, rows: Any) -> Any:
            self.read += sum(map(len, rows))
            return self.pixels.batches(rows)

    loader = trainer(tiny(batch_size=32)).train
    counted = Counted(loader.pixels)
    loader.pixels, loader.share = cast(PixelSource, counted), Share(1, 4)
    assert [len(labels) for _, labels in loader.epoch(0)] == [8] * 5
    assert counted.read == 5 * 8


def judged(group: Group) -> tuple[Tensor, int, int]:
    trained = member(tiny(epochs=1), group)
    own = sum(len(labels) for _, labels in trained.val)
    top1, _ = trained._validate(trained.network, 0, averaged=False)
    assert trained.best is not None
    return trained.best.correct, round(top1 * len(trained.val.pixels)), own


def test_every_validation_image_counts_once_with_any_number_of_processes(tmp_path: Path) -> None:
    correct, hits, _ = judged(ALONE)
    for size in (1, 2, 3):
        results = together(tmp_path, size, judged)
        assert sum(own for _, _, own in results) == 100
        for theirs, their_hits, _ in results:
            assert torch.equal(theirs, correct)
            assert their_hits == hits


def test_more_processes_than_validation_images(tmp_path: Path) -> None:
    def few(group: Group) -> float:
        trained = member(tiny(epochs=1), group)
        trained.val.pixels = digits(1600, 1602)
        return trained._validate(trained.network, 0, averaged=False)[1]

    assert together(tmp_path, 3, few) == [pytest.approx(few(ALONE))] * 3


def whole_training(group: Group) -> tuple[Weights, list[float]]:
    trained = member(tiny(epochs=3, finetune={"head_epochs": 1}, optim={"ema_decay": 0.9}), group)
    best, records = fit(trained)
    return best.weights, [record.val_loss for record in records]


def test_all_processes_keep_the_same_weights_with_statistics_and_averages(tmp_path: Path) -> None:
    (one, losses), (other, their_losses) = together(tmp_path, 2, whole_training)
    assert distance(one, other) == 0.0
    assert losses == their_losses


def test_a_deadline_of_one_process_ends_all_after_the_same_step(tmp_path: Path) -> None:
    def late(group: Group) -> int:
        trained = member(tiny(epochs=3), group)
        trained.deadline = 0.0 if group.share.rank == 1 else 1e9
        trained.fit(ignore, lambda record: None)
        return trained.step

    assert together(tmp_path, 2, late) == [1, 1]


def test_dropout_differs_by_process_and_is_a_function_of_seed_step_and_rank() -> None:
    from effnet.data.randomness import step_seed

    seeds = {step_seed(seed, step, rank) for seed in (0, 1) for step in range(50) for rank in range(8)}
    assert len(seeds) == 2 * 50 * 8
    assert step_seed(3, 4, 0) == step_seed(3, 4)
    assert np.log2(max(seeds)) < 63
