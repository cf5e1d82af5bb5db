"""Putting the normalisation into a graph, so that it takes pixels as an image file gives them."""

from typing import TYPE_CHECKING

import numpy as np

from effnet.exporting.writer import BATCH
from effnet.imaging.preprocess import Preprocess
from effnet.inference.runtime import INPUTS

if TYPE_CHECKING:
    from onnx import ModelProto


def take_pixels(model: "ModelProto", preprocess: Preprocess) -> None:
    """Let a graph take `pixels (N, S, S, C)` uint8 instead of normalised images, for any program.

    Height and width come before the channels, as image libraries have them. Resizing and cropping stay
    outside: no two libraries do them alike.
    """
    from onnx import TensorProto, helper, numpy_helper

    images, pixels = INPUTS["normalised"], INPUTS["pixels"]
    mean, std = (np.reshape(values, (1, -1, 1, 1)) for values in (preprocess.mean, preprocess.std))
    constants = {"mean": 255 * mean, "factor": 1 / (255 * std)}
    graph = model.graph
    for name, values in constants.items():
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), f"normalise.{name}"))
    nodes = [
        helper.make_node("Transpose", [pixels], ["channels_first"], name="channels_first", perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["channels_first"], ["values"], name="values", to=TensorProto.FLOAT),
        helper.make_node("Sub", ["values", "normalise.mean"], ["centred"], name="centred"),
        helper.make_node("Mul", ["centred", "normalise.factor"], [images], name=images),
        *graph.node,
    ]
    del graph.node[:]
    graph.node.extend(nodes)
    (given,) = graph.input
    graph.value_info.append(given)
    side = preprocess.resolution
    taken = helper.make_tensor_value_info(pixels, TensorProto.UINT8, [BATCH, side, side, mean.size])
    del graph.input[:]
    graph.input.append(taken)
