"""From a spec to a network: stem, stages, head, classifier, and the original's initial weights."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from effnet.network.baselines import ResNetBlock, Separable, stem_pool
from effnet.network.blocks import ConvNorm, FusedMBConv, MBConv
from effnet.spec.families import get_spec
from effnet.spec.netspec import NetSpec

IMAGENET_CLASSES = 1000

BLOCKS: dict[str, type[MBConv | FusedMBConv | Separable | ResNetBlock]] = {
    "mbconv": MBConv,
    "fused-mbconv": FusedMBConv,
    "separable": Separable,
    "basic": ResNetBlock,
    "bottleneck": ResNetBlock,
}


class ConvNet(nn.Module):
    """The network that a spec describes. It knows nothing of width, depth or φ: the spec is already scaled.

    Args:
        spec: the network.
        num_classes: outputs of the classifier.
        checkpoint_stages: recompute each stage in the backward pass instead of keeping its activations:
            less memory for about a third more time.

    """

    def __init__(self, spec: NetSpec, num_classes: int, *, checkpoint_stages: bool = False) -> None:
        super().__init__()
        self.spec = spec
        self.num_classes = num_classes
        self.checkpoint_stages = checkpoint_stages
        stem, features = spec.stem, spec.feature_channels
        self.stem = ConvNorm(
            spec, (spec.in_channels, stem.out_channels), kernel=(stem.kernel_size, stem.stride)
        )
        self.pool = stem_pool(spec)
        self.stages = nn.ModuleList(_build_stages(spec))
        channels = (spec.stages[-1].out_channels, features)
        self.head = nn.Identity() if spec.head is None else ConvNorm(spec, channels)
        self.dropout = nn.Dropout(spec.dropout)
        self.classifier = nn.Linear(features, num_classes)
        self.apply(initialize)

    def features(self, images: Tensor) -> Tensor:
        """Map `images (N, C, H, W)` to the last feature maps `(N, feature_channels, h, w)`."""
        x: Tensor = self.pool(self.stem(images))
        recompute = self.checkpoint_stages and self.training and torch.is_grad_enabled()
        for stage in self.stages:
            x = _checkpointed(stage, x) if recompute else stage(x)
        y: Tensor = self.head(x)
        return y

    def classify(self, features: Tensor) -> Tensor:
        """Map the last feature maps `(N, feature_channels, h, w)` to `logits (N, num_classes)`."""
        pooled = features.mean((2, 3))  # (N, feature_channels)
        logits: Tensor = self.classifier(self.dropout(pooled))
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Map `images (N, C, H, W)`, normalised, to `logits (N, num_classes)`."""
        return self.classify(self.features(images))


def _checkpointed(stage: nn.Module, x: Tensor) -> Tensor:
    """Run a stage now, and once more in the backward pass."""
    # torch.compile takes no context here and needs none: it recomputes values, not updates of buffers.
    compiling = torch.compiler.is_compiling()
    more: dict[str, Any] = {} if compiling else {"context_fn": partial(_contexts, stage)}
    y: Tensor = checkpoint(stage, x, use_reentrant=False, **more)
    return y


def _contexts(stage: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return what surrounds the first run of a stage, and the run that recomputes it."""
    return nullcontext(), _unchanged_buffers(stage)


@contextmanager
def _unchanged_buffers(stage: nn.Module) -> Iterator[None]:
    """Put the buffers back at the end: batch normalisation has counted this batch in the first run."""
    before = {name: buffer.clone() for name, buffer in stage.named_buffers()}
    try:
        yield
    finally:
        stage.load_state_dict(before, strict=False)


def _build_stages(spec: NetSpec) -> list[nn.Sequential]:
    """Build the blocks; drop-path rises linearly from 0 at the first block (official code)."""
    stages = []
    in_channels, block_index = spec.stem.out_channels, 0
    for stage in spec.stages:
        blocks = []
        for repeat in range(stage.repeats):
            stride = stage.stride if repeat == 0 else 1
            drop_path = spec.drop_path * block_index / spec.num_blocks
            build = BLOCKS[stage.block]
            blocks.append(build(spec, stage, in_channels, stride=stride, drop_path=drop_path))
            in_channels, block_index = stage.out_channels, block_index + 1
        stages.append(nn.Sequential(*blocks))
    return stages


def initialize(module: nn.Module) -> None:
    """Draw weights as the official code does: convolutions He-normal by fan-out, classifier uniform.

    A depthwise convolution's fan-out is its kernel's area: each input channel feeds one output channel.
    The baselines start by the same rule: timm does so for MobileNets; torchvision has the same for dense
    convolutions, ReLU's gain being that 2, and its ResNets' classifier within 1/sqrt(features).
    The official bound of the classifier, 1/sqrt(classes), was made for 1000 classes. With 2 it would be 0.7,
    and training would start at a loss of 8 instead of 0.7; so it never exceeds its value for 1000.
    """
    if isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, 0.0, sqrt(2.0 / fan_out))
    elif isinstance(module, nn.Linear):
        bound = 1.0 / sqrt(max(module.out_features, IMAGENET_CLASSES))
        nn.init.uniform_(module.weight, -bound, bound)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


def create_model(
    network: str | NetSpec, num_classes: int = 1000, *, checkpoint_stages: bool = False, **changes: Any
) -> ConvNet:
    """Build a network with fresh weights.

    Args:
        network: a name such as `b0` or `b0-cifar`, a spec file (`.json`), or a spec.
        num_classes: outputs of the classifier.
        checkpoint_stages: trade time for memory, see `ConvNet`.
        changes: fields of the spec to replace, such as `in_channels=1` or `dropout=0.0`.

    Raises:
        UsageError: unknown network or field, or a value out of range.

    """
    return ConvNet(get_spec(network, **changes), num_classes, checkpoint_stages=checkpoint_stages)


def misfits(network: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Say which weights, given by name and shape, are not those of a network; the classifier first."""
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    other = [
        f"{name} is {_written(shapes[name])} (expected {_written(shape)})"
        for name, shape in reversed(expected.items())
        if name in shapes and shapes[name] != shape
    ]
    missing = [f"{name} is missing" for name in expected if name not in shapes]
    return [*other, *missing, *(f"{name} is unknown" for name in shapes if name not in expected)]


def _written(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a single number"
