"""The layers of a network, written as operators of ONNX: convolutions, activations, pools, gates."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.exporting.writer import Arrays, GraphWriter, Map
from effnet.spec.netspec import POOL_SIZE, POOL_STRIDE, NetSpec, same_padding

Kernel = tuple[int, int]
"""Size and stride."""


class LayerWriter(GraphWriter):
    """Writes layers under the names of their modules, with weights by the names of the model file."""

    def __init__(self, spec: NetSpec, arrays: Arrays, *, blocked: bool) -> None:
        super().__init__()
        self.spec = spec
        self.arrays = arrays
        self.blocked = blocked

    def conv_norm(
        self, x: Map, path: str, channels: int, *, kernel: Kernel = (1, 1), activate: bool = True
    ) -> Map:
        """Write a convolution with its batch normalisation folded in and, by default, the activation."""
        scale, shift = self.folded(f"{path}.norm")
        kernels = self.arrays[f"{path}.conv.weight"] * scale[:, None, None, None]
        y = self.conv(x, f"{path}.conv", channels, (kernels, shift), kernel=kernel)
        return self.activated(y, f"{path}.activation") if activate else y

    def folded(self, path: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what a batch normalisation multiplies each channel by, and what it adds."""
        weight, bias, mean, variance = (
            self.arrays[f"{path}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = weight / np.sqrt(variance + self.spec.bn_eps)
        return scale, bias - mean * scale

    def conv(
        self,
        x: Map,
        path: str,
        channels: int,
        values: tuple[NDArray[Any], NDArray[Any]],
        *,
        kernel: Kernel = (1, 1),
    ) -> Map:
        """Write a convolution with these kernels `(K, C, k, k)`, or `(K, 1, k, k)`, and biases `(K,)`."""
        kernels, biases = values
        size, stride = kernel
        inputs = [
            x.name,
            self.constant(f"{path}.weight", kernels.astype(np.float32)),
            self.constant(f"{path}.bias", biases.astype(np.float32)),
        ]
        made = Map(path, channels, -(-x.side // stride))  # padding makes every stride round up
        return self.map(
            "Conv", inputs, made,
            kernel_shape=[size, size], strides=[stride, stride], pads=self.pads(x.side, kernel),
            group=x.channels // kernels.shape[1],
        )  # fmt: skip

    def pads(self, side: int, kernel: Kernel) -> list[int]:
        """Return the padding above, left, below and right, by the rule of the spec."""
        half = kernel[0] // 2
        before, behind = (half, half) if self.spec.padding == "symmetric" else same_padding(side, *kernel)
        return [before, before, behind, behind]

    def max_pool(self, x: Map) -> Map:
        """Write the pool behind a stem."""
        kernel = (POOL_SIZE, POOL_STRIDE)
        made = Map("pool", x.channels, -(-x.side // POOL_STRIDE))
        sizes = {"kernel_shape": [POOL_SIZE] * 2, "strides": [POOL_STRIDE] * 2}
        return self.map("MaxPool", [x.name], made, pads=self.pads(x.side, kernel), **sizes)

    def activated(self, x: Map, path: str) -> Map:
        """Write the activation of the spec."""
        return ACTIVATIONS[self.spec.activation](self, x, Map(path, x.channels, x.side))

    def gated(self, x: Map, path: str, squeezed: int) -> Map:
        """Write squeeze-and-excitation."""
        pooled = self.map("GlobalAveragePool", [x.name], Map(f"{path}.pooled", x.channels, 1))
        reduced = self.activated(self.biased(pooled, f"{path}.reduce", squeezed), f"{path}.activation")
        expanded = self.biased(reduced, f"{path}.expand", x.channels)
        gates = self.map("Sigmoid", [expanded.name], Map(f"{path}.gates", x.channels, 1))
        factor = self.widened(gates, f"{path}.wide", x.side) if self.blocked else gates
        return self.map("Mul", [x.name, factor.name], Map(f"{path}.scaled", x.channels, x.side))

    def widened(self, gates: Map, path: str, side: int) -> Map:
        """Repeat `gates (N, C, 1, 1)` over height and width.

        onnxruntime keeps an upsampling and a product of equal shapes in its blocked layout; for a product
        that broadcasts it would reorder a feature map twice.
        """
        scales = self.constant(f"scales_{side}", np.array([1, 1, side, side], np.float32))
        return self.map(
            "Resize", [gates.name, "", scales], Map(path, gates.channels, side),
            mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        )  # fmt: skip

    def biased(self, x: Map, path: str, channels: int) -> Map:
        """Write a 1×1 convolution that has a bias instead of a batch normalisation."""
        return self.conv(x, path, channels, (self.arrays[f"{path}.weight"], self.arrays[f"{path}.bias"]))

    def added(self, x: Map, y: Map, path: str) -> Map:
        """Write the sum of a block's input, or shortcut, and its branch."""
        return self.map("Add", [x.name, y.name], Map(path, y.channels, y.side))


def _silu(writer: LayerWriter, x: Map, made: Map) -> Map:
    gates = writer.map("Sigmoid", [x.name], Map(f"{made.name}.sigmoid", x.channels, x.side))
    return writer.map("Mul", [x.name, gates.name], made)


def _relu6(writer: LayerWriter, x: Map, made: Map) -> Map:
    limits = [writer.constant(f"limit_{limit}", np.array(limit, np.float32)) for limit in (0, 6)]
    return writer.map("Clip", [x.name, *limits], made)


def _single(operator: str) -> Callable[[LayerWriter, Map, Map], Map]:
    return lambda writer, x, made: writer.map(operator, [x.name], made)


ACTIVATIONS: dict[str, Callable[[LayerWriter, Map, Map], Map]] = {
    "silu": _silu,
    "relu": _single("Relu"),
    "relu6": _relu6,
    "hardswish": _single("HardSwish"),
    "gelu": _single("Gelu"),
}
