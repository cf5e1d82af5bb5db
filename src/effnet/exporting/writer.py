"""Writing down an ONNX graph: its operators, its weights, and the shapes of what lies between them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from effnet import __version__

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

OPSET, IR_VERSION = 20, 10  # of 2023, when ONNX got GELU; onnxruntime reads them since 1.17
BATCH = "N"  # any number of images

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Map:
    """A feature map between two operators, `(N, channels, side, side)`."""

    name: str
    channels: int
    side: int

    @property
    def shape(self) -> tuple[str | int, ...]:
        """Its shape."""
        return (BATCH, self.channels, self.side, self.side)


class GraphWriter:
    """Collects the operators of a graph in the order of computation, each named as its module is."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.tensors: dict[str, TensorProto] = {}
        self.shapes: list[ValueInfoProto] = []

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Add values that never change, once; return their name."""
        from onnx import numpy_helper

        if name not in self.tensors:
            self.tensors[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def node(self, operator: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add an operator with one output; return the output's name, which is the operator's."""
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def map(self, operator: str, inputs: Sequence[str], made: Map, **attributes: Any) -> Map:
        """Add an operator that makes a feature map, whose name is the operator's; return the map."""
        from onnx import TensorProto, helper

        self.node(operator, inputs, made.name, **attributes)
        self.shapes.append(helper.make_tensor_value_info(made.name, TensorProto.FLOAT, made.shape))
        return made

    def finish(
        self, inputs: "Iterable[ValueInfoProto]", outputs: "Iterable[ValueInfoProto]", name: str
    ) -> "ModelProto":
        """Return the graph; a map that it gives is no longer one between two operators."""
        from onnx import helper

        given = list(outputs)
        between = [shape for shape in self.shapes if shape.name not in {output.name for output in given}]
        graph = helper.make_graph(
            self.nodes, name, list(inputs), given, list(self.tensors.values()), value_info=between
        )
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="effnet",
            producer_version=__version__,
        )
