"""Convolution, transposed convolution, normalisation and dropout, one definition each.

Both convolutions exist in two lowerings with the same kernel and the same result. XLA's own
(`lax`) is the faster one on GPU and TPU. On CPU it has no fast path for the weight gradient
of a transposed convolution, so there both become one matrix product over patches (`product`),
differentiated by JAX as any other product. Which one it is is decided for the platform that is
compiled for, so that an exported network has both.
"""

import math
from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax


def convolution(x: Array, kernel: Array, stride: int, padding: tuple[int, int]) -> Array:
    """Cross-correlation, as in every deep learning library.

    Args:
      x: [b, h, w, c].
      kernel: [k, k, c, o].
      stride: of both axes; on CPU it must divide k.
      padding: zeros before and after, on both axes.

    Returns:
      [b, (h + sum(padding) - k) // stride + 1, likewise for w, o].
    """
    shape = {"stride": stride, "padding": padding}
    return lax.platform_dependent(
        x,
        kernel,
        cpu=partial(convolution_product, **shape),
        default=partial(convolution_lax, **shape),
    )


def transposed_convolution(x: Array, kernel: Array) -> Array:
    """The adjoint of a stride-2, padding-1 convolution: twice the height and width.

    Args:
      x: [b, h, w, c].
      kernel: [4, 4, c, o]; kernel[i, j] is what one pixel adds at (i - 1, j - 1) from its own
        place in the doubled image, as in PyTorch and Keras.

    Returns:
      [b, 2h, 2w, o].
    """
    return lax.platform_dependent(x, kernel, cpu=transposed_product, default=transposed_lax)


def convolution_lax(x: Array, kernel: Array, stride: int, padding: tuple[int, int]) -> Array:
    """`convolution` by XLA's own."""
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), (padding, padding), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def transposed_lax(x: Array, kernel: Array) -> Array:
    """`transposed_convolution` by XLA's own."""
    return lax.conv_general_dilated(
        x,
        kernel[::-1, ::-1],
        window_strides=(1, 1),
        padding=((2, 2), (2, 2)),
        lhs_dilation=(2, 2),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def convolution_product(x: Array, kernel: Array, stride: int, padding: tuple[int, int]) -> Array:
    """`convolution` as one matrix product over patches."""
    b, h, w, c = x.shape
    k, _, _, o = kernel.shape
    s, shifts = stride, k // stride
    height, width = ((side + sum(padding) - k) // s + 1 for side in (h, w))
    # Space to depth: the stride moves into the channels, and what is left is a dense kernel.
    low, high = padding
    rows, columns = ((side + shifts - 1) * s for side in (height, width))
    x = lax.pad(
        x,
        jnp.zeros((), x.dtype),
        ((0, 0, 0), (low, rows - low - h, 0), (low, columns - low - w, 0), (0, 0, 0)),
    )
    x = x.reshape(b, rows // s, s, columns // s, s, c).transpose(0, 1, 3, 2, 4, 5)
    x = x.reshape(b, rows // s, columns // s, s * s * c)
    patches = jnp.concatenate(
        [x[:, i : i + height, j : j + width] for i in range(shifts) for j in range(shifts)], -1
    )  # [b, height, width, k * k * c]
    kernel = kernel.reshape(shifts, s, shifts, s, c, o).transpose(0, 2, 1, 3, 4, 5)
    return patches @ kernel.reshape(k * k * c, o)


def transposed_product(x: Array, kernel: Array) -> Array:
    """`transposed_convolution` as one matrix product, its outputs added where they overlap."""
    b, h, w, c = x.shape
    o = kernel.shape[-1]
    # Every pixel becomes 4x4 outputs: 2x2 blocks of 2x2, the blocks overlapping the neighbours'.
    kernel = kernel.reshape(2, 2, 2, 2, c, o).transpose(4, 0, 2, 1, 3, 5)  # [c, I, J, i, j, o]
    y = (x.reshape(-1, c) @ kernel.reshape(c, 16 * o)).reshape(b, h, w, 2, 2, 4 * o)
    y = sum(
        jnp.pad(y[:, :, :, i, j], ((0, 0), (i, 1 - i), (j, 1 - j), (0, 0)))
        for i in range(2)
        for j in range(2)
    )  # [b, h + 1, w + 1, 4 * o]
    y = y.reshape(b, h + 1, w + 1, 2, 2, o).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(b, 2 * h + 2, 2 * w + 2, o)[:, 1:-1, 1:-1]


def normal(mean: float) -> nn.initializers.Initializer:
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
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:  # [b, h, w, c]
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        kernel = self.param("kernel", normal(0.0), shape)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        if self.transposed:
            x = transposed_convolution(x, kernel)  # [b, 2h, 2w, features]
        else:
            x = convolution(x, kernel, self.stride, self.padding)  # [b, h / stride, ...]
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
        y = at_least_float32(x).reshape(b // images, images, *x.shape[1:])  # [groups, images, ...]
        y = y - y.mean((1, 2, 3), keepdims=True)
        y = y * lax.rsqrt(jnp.square(y).mean((1, 2, 3), keepdims=True) + self.epsilon)
        y = y.reshape(x.shape)
        if self.affine:
            channels = (x.shape[-1],)
            scale = self.param("scale", normal(1.0), channels)
            bias = self.param("bias", nn.initializers.zeros, channels)
            y = y * scale[None, None, None] + bias[None, None, None]
        return y.astype(x.dtype)


def at_least_float32(x: Array) -> Array:
    """What has fewer bits, with as many."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


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

    def kept(key: Array) -> Array:  # flat, as in `normal`
        bits = jax.random.bernoulli(jax.random.fold_in(key, layer), 1 - rate, (x[0].size,))
        return bits.reshape(x.shape[1:])

    return jnp.where(jax.vmap(kept)(keys), x / (1 - rate), 0).astype(x.dtype)
