"""Convolution, transposed convolution, normalisation and dropout, one definition each.

Both convolutions exist in several lowerings with the same kernel and the same result: XLA's own
(`native`), and as matrix products (`products`). Which one it is is decided by the platform and the
shape; a network that is exported has those of all platforms.
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from pix2pix_jax.models.convolution import conv, conv_transpose
from pix2pix_jax.models.normalization import normalize


def normal_initializer(mean: float) -> nn.initializers.Initializer:
    """N(mean, 0.02), as every weight starts (section 6.2)."""

    def draw(key: Array, shape: Sequence[int]) -> Array:
        # Drawn flat: XLA's CPU backend compiles that several times faster than four dimensions.
        return mean + 0.02 * jax.random.normal(key, (math.prod(shape),)).reshape(shape)

    return draw


class Convolution(nn.Module):
    """A convolution, or its transpose, computed in `dtype`."""

    features: int
    kernel: int = 4
    stride: int = 2
    padding: tuple[int, int] = (1, 1)
    bias: bool = False
    transposed: bool = False
    portable: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:  # [b, h, w, c]
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        kernel = self.param("kernel", normal_initializer(0.0), shape)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        if self.transposed:
            x = conv_transpose(x, kernel, self.portable)  # [b, 2h, 2w, features]
        else:  # [b, h / stride, w / stride, features]
            x = conv(x, kernel, self.stride, self.padding, self.portable)
        if self.bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            x = x + bias.astype(self.dtype)[None, None, None]
        return x


class Norm(nn.Module):
    """Zero mean and unit variance from the data at hand, then a learnt scale and shift.

    `batch` takes the statistics of a channel over `images` (None: all), height and width,
    `instance` over height and width; neither keeps running averages, since the paper normalises
    with the test batch's own statistics (section 3.2.1). Variance is biased; the scale starts at
    N(1, 0.02). Computed in float32 where the input has fewer bits.
    """

    kind: str
    epsilon: float = 1e-5
    affine: bool = True
    images: int | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:  # [b, h, w, c]
        if self.kind == "none":
            return x
        b = x.shape[0]
        images = min(self.images or b, b) if self.kind == "batch" else 1
        y = x.reshape(b // images, images, *x.shape[1:])  # [groups, images, h, w, c]
        scale, bias = None, None
        if self.affine:
            scale = self.param("scale", normal_initializer(1.0), x.shape[-1:])
            bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        return normalize(y, scale, bias, self.epsilon).reshape(x.shape)


def dropout(x: Array, rate: float, keys: Array, layer: int) -> Array:
    """Zeroes a share of the values and scales up the rest, each image by its own key.

    Keyed by image, not by batch, so that an image's noise depends neither on its neighbours
    nor on the number of devices.

    Args:
      x: [b, h, w, c].
      rate: the share that is zeroed.
      keys: [b] PRNG keys.
      layer: tells apart the dropouts of one network.
    """

    def kept(key: Array) -> Array:  # flat, as in `normal_initializer`
        bits = jax.random.bernoulli(jax.random.fold_in(key, layer), 1 - rate, (x[0].size,))
        return bits.reshape(x.shape[1:])

    return jnp.where(jax.vmap(kept)(keys), x / (1 - rate), 0).astype(x.dtype)
