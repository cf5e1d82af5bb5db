"""Labels that are probabilities: the loss weighs by them, and accuracy asks for the likeliest class."""

import pytest
import torch
from tiny_training import fit, tiny, trainer
from torch.nn import functional as F

from effnet.training.meter import Meter, likeliest


def test_the_likeliest_class_of_an_index_is_itself() -> None:
    assert likeliest(torch.tensor([2, 0])).tolist() == [2, 0]
    assert likeliest(torch.tensor([[0.1, 0.2, 0.7], [0.6, 0.4, 0.0]])).tolist() == [2, 0]


def test_a_hit_is_the_likeliest_class_of_a_mixed_label() -> None:
    meter = Meter()
    logits = torch.tensor([[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0], [0.0, 3.0, 0.0]])
    labels = torch.tensor([[0.7, 0.3, 0.0], [0.6, 0.4, 0.0], [0.0, 0.0, 1.0], [0.4, 0.6, 0.0]])
    meter.add(torch.tensor(1.0), logits, labels)
    assert meter.means() == (1.0, 0.75)


@pytest.mark.parametrize("way", [{"mixup": 1.0}, {"cutmix": 1.0}])
def test_the_loss_of_a_mixed_batch_is_the_mean_of_two_by_their_shares(way: dict[str, float]) -> None:
    trained = trainer(tiny(augment=way, optim={"label_smoothing": 0.0}))
    images, labels = next(trained.train.epoch(0))
    loss, logits = trained.update((images, labels), 0.0)
    losses = torch.stack([F.cross_entropy(logits, torch.full((32,), k), reduction="none") for k in range(10)])
    assert loss.item() == pytest.approx((labels * losses.T).sum(1).mean().item(), rel=1e-5)


@pytest.mark.parametrize("settings", [{}, {"data": {"balance": "weights"}}, {"optim": {"accumulate": 2}}])
def test_training_on_mixed_batches_learns(settings: dict[str, dict[str, object]]) -> None:
    mixed = tiny(epochs=4, augment={"mixup": 0.2, "cutmix": 1.0, "erasing": 0.2}, **settings)
    _, records = fit(trainer(mixed, num_images=256))
    assert records[-1].train_loss < records[0].train_loss - 0.1
