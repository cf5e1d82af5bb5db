"""The layers of a network in the order of computation, by the names of our modules."""

from collections.abc import Iterator
from dataclasses import dataclass

from effnet.spec.netspec import NetSpec, Stage


@dataclass(frozen=True)
class LayerName:
    """The modules of one layer, as paths in a network."""

    conv: str
    """The convolution, or the linear layer."""
    norm: str | None = None
    """The batch normalisation behind it; None where the layer has a bias instead."""


@dataclass(frozen=True)
class Block:
    """One block and its place."""

    row: int
    """Of its stage, from 0."""
    index: int
    """In its stage."""
    number: int
    """In the network."""
    stage: Stage
    changes_shape: bool
    """Whether what leaves it has another shape than what enters it."""

    @property
    def expands(self) -> bool:
        """Whether it has a layer of its own for the expansion."""
        return self.stage.expand_ratio != 1

    @property
    def roles(self) -> tuple[str, ...]:
        """What its layers do, in the order of computation; these are also their paths in our block."""
        gates = ("se.reduce", "se.expand") if self.stage.se_ratio else ()
        match self.stage.block:
            case "mbconv":
                return (*(("expand",) if self.expands else ()), "depthwise", *gates, "project")
            case "fused-mbconv":
                return ("fused", *gates, *(("project",) if self.expands else ()))
            case "separable":
                return ("depthwise", "pointwise")
            case "basic" | "bottleneck":
                branch = ("branch.0", "branch.1", "branch.2")[: 2 if self.stage.block == "basic" else 3]
                return (*branch, *(("shortcut",) if self.changes_shape else ()))


def blocks(spec: NetSpec) -> Iterator[Block]:
    """Walk through the blocks of a network."""
    number, channels = 0, spec.stem.out_channels
    for row, stage in enumerate(spec.stages):
        for index in range(stage.repeats):
            strides = index == 0 and stage.stride != 1
            yield Block(row, index, number, stage, strides or channels != stage.out_channels)
            number, channels = number + 1, stage.out_channels


def ours(spec: NetSpec) -> Iterator[LayerName]:
    """Name the layers as effnet's model files do."""
    yield LayerName("stem.conv", "stem.norm")
    for block in blocks(spec):
        for role in block.roles:
            path = f"stages.{block.row}.{block.index}.{role}"
            yield LayerName(path) if role.startswith("se.") else LayerName(f"{path}.conv", f"{path}.norm")
    if spec.head is not None:
        yield LayerName("head.conv", "head.norm")
    yield LayerName("classifier")
