"""A generator as an ONNX graph, layer by layer, without dropout.

Written out rather than converted: jax2onnx 0.17 takes this network only with a fixed height and
width, makes 385 nodes of the paper's, which are 59 here, and wants an older Orbax.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pix2pix_jax.generator import UNet

OPSET = 17  # of ai.onnx; read by onnxruntime 1.12 and newer, in browsers too


def onnx_model(generator: UNet, params: dict, metadata: dict[str, str]) -> onnx.ModelProto:
    """The graph, from `image` [b, c, h, w] in [-1, 1] to `output` [b, channels, h, w].

    Both kinds of norm are InstanceNormalization, since every image is normalised on its own.

    Args:
      generator: the module.
      params: its parameters.
      metadata: what else is to stand in the file.
    """
    nodes, weights = [], []

    def node(operation: str, name: str, *inputs: str, **attributes: object) -> str:
        nodes.append(helper.make_node(operation, inputs, [name], name, **attributes))
        return name

    def weight(name: str, value: np.ndarray) -> str:
        value = np.ascontiguousarray(value, np.float32)
        weights.append(numpy_helper.from_array(value, name))
        return name

    def convolution(layer: str, x: str, normed: bool) -> str:
        # [k, k, in, out] to [out, in, k, k], or, transposed, [in, out, k, k]; none is flipped.
        up = layer.startswith("up")
        kernel = np.asarray(params[layer]["kernel"]).transpose((2, 3, 0, 1) if up else (3, 2, 0, 1))
        inputs = [x, weight(f"{layer}.kernel", kernel)]
        if "bias" in params[layer]:
            inputs.append(weight(f"{layer}.bias", params[layer]["bias"]))
        shape = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1, 1, 1, 1]}
        x = node("ConvTranspose" if up else "Conv", layer, *inputs, **shape)
        if not normed or generator.norm == "none":
            return x
        channels = kernel.shape[1 if up else 0]
        norm = params.get(f"{layer}_norm", {"scale": np.ones(channels), "bias": np.zeros(channels)})
        scale, bias = (weight(f"{layer}_norm.{name}", norm[name]) for name in ("scale", "bias"))
        epsilon = generator.norm_epsilon
        return node("InstanceNormalization", f"{layer}_norm", x, scale, bias, epsilon=epsilon)

    def rectified(name: str, x: str, slope: float) -> str:
        return node("LeakyRelu", name, x, alpha=slope) if slope else node("Relu", name, x)

    depth, x, skips = generator.depth, "image", []
    for level in range(1, depth + 1):
        if level > 1:
            x = rectified(f"down{level}_relu", x, generator.leaky_slope)
        normed = 1 < level < depth or (level == depth > 1 and generator.bottleneck_norm)
        x = convolution(f"down{level}", x, normed)
        if generator.skips or level == depth:
            skips.append(rectified(f"skip{level}", x, generator.skip_slope))
    x = skips.pop()
    for level in range(1, depth):
        x = node("Relu", f"up{level}_relu", convolution(f"up{level}", x, normed=True))
        if generator.skips:
            x = node("Concat", f"up{level}_concat", skips.pop(), x, axis=1)
    node("Tanh", "output", convolution(f"up{depth}", x, normed=False))

    def tensor(name: str, channels: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", channels, "h", "w"])

    channels = params["down1"]["kernel"].shape[2]
    ends = [tensor("image", channels)], [tensor("output", generator.channels)]
    graph = helper.make_graph(nodes, "generator", *ends, weights)
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,  # that of opset 17
        producer_name="pix2pix_jax",
    )
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    return model
