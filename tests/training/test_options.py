"""Options of the training: accumulation, clipping, patience, balance, a limit of time."""

from dataclasses import replace
from time import perf_counter

import numpy as np
import pytest
import torch
from tiny_training import digits, fit, tiny, trainer
from torch import Tensor

from effnet.config import DataConfig
from effnet.data.augment import Augment
from effnet.data.datasets import open_digits
from effnet.data.loaders import BalancedLoader, TrainLoader, balanced_order
from effnet.data.mixing import Mix
from effnet.data.pixels import PixelFormat, Reading
from effnet.data.stream import Stream, released
from effnet.training.duration import decode_seconds, describe, limit
from effnet.training.kept import is_stuck
from effnet.training.loop import Trainer
from effnet.training.optim import Horizon
from effnet.training.reporter import EpochRecord
from effnet.training.setup import build_preprocess, build_spec


def gradients_norm(trained: Trainer) -> float:
    norms = [p.grad.norm() for p in trained.network.parameters() if p.grad is not None]
    return float(torch.stack(norms).norm())


def one_step(trained: Trainer) -> dict[str, Tensor]:
    trained.update(next(trained.train.epoch(0)), 0.1)
    return {name: tensor.clone() for name, tensor in trained.network.state_dict().items()}


def test_a_batch_in_pieces_makes_the_same_step() -> None:
    """Batch normalisation is switched to its running statistics: it would see pieces otherwise."""
    steps = []
    for pieces in (1, 4):
        trained = trainer(tiny(optim={"accumulate": pieces}))
        trained.network.double().eval()
        images, labels = next(trained.train.epoch(0))
        loss, logits = trained.update((images.double(), labels), 0.1)
        assert len(logits) == len(labels)
        steps.append((loss, trained.network.state_dict()))
    assert steps[1][0].item() == pytest.approx(steps[0][0].item(), rel=1e-12)
    for name, tensor in steps[0][1].items():
        torch.testing.assert_close(steps[1][1][name], tensor, rtol=1e-9, atol=1e-12)


def test_clipping_shortens_long_gradients() -> None:
    free, clipped = trainer(tiny()), trainer(tiny(optim={"clip_norm": 0.01}))
    one_step(free)
    one_step(clipped)
    assert gradients_norm(free) > 0.1
    assert gradients_norm(clipped) == pytest.approx(0.01, rel=1e-4)


def record(epoch: int, top1: float, ema: float | None = None) -> EpochRecord:
    return EpochRecord(epoch, epoch, 0.1, 1.0, 0.5, 1.0, top1, ema, ema, 1.0, 1.0)


@pytest.mark.parametrize(
    ("tops", "patience", "stuck"),
    [
        ([0.5, 0.6, 0.7], 2, False),
        ([0.5, 0.7, 0.6, 0.7], 2, True),
        ([0.5, 0.7, 0.6, 0.71], 2, False),
        ([0.7, 0.6], 2, False),
        ([0.7, 0.6, 0.5], 2, True),
        ([0.7, 0.6, 0.5], None, False),
    ],
)
def test_patience_counts_epochs_without_a_higher_accuracy(
    tops: list[float], patience: int | None, stuck: bool
) -> None:
    records = [record(epoch, top1) for epoch, top1 in enumerate(tops)]
    assert is_stuck(records, patience) is stuck


def test_patience_looks_at_the_average_too() -> None:
    assert not is_stuck([record(0, 0.7, 0.1), record(1, 0.6, 0.2), record(2, 0.5, 0.8)], 2)


def test_a_stuck_training_ends_early() -> None:
    """With a learning rate of nearly nothing the accuracy of the raw weights cannot rise for long."""
    trained = trainer(tiny(epochs=30, patience=1, optim={"lr": 1e-12, "ema_decay": 0.0}), num_images=64)
    _, records = fit(trained)
    assert len(records) < 30
    assert is_stuck(records, 1)


def unequal() -> TrainLoader:
    pixels = digits(0, 160)
    kept = torch.nonzero((pixels.labels == 0) | (pixels.labels == 1))[:, 0]
    kept = torch.cat([kept[pixels.labels[kept] == 0], kept[pixels.labels[kept] == 1][:3]])
    few = replace(pixels, images=pixels.images[kept], labels=pixels.labels[kept], names=("",) * len(kept))
    config = tiny()
    augment = Augment(config.augment, build_preprocess(config, build_spec(config)))
    return BalancedLoader(few, augment, Mix(config.augment, 10), 8, 0)


def test_weights_are_inverse_to_the_number_of_images() -> None:
    loader = unequal()
    counts = torch.bincount(loader.pixels.labels)
    weights = loader.class_weights()
    torch.testing.assert_close(weights[:2] * counts, torch.full((2,), len(loader.pixels) / 2))


def test_classes_without_images_have_no_weight() -> None:
    assert unequal().class_weights()[2:].tolist() == [0.0] * 8  # of ten classes only two are there


def test_weighted_loss_is_the_weighted_mean() -> None:
    trained = trainer(tiny(data={"balance": "weights"}, optim={"label_smoothing": 0.0}))
    images, labels = next(trained.train.epoch(0))
    loss, logits = trained.update((images, labels), 0.1)
    weights = trained.train.class_weights()[labels]
    single = -logits.log_softmax(1)[torch.arange(len(labels)), labels]
    torch.testing.assert_close(loss, (weights * single).sum() / weights.sum())


def test_sampling_draws_all_classes_equally_often() -> None:
    labels = np.repeat([0, 1, 2], [900, 90, 10])
    drawn = labels[balanced_order(labels, seed=1, epoch=0)]
    assert len(drawn) == 1000
    assert np.bincount(drawn) == pytest.approx(np.full(3, 1000 / 3), abs=5 * np.sqrt(1000 * 2 / 9))


def test_sampling_reaches_every_image_of_a_class() -> None:
    labels = np.repeat([0, 1], [50, 5])
    seen = {int(i) for epoch in range(40) for i in balanced_order(labels, 0, epoch)}
    assert seen == set(range(55))


def test_an_image_drawn_twice_is_augmented_in_two_ways() -> None:
    loader = unequal()
    order = loader.order(0)
    images = torch.cat([images for images, _ in loader.epoch(0)])
    rare = [place for place in range(len(images)) if loader.pixels.labels[order[place]] == 1]
    assert len({images[place].numpy().tobytes() for place in rare}) > 3


def test_a_limit_of_time_lowers_the_steps_and_leaves_the_rest() -> None:
    trained = trainer(tiny(epochs=100_000))
    before = {name: tensor.clone() for name, tensor in trained.network.state_dict().items()}
    started = perf_counter()
    limit(trained, started, minutes=0.5, num_test=100, read_seconds=0.001)
    assert 1 <= trained.total_steps < 100_000
    assert started < trained.deadline < started + 30
    assert all(torch.equal(before[name], tensor) for name, tensor in trained.network.state_dict().items())
    assert trained.step == 0


def test_a_limit_of_time_holds_for_a_stream() -> None:
    trained = trainer(tiny(epochs=100_000))
    form = PixelFormat(build_preprocess(trained.config, build_spec(trained.config)), 8)
    samples = open_digits().parts["all"]
    streamed = Stream(samples, form, Reading(DataConfig(workers=2), torch.device("cpu")))
    trained.train.pixels = trained.val.pixels = streamed
    with released(streamed):
        limit(trained, perf_counter(), minutes=0.5, num_test=100, read_seconds=decode_seconds(samples, form))
    assert 1 <= trained.total_steps < 100_000


def test_a_limit_beyond_need_changes_nothing() -> None:
    trained = trainer(tiny(epochs=1))
    steps = trained.total_steps
    limit(trained, perf_counter(), minutes=60.0, num_test=100, read_seconds=0.001)
    assert trained.total_steps == steps


def test_a_limit_says_whether_the_whole_training_fits() -> None:
    assert (
        describe(Horizon(10, planned=1200, total=1200), 5.0, fits=True)
        == "all 1,200 steps fit into 5 minutes"
    )
    assert describe(Horizon(10, planned=1200, total=25), 0.5, fits=True) == (
        "25 of 1,200 steps fit into 0.5 minutes: 2.5 epochs, and the schedule is fitted to them"
    )


def test_a_limit_too_short_for_a_single_step_is_said() -> None:
    trained = trainer(tiny())
    fits = limit(trained, perf_counter(), minutes=0.001, num_test=100, read_seconds=0.001)
    assert not fits
    assert describe(trained.horizon, 0.001, fits=fits).startswith(
        "warning: not even one step fits into 0.001 minutes"
    )


def test_the_schedule_ends_with_the_steps_that_fit() -> None:
    trained = trainer(tiny(epochs=4))
    trained.total_steps = 7  # of 20; an epoch has 5
    _, records = fit(trained)
    assert [record.step for record in records] == [5, 7]
    assert trained.lr_at(7) == pytest.approx(0.0, abs=1e-12)


def test_the_deadline_ends_a_training_in_order() -> None:
    trained = trainer(tiny(epochs=50))
    trained.deadline = perf_counter()
    best, records = fit(trained)
    assert (trained.step, len(records)) == (1, 1)
    assert best.val_top1 >= 0.0
