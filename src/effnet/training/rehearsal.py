"""A trainer to try steps on: what they take of time and memory is measured so."""

from copy import deepcopy

from torch import nn

from effnet.config import TrainConfig
from effnet.network.model import ConvNet
from effnet.training.compute import Compute
from effnet.training.group import ALONE, Group
from effnet.training.loop import Trainer


def rehearsal(trainer: Trainer, config: TrainConfig, compute: Compute, *, group: Group = ALONE) -> Trainer:
    """Return a trainer with a copy of the network, to try steps on: the one that was given stays as it is.

    In a group all processes have to take the same steps.
    """
    network = own_copy(trainer.network)
    if config.sync_bn:
        network = group.with_common_norms(network)
    copy = Trainer(network, trainer.train, trainer.val, config)
    copy.lessons, copy.teacher, copy.group = trainer.lessons, trainer.teacher, group
    copy.compute_by(compute)
    copy.enter(copy.course.last)
    return copy


def own_copy(network: ConvNet) -> ConvNet:
    """Return a copy of the network with batch normalisation over the images of this process alone.

    A layer over those of all would wait for the others, and holds torch's handle of them, which has no copy.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.SyncBatchNorm)]
    return deepcopy(network, {id(norm): own_norm(norm) for norm in norms})


def own_norm(norm: nn.SyncBatchNorm) -> nn.BatchNorm2d:
    """Return a layer with the same weights and statistics, which no other process takes part in."""
    own = nn.BatchNorm2d(norm.num_features, norm.eps, norm.momentum).to(norm.weight.device)
    own.load_state_dict(norm.state_dict())
    for parameter, given in zip(own.parameters(), norm.parameters(), strict=True):
        parameter.requires_grad_(given.requires_grad)
    return own.train(norm.training)
