"""How long networks take, side by side."""

from collections.abc import Sequence
from statistics import median
from time import perf_counter

import torch
from torch import Tensor, nn

from effnet.device import kept_memory

NUM_ROUNDS = 7
MAX_SECONDS = 3.0
"""For each network; one that takes longer has one round."""


@torch.inference_mode()
def milliseconds(networks: Sequence[nn.Module], inputs: Sequence[Tensor]) -> list[float]:
    """Return how long each network takes for one image of its batch: the median of some rounds.

    They take turns, so that what else the machine does falls on all of them alike.

    Args:
        networks: in evaluation mode, warm: they have computed on this device before.
        inputs: the batch of each, `(N, C, S, S)`, on the device.

    """
    spent: list[list[float]] = [[] for _ in networks]
    with kept_memory(inputs[0].device):
        for _ in range(NUM_ROUNDS):
            for times, network, images in zip(spent, networks, inputs, strict=True):
                if sum(times) < MAX_SECONDS:
                    started = perf_counter()
                    network(images).cpu()  # waits for the device
                    times.append(perf_counter() - started)
    return [1e3 * median(times) / len(images) for times, images in zip(spent, inputs, strict=True)]
