"""The names of `efficientnet_pytorch` (github.com/lukemelas/EfficientNet-PyTorch)."""

from collections.abc import Iterator

from effnet.layouts.layers import LayerName, blocks
from effnet.spec.netspec import NetSpec

_LAYERS = {
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "se.reduce": ("_se_reduce", None),
    "se.expand": ("_se_expand", None),
    "project": ("_project_conv", "_bn2"),
}


def names(spec: NetSpec) -> Iterator[LayerName]:
    """Name the layers of a network as `efficientnet_pytorch` does: blocks are numbered through."""
    yield LayerName("_conv_stem", "_bn0")
    for block in blocks(spec):
        path = f"_blocks.{block.number}"
        for conv, norm in (_LAYERS[role] for role in block.roles):
            yield LayerName(f"{path}.{conv}", norm and f"{path}.{norm}")
    yield LayerName("_conv_head", "_bn1")
    yield LayerName("_fc")


def can_name(spec: NetSpec) -> bool:
    """Tell whether it has all the blocks of a network."""
    return spec.head is not None and all(stage.block == "mbconv" for stage in spec.stages)
