"""The layers of both networks: convolution, norm and dropout, one definition each."""

import math
from collections.abc import Sequence
from typing import cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from pix2pix_jax.models.convolution import conv, conv_transpose
from pix2pix_jax.models.normalization import normalize
from pix2pix_jax.models.topology import Layer


def normal_initializer(mean: float) -> nn.initializers.Initializer:
    """N(mean, 0.02), the initial distribution of every weight (section 6.2)."""

    def draw(key: Array, shape: Sequence[int]) -> Array:
        # Drawn flat: XLA's CPU backend compiles that several times faster than four dimensions.
        return mean + 0.02 * jax.random.normal(key, (math.prod(shape),)).reshape(shape)

    return draw


class Convolution(nn.Module):
    """A convolution, or a transposed one, as a row of a topology table describes it.

    Attributes:
      layer: kernel size, stride, padding, features, bias.
      portable: whether it can be exported for other platforms than this one.
      dtype: of the computation; parameters are float32.
    """

    layer: Layer
    portable: bool = False
    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Convolves [b, h, w, c] to [b, h / stride, w / stride, features], or [b, 2h, 2w, ...]."""
        layer = self.layer
        shape = (layer.kernel, layer.kernel, x.shape[-1], layer.features)
        kernel = self.param("kernel", normal_initializer(0.0), shape)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        if layer.transposed:
            x = conv_transpose(x, kernel, self.portable)  # [b, 2h, 2w, features]
        else:
            x = conv(x, kernel, layer.stride, layer.padding, self.portable)
        if layer.bias:
            bias = self.param("bias", nn.initializers.zeros, (layer.features,))
            x = x + bias.astype(self.dtype)[None, None, None]
        return x


class Norm(nn.Module):
    """Zero mean and unit variance from the images at hand, then a learnt scale and shift.

    There are no running averages: the paper normalises with the test batch's own statistics
    (section 3.2.1). The variance is biased, and the scale starts at N(1, 0.02). bfloat16 inputs are
    normalised in float32.

    Attributes:
      kind: "batch": one mean a channel over height, width and several images; "instance": over
        height and width of one image; "none": x is returned as it is.
      epsilon: added to the variance.
      affine: whether there are a scale and a shift.
      images: how many images share the statistics of "batch"; None: all.
    """

    kind: str
    epsilon: float = 1e-5
    affine: bool = True
    images: int | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Normalises [b, h, w, c]."""
        if self.kind == "none":
            return x
        b = x.shape[0]
        images = min(self.images or b, b) if self.kind == "batch" else 1
        groups = x.reshape(b // images, images, *x.shape[1:])  # [groups, images, h, w, c]
        scale, bias = None, None
        if self.affine:
            scale = self.param("scale", normal_initializer(1.0), x.shape[-1:])
            bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        normalized = cast(Array, normalize(groups, scale, bias, self.epsilon))
        return normalized.reshape(x.shape)  # [b, h, w, c]


def dropout(x: Array, rate: float, keys: Array, layer: int) -> Array:
    """Zeroes a share of the values and scales up the others, each image by its own key.

    A key an image, not a key a batch: an image's noise depends neither on its neighbours nor on
    the number of devices.

    Args:
      x: [b, h, w, c].
      rate: the share of values to zero, from 0 to 1.
      keys: [b] PRNG keys.
      layer: a number that makes the dropouts of one network differ.

    Returns:
      [b, h, w, c].
    """

    def draw_mask(key: Array) -> Array:  # drawn flat, as in `normal_initializer`
        layer_key = jax.random.fold_in(key, layer)
        mask = jax.random.bernoulli(layer_key, 1 - rate, (x[0].size,))
        return mask.reshape(x.shape[1:])  # [h, w, c]  # [h, w, c]

    return jnp.where(jax.vmap(draw_mask)(keys), x / (1 - rate), 0).astype(x.dtype)
