"""Labels that are probabilities: the loss weighs by them, and accuracy asks for the likeliest class."""

import pytest
import torch
from tiny_training import fit, tiny, trainer
from torch import Tensor
from torch.nn import functional as F

from effnet.training.loop import Trainer
from effnet.training.meter import Meter, likeliest, share_right


def test_the_likeliest_class_of_an_index_is_itself() -> None:
    assert likeliest(torch.tensor([2, 0])).tolist() == [2, 0]
    assert likeliest(torch.tensor([[0.1, 0.2, 0.7], [0.6, 0.4, 0.0]])).tolist() == [2, 0]


def test_a_hit_is_the_likeliest_class_of_a_mixed_label() -> None:
    meter = Meter()
    logits = torch.tensor([[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0], [0.0, 3.0, 0.0]])
    labels = torch.tensor([[0.7, 0.3, 0.0], [0.6, 0.4, 0.0], [0.0, 0.0, 1.0], [0.4, 0.6, 0.0]])
    meter.add(torch.tensor(1.0), share_right(logits, labels))
    assert meter.means() == (1.0, 0.75)


@pytest.mark.parametrize("way", [{"mixup": 1.0}, {"cutmix": 1.0}])
def test_the_loss_of_a_mixed_batch_is_the_mean_of_two_by_their_shares(way: dict[str, float]) -> None:
    trained = trainer(tiny(augment=way, optim={"label_smoothing": 0.0}))
    images, labels = next(trained.train.epoch(0))
    loss, logits = trained.update((images, labels), 0.0)
    losses = torch.stack([F.cross_entropy(logits, torch.full((32,), k), reduction="none") for k in range(10)])
    assert loss.item() == pytest.approx((labels * losses.T).sum(1).mean().item(), rel=1e-5)


def weighted(smoothing: float) -> tuple[Trainer, Tensor, Tensor]:
    """Return a trainer with class weights, these, and a batch of images."""
    trained = trainer(tiny(data={"balance": "weights"}, optim={"label_smoothing": smoothing}))
    trained.class_weights = weights = torch.linspace(0.1, 2.0, 10)
    return trained, weights, next(trained.train.epoch(0))[0]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_class_weights_weigh_certain_labels_as_they_weigh_indices(smoothing: float) -> None:
    trained, weights, images = weighted(smoothing)
    indices = torch.arange(len(images)) % 7
    loss, logits = trained.update((images, F.one_hot(indices, 10).float()), 0.0)
    torch.testing.assert_close(
        loss, F.cross_entropy(logits, indices, weight=weights, label_smoothing=smoothing)
    )


def test_the_weighted_loss_of_mixed_labels_is_a_weighted_mean() -> None:
    trained, weights, images = weighted(smoothing=0.0)
    labels = torch.eye(10)[torch.arange(len(images)) % 7] * 0.7 + 0.03
    loss, logits = trained.update((images, labels), 0.0)
    shares = labels * weights
    torch.testing.assert_close(loss, -(shares * logits.log_softmax(1)).sum() / shares.sum())


@pytest.mark.parametrize("settings", [{}, {"data": {"balance": "weights"}}, {"optim": {"accumulate": 2}}])
def test_training_on_mixed_batches_learns(settings: dict[str, dict[str, object]]) -> None:
    mixed = tiny(epochs=4, augment={"mixup": 0.2, "cutmix": 1.0, "erasing": 0.2}, **settings)
    _, records = fit(trainer(mixed, num_images=256))
    assert records[-1].train_loss < records[0].train_loss - 0.1
