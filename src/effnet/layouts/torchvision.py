"""torchvision's names (github.com/pytorch/vision): EfficientNets, MobileNetV2, and ResNets, as timm's."""

from collections.abc import Iterator

from effnet.layouts.layers import Block, LayerName, blocks
from effnet.spec.netspec import NetSpec


def efficientnet(spec: NetSpec) -> Iterator[LayerName]:
    """Name the layers as `models/efficientnet.py` does."""
    yield LayerName("features.0.0", "features.0.1")
    for block in blocks(spec):
        yield from _block_names(block)
    yield LayerName(f"features.{len(spec.stages) + 1}.0", f"features.{len(spec.stages) + 1}.1")
    yield LayerName("classifier.1")


def _block_names(block: Block) -> Iterator[LayerName]:
    path, place = f"features.{block.row + 1}.{block.index}.block", 0
    for role in block.roles:
        if role == "se.reduce":
            yield LayerName(f"{path}.{place}.fc1")
            continue
        if role == "se.expand":
            yield LayerName(f"{path}.{place}.fc2")
        else:
            yield LayerName(f"{path}.{place}.0", f"{path}.{place}.1")
        place += 1


def is_efficientnet(spec: NetSpec) -> bool:
    """Tell whether `efficientnet` has all the blocks of a network; its fused block has no gates."""
    return spec.head is not None and all(
        stage.block == "mbconv" or (stage.block == "fused-mbconv" and not stage.se_ratio)
        for stage in spec.stages
    )


def mobilenet(spec: NetSpec) -> Iterator[LayerName]:
    """Name the layers as `models/mobilenetv2.py` does: blocks are numbered through, the last norm is bare."""
    yield LayerName("features.0.0", "features.0.1")
    for block in blocks(spec):
        path, last = f"features.{block.number + 1}.conv", len(block.roles) - 1
        for place in range(last):
            yield LayerName(f"{path}.{place}.0", f"{path}.{place}.1")
        yield LayerName(f"{path}.{last}", f"{path}.{last + 1}")
    yield LayerName(f"features.{spec.num_blocks + 1}.0", f"features.{spec.num_blocks + 1}.1")
    yield LayerName("classifier.1")


def is_mobilenet(spec: NetSpec) -> bool:
    """Tell whether `mobilenet` has all the blocks of a network."""
    return spec.head is not None and all(
        stage.block == "mbconv" and not stage.se_ratio for stage in spec.stages
    )


def resnet(spec: NetSpec) -> Iterator[LayerName]:
    """Name the layers as `models/resnet.py` does; timm's ResNets have the same names."""
    yield LayerName("conv1", "bn1")
    for block in blocks(spec):
        path = f"layer{block.row + 1}.{block.index}"
        for place, role in enumerate(block.roles, start=1):
            if role == "shortcut":
                yield LayerName(f"{path}.downsample.0", f"{path}.downsample.1")
            else:
                yield LayerName(f"{path}.conv{place}", f"{path}.bn{place}")
    yield LayerName("fc")


def is_resnet(spec: NetSpec) -> bool:
    """Tell whether `resnet` has all the blocks of a network."""
    return spec.head is None and all(stage.block in ("basic", "bottleneck") for stage in spec.stages)
