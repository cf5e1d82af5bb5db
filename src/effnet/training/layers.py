"""The layers of a network by depth: which of them stand still, and how fast the others learn."""

import re
from collections.abc import Iterator

from torch import nn

from effnet.errors import UsageError, unknown_name
from effnet.network.model import ConvNet
from effnet.spec.netspec import NetSpec
from effnet.transfer.settings import FinetuneConfig

NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm)
ALL = "all"
"""Freezes everything but the classifier."""


def part_names(spec: NetSpec) -> list[str]:
    """Return the parts of a network that can be frozen, from the input on: stem, stage1, … and the head."""
    stages = [f"stage{number}" for number in range(1, len(spec.stages) + 1)]
    return ["stem", *stages, *(["head"] if spec.head is not None else [])]


def frozen_parts(config: FinetuneConfig, spec: NetSpec) -> list[str]:
    """Return the names of the parts that never move.

    Raises:
        UsageError: more stages than there are, or a part that the network lacks.

    """
    known, given = part_names(spec), config.freeze
    if given is None:
        return []
    if isinstance(given, int):
        if given > len(spec.stages):
            raise UsageError(
                f"finetune.freeze = {given}: {spec.name} has {len(spec.stages)} stages behind its stem"
            )
        return known[: given + 1]
    names = [name.strip() for name in given.split(",")]
    for name in names:
        if name not in (ALL, *known):
            raise unknown_name(f"part of {spec.name} in finetune.freeze", name, [*known, ALL])
    return known if ALL in names else [name for name in known if name in names]


class Layers:
    """Decides for a network which weights move, and at which share of the learning rate."""

    def __init__(self, network: ConvNet, config: FinetuneConfig) -> None:
        self.network = network
        self.config = config

    def move(self, *, head_only: bool) -> None:
        """Put the network into training, but for what is frozen.

        Frozen modules are in evaluation mode: their BN statistics stay, their drop-path is off. Their weights
        have no gradient, so every optimizer here passes over them, weight decay included.
        """
        self.network.train()
        self.network.requires_grad_(True)
        for module in self._frozen(head_only):
            module.eval()
            module.requires_grad_(False)

    def rate(self, name: str) -> float:
        """Return the factor on the learning rate of a parameter: `layer_decay` for each block above it.

        As BEiT has it, and timm: the head and the classifier learn at the full rate, the last block at one
        factor less, the stem at one less than the first block.
        """
        num_blocks = self.network.spec.num_blocks
        return float(self.config.layer_decay ** (num_blocks + 1 - self._depth(name, num_blocks)))

    def _depth(self, name: str, num_blocks: int) -> int:
        """Return 0 for the stem, the number of the block from 1 on, and one more for all behind them."""
        block = re.match(r"stages\.(\d+)\.(\d+)\.", name)
        if block is None:
            return 0 if name.startswith("stem.") else num_blocks + 1
        before = self.network.spec.stages[: int(block[1])]
        return sum(stage.repeats for stage in before) + int(block[2]) + 1

    def _frozen(self, head_only: bool) -> Iterator[nn.Module]:
        parts = self._parts()
        yield from (parts[name] for name in frozen_parts(self.config, self.network.spec))
        if head_only:
            yield from parts.values()
        if self.config.freeze_bn:
            yield from (module for module in self.network.modules() if isinstance(module, NORMS))

    def _parts(self) -> dict[str, nn.Module]:
        network = self.network
        modules = [network.stem, *network.stages, network.head]
        return dict(zip(part_names(network.spec), modules, strict=False))  # without a head it is nothing
