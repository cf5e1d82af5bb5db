"""An int8 graph of a float32 graph, by onnxruntime's static quantisation; blocks can be left in float32."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from effnet.exporting.calibration import OPERATORS, Ranges, quiet

if TYPE_CHECKING:
    from onnx import ModelProto

CLASSIFIER = "classifier"
_ENDS = ("pooled", "flat", "logits")


def quantize(graph: Path, ranges: Ranges, floats: Collection[str] = ()) -> "ModelProto":
    """Quantise a graph: activations to uint8, weights to int8 for each output channel.

    Of the eight bits of a weight seven are used, since processors without VNNI add two products in 16 bits,
    which a full eighth bit would overflow: so the file computes the same on all of them.

    Args:
        graph: the float32 graph.
        ranges: of its tensors.
        floats: blocks that stay as they are, see `block_of`.

    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    kept = [node.name for node in onnx.load(graph).graph.node if block_of(node.name) in floats]
    made = graph.with_name("int8.onnx")
    method = CalibrationMethod.Percentile if ranges.is_percentile else CalibrationMethod.MinMax
    with quiet():
        quantize_static(
            graph,
            made,
            None,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=list(OPERATORS),
            nodes_to_exclude=kept,
            calibrate_method=method,
            calibration_cache_path=ranges.path,
        )
    return onnx.load(made)


def block_of(name: str) -> str:
    """Return the block that an operator belongs to: `stem`, `stages.1.0`, `head` or `classifier`."""
    if name in _ENDS:
        return CLASSIFIER
    parts = name.split(".")
    if parts[0] == "pool":
        return "stem"
    return ".".join(parts[:3]) if parts[0] == "stages" else parts[0]


def blocks_of(names: Iterable[str]) -> list[str]:
    """Return the blocks of a graph's operators, in the order of computation."""
    return list(dict.fromkeys(block_of(name) for name in names))
