"""Batch normalisation over all processes: what can be seen of it without a GPU."""

from pathlib import Path

import pytest
from forked import together
from tiny_training import same, tiny, trainer
from torch import nn

from effnet.training.compute import PLAIN
from effnet.training.group import ALONE, Group
from effnet.training.kept import Weights
from effnet.training.loop import Trainer
from effnet.training.rehearsal import own_copy, rehearsal

CONFIG = tiny(sync_bn=True, optim={"ema_decay": 0.9})


def with_common_norms(group: Group) -> Trainer:
    """Return a trainer as a group has it, its layers bound to the group."""
    drawn = trainer(CONFIG)
    trained = Trainer(group.with_common_norms(drawn.network), drawn.train, drawn.val, CONFIG)
    trained.join(group)
    with pytest.raises(ValueError, match="SyncBatchNorm layers only work with GPU modules"):
        trained.compute_by(PLAIN)  # torch's DDP, the last of all
    return trained


def norms(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def kinds(network: nn.Module) -> set[type[nn.Module]]:
    return {type(norm) for norm in norms(network)}


def test_the_average_and_the_network_have_the_same_layers_and_only_the_network_is_bound(
    tmp_path: Path,
) -> None:
    def bound(group: Group) -> tuple[bool, bool, Weights, Weights]:
        group = group.timed(1.0)
        trained = with_common_norms(group)
        assert trained.average is not None
        assert kinds(trained.network) == kinds(trained.average) == {nn.SyncBatchNorm}
        handle = group.handle  # type: ignore[attr-defined]
        network, average = (norms(one) for one in (trained.network, trained.average))
        return (
            all(norm.process_group is handle for norm in network),
            all(norm.process_group is None for norm in average),
            trained.network.state_dict(),
            trained.average.module.state_dict(),
        )

    for is_bound, is_free, network, average in together(tmp_path, 2, bound):
        assert is_bound
        assert is_free
        assert same(network, trainer(CONFIG).network.state_dict())
        assert same(network, average)


def test_a_rehearsal_alone_normalises_alone_with_the_same_weights(tmp_path: Path) -> None:
    def rehearsed(group: Group) -> tuple[set[type[nn.Module]], Weights, Weights, int]:
        trained = with_common_norms(group.timed(1.0))
        probe = rehearsal(trained, CONFIG, PLAIN, group=ALONE)
        weights = {name: tensor.clone() for name, tensor in probe.network.state_dict().items()}
        if group.is_first:  # a step that would wait for the other process
            probe.update(next(iter(probe.train.epoch(0))), 0.1)
        return kinds(probe.network), weights, trained.network.state_dict(), group.share.rank

    for found, copied, given, rank in together(tmp_path, 2, rehearsed):
        assert found == {nn.BatchNorm2d}
        assert same(copied, given), rank


def test_a_rehearsal_in_the_group_gets_as_far_as_the_network_it_copies(tmp_path: Path) -> None:
    def refused(group: Group) -> str:
        group = group.timed(1.0)
        trained = with_common_norms(group)
        with pytest.raises(ValueError) as found:  # noqa: PT011
            rehearsal(trained, CONFIG, PLAIN, group=group)
        return str(found.value)

    for message in together(tmp_path, 2, refused):
        assert message.startswith("SyncBatchNorm layers only work with GPU modules")


def test_a_copy_keeps_what_learns_and_in_which_mode() -> None:
    network = nn.SyncBatchNorm.convert_sync_batchnorm(trainer(CONFIG).network)  # type: ignore[no-untyped-call]
    first = norms(network)[0].eval().requires_grad_(False)
    copy = norms(own_copy(network))[0]
    assert not copy.training
    assert copy.weight is not first.weight
    assert [one.requires_grad for one in copy.parameters()] == [False, False]
    assert all(one.training for one in norms(own_copy(network))[1:])
    assert (copy.eps, copy.momentum) == (first.eps, first.momentum)
