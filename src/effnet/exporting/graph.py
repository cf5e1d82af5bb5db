"""From a network's spec and weights to an ONNX graph that computes the same: no torch, and no tracing.

Written down operator by operator, a graph is made in a tenth of a second, where torch's exporter takes seven;
it holds nothing but what computes, and it has the form that onnxruntime is fast with (docs/decisions/0017).
That it computes what torch computes is proved for every file: `effnet.exporting.parity`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from effnet.exporting.layers import LayerWriter
from effnet.exporting.writer import BATCH, Arrays, Map
from effnet.inference.runtime import FEATURES, INPUTS, LOGITS, WEIGHTS
from effnet.spec.cost import squeeze_channels
from effnet.spec.netspec import NetSpec, Stage

if TYPE_CHECKING:
    from onnx import ModelProto

IMAGES = INPUTS["normalised"]


def build_graph(spec: NetSpec, arrays: Arrays, *, blocked: bool = True) -> "ModelProto":
    """Build the graph of a network as it predicts.

    Args:
        spec: the network.
        arrays: its weights, by the names of the model file.
        blocked: write it for onnxruntime's blocked layout of float32; int8 has another one.

    Returns:
        A graph that takes `images (N, C, S, S)` float32, normalised, with any N, and the S of the spec. It
        gives `logits (N, K)` and `features (N, F, h, w)`, what global pooling sees. Batch normalisation is
        part of the convolutions.

    Raises:
        ModuleNotFoundError: the extra `export` is not installed.

    """
    return NetworkWriter(spec, arrays, blocked=blocked).write()


def give_class_weights(model: "ModelProto", shape: tuple[int, int]) -> None:
    """Let a graph also give `class_weights (K, F)`: the weights that its classifier computes with.

    Where they are stored as float32 they cost nothing. Where they are int8, they are made float32 again in
    every run, 0.1 ms for 1,280,000 of them; the alternative is to store them twice.
    """
    from onnx import TensorProto, helper

    (classifier,) = (node for node in model.graph.node if node.op_type == "Gemm")
    model.graph.node.append(helper.make_node("Identity", [classifier.input[1]], [WEIGHTS], name=WEIGHTS))
    model.graph.output.append(helper.make_tensor_value_info(WEIGHTS, TensorProto.FLOAT, shape))


class NetworkWriter(LayerWriter):
    """Writes a whole network."""

    def write(self) -> "ModelProto":
        """Write the whole network."""
        from onnx import TensorProto, helper

        images = Map(IMAGES, self.spec.in_channels, self.spec.resolution)
        features = self.features(images)
        num_classes = self.classify(features)
        given, logits, found = (
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (
                (IMAGES, images.shape),
                (LOGITS, (BATCH, num_classes)),
                (FEATURES, features.shape),
            )
        )
        return self.finish([given], [logits, found], self.spec.name)

    def features(self, x: Map) -> Map:
        """Write stem, stages and head; the map they end in is called `features`."""
        spec = self.spec
        kernel = (spec.stem.kernel_size, spec.stem.stride)
        x = self.conv_norm(x, "stem", spec.stem.out_channels, kernel=kernel)
        if spec.stem.pool:
            x = self.max_pool(x)
        for row, stage in enumerate(spec.stages):
            for index in range(stage.repeats):
                stride = stage.stride if index == 0 else 1
                x = BLOCKS[stage.block](self, x, f"stages.{row}.{index}", (stage, stride))
        if spec.head is not None:
            x = self.conv_norm(x, "head", spec.head.out_channels)
        self.shapes.pop()
        self.nodes[-1].output[0] = FEATURES
        return Map(FEATURES, x.channels, x.side)

    def classify(self, features: Map) -> int:
        """Write global pooling and the classifier; return the number of classes."""
        pooled = self.node("GlobalAveragePool", [features.name], "pooled")
        flat = self.node("Flatten", [pooled], "flat")
        weight, bias = (self.arrays[f"classifier.{part}"].astype(np.float32) for part in ("weight", "bias"))
        weights = [self.constant("classifier.weight", weight), self.constant("classifier.bias", bias)]
        self.node("Gemm", [flat, *weights], LOGITS, transB=1)
        return len(bias)


Block = tuple[Stage, int]
"""The stage of a block, and the block's stride."""


def _mbconv(writer: LayerWriter, x: Map, path: str, block: Block) -> Map:
    stage, stride = block
    y = (
        x
        if stage.expand_ratio == 1
        else writer.conv_norm(x, f"{path}.expand", x.channels * stage.expand_ratio)
    )
    y = writer.conv_norm(y, f"{path}.depthwise", y.channels, kernel=(stage.kernel_size, stride))
    if stage.se_ratio:
        y = writer.gated(y, f"{path}.se", squeeze_channels(x.channels, stage.se_ratio))
    y = writer.conv_norm(y, f"{path}.project", stage.out_channels, activate=False)
    return _residual(writer, x, y, path, stride)


def _fused_mbconv(writer: LayerWriter, x: Map, path: str, block: Block) -> Map:
    stage, stride = block
    expands = stage.expand_ratio != 1
    middle = x.channels * stage.expand_ratio if expands else stage.out_channels
    y = writer.conv_norm(x, f"{path}.fused", middle, kernel=(stage.kernel_size, stride))
    if stage.se_ratio:
        y = writer.gated(y, f"{path}.se", squeeze_channels(x.channels, stage.se_ratio))
    if expands:
        y = writer.conv_norm(y, f"{path}.project", stage.out_channels, activate=False)
    return _residual(writer, x, y, path, stride)


def _residual(writer: LayerWriter, x: Map, y: Map, path: str, stride: int) -> Map:
    same_shape = stride == 1 and x.channels == y.channels
    return writer.added(x, y, f"{path}.sum") if same_shape else y


def _separable(writer: LayerWriter, x: Map, path: str, block: Block) -> Map:
    stage, stride = block
    y = writer.conv_norm(x, f"{path}.depthwise", x.channels, kernel=(stage.kernel_size, stride))
    return writer.conv_norm(y, f"{path}.pointwise", stage.out_channels)


def _basic(writer: LayerWriter, x: Map, path: str, block: Block) -> Map:
    stage, stride = block
    channels, size = stage.out_channels, stage.kernel_size
    y = writer.conv_norm(x, f"{path}.branch.0", channels, kernel=(size, stride))
    y = writer.conv_norm(y, f"{path}.branch.1", channels, kernel=(size, 1), activate=False)
    return _with_shortcut(writer, x, y, path, stride)


def _bottleneck(writer: LayerWriter, x: Map, path: str, block: Block) -> Map:
    stage, stride = block
    middle = stage.out_channels // stage.expand_ratio
    y = writer.conv_norm(x, f"{path}.branch.0", middle)
    y = writer.conv_norm(y, f"{path}.branch.1", middle, kernel=(stage.kernel_size, stride))
    y = writer.conv_norm(y, f"{path}.branch.2", stage.out_channels, activate=False)
    return _with_shortcut(writer, x, y, path, stride)


def _with_shortcut(writer: LayerWriter, x: Map, y: Map, path: str, stride: int) -> Map:
    if stride != 1 or x.channels != y.channels:
        x = writer.conv_norm(x, f"{path}.shortcut", y.channels, kernel=(1, stride), activate=False)
    return writer.activated(writer.added(x, y, f"{path}.sum"), f"{path}.activation")


BLOCKS: dict[str, Callable[[LayerWriter, Map, str, Block], Map]] = {
    "mbconv": _mbconv,
    "fused-mbconv": _fused_mbconv,
    "separable": _separable,
    "basic": _basic,
    "bottleneck": _bottleneck,
}
