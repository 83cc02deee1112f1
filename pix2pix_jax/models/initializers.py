"""How the parameters of the networks are drawn."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import flax.linen as nn
import jax
from jax import Array
from jax.nn import initializers

from pix2pix_jax.models.topology import Layer


@dataclass(frozen=True)
class Initialization:
    """How the kernels of all convolutions are drawn.

    Attributes:
      kind: "normal", as in the paper (section 6.2); "xavier", "kaiming" or "orthogonal", as in
        `torch.nn.init`.
      gain: the standard deviation of "normal", and the factor on "xavier" and "orthogonal".
    """

    kind: str = "normal"
    gain: float = 0.02


def kernel_initializer(initialization: Initialization, layer: Layer) -> nn.initializers.Initializer:
    """The initializer of the kernel [k, k, in, out] of a layer.

    "xavier" has the variance gain^2 * 2 / (fan_in + fan_out), "kaiming" has 2 / fan_in. A kernel of
    "orthogonal" is a matrix with orthogonal rows or columns of length gain. PyTorch reads the fans
    off its own shape of the kernel, in which inputs and outputs of a transposed convolution change
    places, and so does this function.

    Args:
      initialization: the kind and the gain.
      layer: a row of a table in `topology`.
    """
    gain = initialization.gain
    in_axis, out_axis = (-1, -2) if layer.transposed else (-2, -1)
    if initialization.kind == "xavier":
        return initializers.variance_scaling(gain**2, "fan_avg", "normal", in_axis, out_axis)
    if initialization.kind == "kaiming":
        return initializers.variance_scaling(2.0, "fan_in", "normal", in_axis, out_axis)
    if initialization.kind == "orthogonal":
        return initializers.orthogonal(gain, out_axis)
    return normal_initializer(0.0, gain)


def normal_initializer(mean: float, deviation: float) -> nn.initializers.Initializer:
    """An initializer that draws from a normal distribution.

    Args:
      mean: the mean of the distribution.
      deviation: its standard deviation.
    """

    def draw(key: Array, shape: Sequence[int]) -> Array:
        # XLA's CPU backend compiles a draw in one dimension several times faster than in four.
        return mean + deviation * jax.random.normal(key, (math.prod(shape),)).reshape(shape)

    return draw
