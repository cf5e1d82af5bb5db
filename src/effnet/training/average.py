"""Exponential moving average of the weights, with a decay that warms up."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors = tuple[Tensor, ...] | list[Tensor]


def warm_decay(decay: float, num_updates: float) -> float:
    """Return the decay of an update: (1 + n) / (10 + n), at most `decay`.

    A constant decay near 1 leaves the average close to random weights for thousands of steps; TensorFlow's
    `ExponentialMovingAverage(num_updates=…)` has the same rule.
    """
    return min(decay, (1.0 + num_updates) / (10.0 + num_updates))


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """Wrap a copy of the network that follows it; BN statistics are averaged as well."""

    @torch.no_grad()
    def update(average: Tensors, current: Tensors, num_averaged: Tensor | int) -> None:
        if average[0].is_floating_point():
            torch._foreach_lerp_(average, current, 1.0 - warm_decay(decay, float(num_averaged)))
        else:  # BN's count of batches
            torch._foreach_copy_(average, current)

    return AveragedModel(network, multi_avg_fn=update, use_buffers=True)
