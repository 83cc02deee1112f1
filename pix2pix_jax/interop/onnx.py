"""Makes an ONNX graph of a generator, layer by layer, without dropout.

The graph is written by hand, because jax2onnx 0.17 needs a fixed height and width for this network,
turns the paper's generator into 385 nodes instead of 59, and needs an older version of Orbax.
"""

from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pix2pix_jax.models.layers import Moments
from pix2pix_jax.models.topology import Layer
from pix2pix_jax.models.unet import UNet

OPSET = 17  # onnxruntime 1.12 and newer can read this version, in browsers too


class Graph(NamedTuple):
    """The nodes of a graph, in the order in which they run, and its weights."""

    nodes: list[onnx.NodeProto]
    weights: list[onnx.TensorProto]

    def add_node(self, operation: str, name: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node with one output, gives both the name `name`, and returns this name."""
        self.nodes.append(helper.make_node(operation, inputs, [name], name, **attributes))
        return name

    def add_weight(self, name: str, value: np.ndarray) -> str:
        """Adds an array as float32, and returns its name."""
        value = np.ascontiguousarray(value, np.float32)
        self.weights.append(numpy_helper.from_array(value, name))
        return name


def onnx_model(
    generator: UNet, params: dict, metadata: dict[str, str], moments: Moments | None = None
) -> onnx.ModelProto:
    """Makes the graph from `image` [b, c, h, w] in [-1, 1] to `output` [b, channels, h, w].

    Batch norms and instance norms both become InstanceNormalization, because an exported generator
    normalizes every image on its own; with running statistics, batch norms become
    BatchNormalization.

    Args:
      generator: the module.
      params: the parameters of the generator.
      metadata: texts to store in the file.
      moments: the running statistics of all norms; None: each image has its own statistics.
    """
    graph, x = Graph([], []), "image"
    encoder, decoder = generator.layers[: generator.depth], generator.layers[generator.depth :]
    decoder_inputs = {layer.skip for layer in decoder} | {encoder[-1].name}
    encoded = {}  # the encoder's outputs that the decoder takes, by layer
    for layer in encoder:
        if layer is not encoder[0]:
            x = add_relu(graph, f"{layer.name}_relu", x, generator.leaky_slope)
        x = add_layer(graph, generator, params, layer, x, moments)
        if layer.name in decoder_inputs:
            name = layer.name.replace("down", "skip")
            encoded[layer.name] = add_relu(graph, name, x, generator.skip_slope)
    x = encoded[encoder[-1].name]
    for index, layer in enumerate(decoder):
        if layer.skip:
            name = f"{decoder[index - 1].name}_concat"
            x = graph.add_node("Concat", name, encoded[layer.skip], x, axis=1)
        x = add_layer(graph, generator, params, layer, x, moments)
        if layer is not decoder[-1]:
            x = add_relu(graph, f"{layer.name}_relu", x, 0)
    graph.add_node("Tanh", "output", x)
    channels = params[encoder[0].name]["kernel"].shape[2]
    ends = [image_value("image", channels)], [image_value("output", generator.channels)]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "generator", *ends, graph.weights),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,  # the version that came with opset 17
        producer_name="pix2pix_jax",
    )
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    return model


def add_relu(graph: Graph, name: str, x: str, slope: float) -> str:
    """Adds a LeakyReLU, or a ReLU if the slope is 0; returns the name of its output."""
    if slope:
        return graph.add_node("LeakyRelu", name, x, alpha=slope)
    return graph.add_node("Relu", name, x)


def add_layer(
    graph: Graph, generator: UNet, params: dict, layer: Layer, x: str, moments: Moments | None
) -> str:
    """Adds a convolution and the norm that follows it; returns the name of their output."""
    kernel = np.asarray(params[layer.name]["kernel"])  # [k, k, in, out]
    # Kernels in ONNX are [out, in, k, k], or [in, out, k, k] in a ConvTranspose, without a flip.
    kernel = kernel.transpose((2, 3, 0, 1) if layer.transposed else (3, 2, 0, 1))
    inputs = [x, graph.add_weight(f"{layer.name}.kernel", kernel)]
    if layer.has_bias:
        inputs.append(graph.add_weight(f"{layer.name}.bias", params[layer.name]["bias"]))
    options = {
        "kernel_shape": [layer.kernel] * 2,
        "strides": [layer.stride] * 2,
        "pads": [layer.padding[0]] * 2 + [layer.padding[1]] * 2,
    }
    operation = "ConvTranspose" if layer.transposed else "Conv"
    x = graph.add_node(operation, layer.name, *inputs, **options)
    if not layer.has_norm:
        return x
    name = layer.norm_name
    identity = {"scale": np.ones(layer.features), "bias": np.zeros(layer.features)}
    norm = params.get(name, identity)
    inputs = [x, *(graph.add_weight(f"{name}.{part}", norm[part]) for part in ("scale", "bias"))]
    epsilon = generator.norm.epsilon
    if moments is None:
        return graph.add_node("InstanceNormalization", name, *inputs, epsilon=epsilon)
    for part in ("mean", "variance"):
        inputs.append(graph.add_weight(f"{name}.{part}", np.asarray(moments[name][part])))
    return graph.add_node("BatchNormalization", name, *inputs, epsilon=epsilon)


def image_value(name: str, channels: int) -> onnx.ValueInfoProto:
    """The type of the input or the output: float32 [b, channels, h, w]."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", channels, "h", "w"])
