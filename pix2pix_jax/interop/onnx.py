"""A generator as an ONNX graph, layer by layer, without dropout.

Written out rather than converted: jax2onnx 0.17 takes this network only with a fixed height and
width, makes 385 nodes of the paper's, which are 59 here, and wants an older Orbax.
"""

from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pix2pix_jax.models.unet import UNet

OPSET = 17  # of ai.onnx; read by onnxruntime 1.12 and newer, in browsers too


class Graph(NamedTuple):
    """What a graph is made of, in its order."""

    nodes: list[onnx.NodeProto]
    weights: list[onnx.TensorProto]

    def node(self, operation: str, name: str, *inputs: str, **attributes: object) -> str:
        """Adds a node of one output; its name."""
        self.nodes.append(helper.make_node(operation, inputs, [name], name, **attributes))
        return name

    def weight(self, name: str, value: np.ndarray) -> str:
        """Adds an array; its name."""
        value = np.ascontiguousarray(value, np.float32)
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def rectified(self, name: str, x: str, slope: float) -> str:
        """Adds a ReLU of a slope below zero."""
        return self.node("LeakyRelu", name, x, alpha=slope) if slope else self.node("Relu", name, x)


def onnx_model(generator: UNet, params: dict, metadata: dict[str, str]) -> onnx.ModelProto:
    """The graph, from `image` [b, c, h, w] in [-1, 1] to `output` [b, channels, h, w].

    Both kinds of norm are InstanceNormalization, since every image is normalised on its own.

    Args:
      generator: the module.
      params: its parameters.
      metadata: what else is to stand in the file.
    """
    graph, depth, x, skips = Graph([], []), generator.depth, "image", []
    for level in range(1, depth + 1):
        if level > 1:
            x = graph.rectified(f"down{level}_relu", x, generator.leaky_slope)
        normed = 1 < level < depth or (level == depth > 1 and generator.bottleneck_norm)
        x = convolution(graph, generator, params, f"down{level}", x, normed)
        if generator.skips or level == depth:
            skips.append(graph.rectified(f"skip{level}", x, generator.skip_slope))
    x = skips.pop()
    for level in range(1, depth):
        x = convolution(graph, generator, params, f"up{level}", x, normed=True)
        x = graph.rectified(f"up{level}_relu", x, 0)
        if generator.skips:
            x = graph.node("Concat", f"up{level}_concat", skips.pop(), x, axis=1)
    graph.node("Tanh", "output", convolution(graph, generator, params, f"up{depth}", x, False))
    channels = params["down1"]["kernel"].shape[2]
    ends = [tensor("image", channels)], [tensor("output", generator.channels)]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "generator", *ends, graph.weights),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,  # that of opset 17
        producer_name="pix2pix_jax",
    )
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    return model


def convolution(
    graph: Graph, generator: UNet, params: dict, layer: str, x: str, normed: bool
) -> str:
    """Adds a layer, and the norm after it; the name of what comes out."""
    # [k, k, in, out] to [out, in, k, k], or, transposed, [in, out, k, k]; none is flipped.
    up = layer.startswith("up")
    kernel = np.asarray(params[layer]["kernel"]).transpose((2, 3, 0, 1) if up else (3, 2, 0, 1))
    inputs = [x, graph.weight(f"{layer}.kernel", kernel)]
    if "bias" in params[layer]:
        inputs.append(graph.weight(f"{layer}.bias", params[layer]["bias"]))
    shape = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    x = graph.node("ConvTranspose" if up else "Conv", layer, *inputs, **shape)
    if not normed or generator.norm == "none":
        return x
    channels, name = kernel.shape[1 if up else 0], f"{layer}_norm"
    norm = params.get(name, {"scale": np.ones(channels), "bias": np.zeros(channels)})
    inputs = [x, *(graph.weight(f"{name}.{which}", norm[which]) for which in ("scale", "bias"))]
    return graph.node("InstanceNormalization", name, *inputs, epsilon=generator.norm_epsilon)


def tensor(name: str, channels: int) -> onnx.ValueInfoProto:
    """An image that goes in or comes out."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", channels, "h", "w"])
