"""timm's names (github.com/huggingface/pytorch-image-models): EfficientNets and MobileNets."""

from collections.abc import Iterator
from itertools import count

from effnet.layouts.layers import Block, LayerName, blocks
from effnet.spec.netspec import NetSpec

# timm's block by ours and whether it expands, and what it calls the convolutions: `_efficientnet_blocks.py`.
_CONVOLUTIONS = {
    ("mbconv", True): {"expand": "conv_pw", "depthwise": "conv_dw", "project": "conv_pwl"},
    ("mbconv", False): {"depthwise": "conv_dw", "project": "conv_pw"},
    ("fused-mbconv", True): {"fused": "conv_exp", "project": "conv_pwl"},
    ("fused-mbconv", False): {"fused": "conv"},
    ("separable", False): {"depthwise": "conv_dw", "pointwise": "conv_pw"},
}


def names(spec: NetSpec) -> Iterator[LayerName]:
    """Name the layers of a network as timm does."""
    yield LayerName("conv_stem", "bn1")
    for block in blocks(spec):
        yield from _block_names(block)
    if spec.head is not None:
        yield LayerName("conv_head", "bn2")
    yield LayerName("classifier")


def _block_names(block: Block) -> Iterator[LayerName]:
    path, norms = f"blocks.{block.row}.{block.index}", count(1)
    convolutions = _CONVOLUTIONS[block.stage.block, block.expands]
    for role in block.roles:
        if role in convolutions:
            yield LayerName(f"{path}.{convolutions[role]}", f"{path}.bn{next(norms)}")
        else:
            yield LayerName(f"{path}.se.conv_{role.removeprefix('se.')}")


def can_name(spec: NetSpec) -> bool:
    """Tell whether timm has all the blocks of a network; its fused block without expansion has no gates."""
    return all(
        (stage.block, stage.expand_ratio != 1) in _CONVOLUTIONS
        and not (stage.block == "fused-mbconv" and stage.expand_ratio == 1 and stage.se_ratio)
        for stage in spec.stages
    )
