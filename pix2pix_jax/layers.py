"""Convolution, transposed convolution, normalisation and dropout, one definition each.

Both convolutions exist in several lowerings with the same kernel and the same result: XLA's own
(`native`), and as matrix products (`products`). Which one it is is decided by the platform and the
shape; a network that is exported has those of all platforms.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax

from pix2pix_jax import products
from pix2pix_jax.products import at_least_float32

# Where one lowering becomes faster than another, as timed on two CPU cores and on an H200. Places
# are those of all images: outputs of a convolution, inputs of a transposed one.
FEW_CHANNELS = 16
FEWEST_MINIMAL = 513  # from so many places on, on a CPU
FEWEST_MINIMAL_TRANSPOSED = 1024  # from so many places on, on a CPU
MOST_BY_TAP_CPU, MOST_BY_TAP_GPU = 64, 256  # up to so many places
FEWEST_NATIVE = 9  # from so many images on, real and generated ones, on a GPU
NORM_PARTS = 16, 128  # of a sum on a GPU: from, and up to

Lowering = Callable[[Array, Array], Array]  # of x and kernel


def convolution(
    x: Array, kernel: Array, stride: int, padding: tuple[int, int], portable: bool = False
) -> Array:
    """Cross-correlation, as in every deep learning library.

    Args:
      x: [b, h, w, c].
      kernel: [k, k, c, o].
      stride: of both axes; it must divide k.
      padding: zeros before and after, on both axes.
      portable: for all platforms, and not for that alone on which JAX runs.

    Returns:
      [b, (h + sum(padding) - k) // stride + 1, likewise for w, o].
    """
    native = partial(convolution_native, stride=stride, padding=padding)
    cpu, gpu = convolution_lowerings(x, kernel, stride, padding)
    return of_platform(cpu, gpu, native, portable)(x, kernel)


def convolution_lowerings(
    x: Array, kernel: Array, stride: int, padding: tuple[int, int]
) -> tuple[Lowering, Lowering]:
    """The best of `convolution` on a CPU and on a GPU; its arguments."""
    k, _, c, o = kernel.shape
    if stride == 1 and k > 1 and o < FEW_CHANNELS:
        return (partial(products.scattered, padding=padding),) * 2
    cpu = gpu = partial(products.gathered, stride=stride, padding=padding)
    places = (x.shape[0], *products.output_size(x, k, stride, padding))
    if k == 4 and c > FEW_CHANNELS and known(places):
        if math.prod(places) >= FEWEST_MINIMAL and exact(x):
            cpu = partial(products.minimal, stride=stride, padding=padding)
        if x.shape[0] >= FEWEST_NATIVE:
            gpu = partial(convolution_native, stride=stride, padding=padding)
    return cpu, gpu


def transposed_convolution(x: Array, kernel: Array, portable: bool = False) -> Array:
    """The adjoint of a stride-2, padding-1 convolution: twice the height and width.

    Args:
      x: [b, h, w, c].
      kernel: [4, 4, c, o]; kernel[i, j] is what one pixel adds at (i - 1, j - 1) from its own
        place in the doubled image, as in PyTorch and Keras.
      portable: as in `convolution`.

    Returns:
      [b, 2h, 2w, o].
    """
    cpu, gpu = transposed_lowerings(x, kernel)
    return of_platform(cpu, gpu, transposed_native, portable)(x, kernel)


def transposed_lowerings(x: Array, kernel: Array) -> tuple[Lowering, Lowering]:
    """The best of `transposed_convolution` on a CPU and on a GPU; its arguments."""
    if not known(x.shape[:3]):
        return products.transposed, products.transposed
    places, o = math.prod(x.shape[:3]), kernel.shape[-1]
    cpu, gpu = (
        products.transposed_by_tap if places <= few else products.transposed
        for few in (MOST_BY_TAP_CPU, MOST_BY_TAP_GPU)
    )
    if places >= FEWEST_MINIMAL_TRANSPOSED and o > FEW_CHANNELS and exact(x):
        cpu = products.transposed_minimal
    return cpu, gpu


def of_platform(cpu: Lowering, gpu: Lowering, other: Lowering, portable: bool) -> Lowering:
    """That of the platform on which JAX runs; or all, which take twice as long to be traced."""
    if portable:
        return partial(lax.platform_dependent, cpu=cpu, cuda=gpu, rocm=gpu, default=other)
    return {"cpu": cpu, "gpu": gpu}.get(jax.default_backend(), other)


def known(shape: Sequence[int]) -> bool:
    """Whether sizes are numbers, as they are but in an exported network."""
    return all(isinstance(size, int) for size in shape)


def exact(x: Array) -> bool:
    """Whether differences of values may be taken: of bfloat16 too few digits would be left."""
    return x.dtype != jnp.bfloat16


def convolution_native(x: Array, kernel: Array, stride: int, padding: tuple[int, int]) -> Array:
    """`convolution` by XLA's own."""
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), (padding, padding), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def transposed_native(x: Array, kernel: Array) -> Array:
    """`transposed_convolution` by XLA's own."""
    return lax.conv_general_dilated(
        x,
        kernel[::-1, ::-1],
        window_strides=(1, 1),
        padding=((2, 2), (2, 2)),
        lhs_dilation=(2, 2),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


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
    portable: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:  # [b, h, w, c]
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        kernel = self.param("kernel", normal(0.0), shape)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        if self.transposed:
            x = transposed_convolution(x, kernel, self.portable)  # [b, 2h, 2w, features]
        else:  # [b, h / stride, w / stride, features]
            x = convolution(x, kernel, self.stride, self.padding, self.portable)
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
            scale = self.param("scale", normal(1.0), x.shape[-1:])
            bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        return normalised(y, scale, bias, self.epsilon).reshape(x.shape)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def normalised(x: Array, scale: Array | None, bias: Array | None, epsilon: float) -> Array:
    """Zero mean and unit variance of all but the first and last axes, scaled and shifted.

    Its gradients need two sums over the data, and take them in one pass; differentiated by JAX,
    they would be four sums in three.

    Args:
      x: [groups, ..., c].
      scale, bias: [c], or both None.
      epsilon: added to the variance.
    """
    return _forward(x, scale, bias, epsilon)[0]


def _forward(x: Array, scale: Array | None, bias: Array | None, epsilon: float) -> tuple:
    wide, count = at_least_float32(x), math.prod(x.shape[1:-1])
    if wide.dtype == x.dtype:
        mean = _total(wide) / count
        variance = _total(jnp.square(wide - mean)) / count
    else:  # in one pass; from a value of the channel, so that little cancels: less than x has lost
        some = lax.slice(wide, [0] * x.ndim, [x.shape[0], *[1] * (x.ndim - 2), x.shape[-1]])
        beyond = _total(wide - some) / count
        variance = _total(jnp.square(wide - some)) / count - jnp.square(beyond)
        mean = some + beyond
    inverse = lax.rsqrt(jnp.maximum(variance, 0) + epsilon)
    y = (wide - mean) * inverse
    if scale is not None:
        y = y * _along(scale, x) + _along(bias, x)
    return y.astype(x.dtype), (x, scale, mean, inverse)


def _backward(epsilon: float, kept: tuple, gradient: Array) -> tuple:
    x, scale, mean, inverse = kept
    normal, gradient = (at_least_float32(x) - mean) * inverse, at_least_float32(gradient)
    bias_sum, scale_sum = _total(gradient), _total(gradient * normal)
    count = math.prod(x.shape[1:-1])
    change = (gradient - bias_sum / count - normal * (scale_sum / count)) * inverse
    if scale is None:
        return change.astype(x.dtype), None, None
    change = (change * _along(scale, x)).astype(x.dtype)
    return change, *(total.sum(0).reshape(scale.shape) for total in (scale_sum, bias_sum))


def _total(x: Array) -> Array:
    """Sums over all but the first and last axes.

    On a GPU a channel's sum is that of parts, since few channels alone would occupy few of its
    processors.
    """

    fewest, most = NORM_PARTS
    gpu = jax.default_backend() == "gpu" and known(x.shape)
    parts = math.gcd(math.prod(x.shape[1:-1]), most) if gpu else 1
    return _sum_of_parts(x, parts) if parts >= fewest else _sum(x)


def _sum(x: Array) -> Array:
    """The same in one."""
    return x.sum(tuple(range(1, x.ndim - 1)), keepdims=True)


def _sum_of_parts(x: Array, parts: int) -> Array:
    """The same in two, that are not made one."""
    rows = x.reshape(x.shape[0], parts, -1, x.shape[-1])
    total = lax.optimization_barrier(rows.sum(2)).sum(1)
    return total.reshape(x.shape[0], *(1 for _ in x.shape[1:-1]), x.shape[-1])


def _along(channels: Array, x: Array) -> Array:
    """[c] as x has its channels."""
    return channels.reshape((1,) * (x.ndim - 1) + channels.shape)


normalised.defvjp(_forward, _backward)


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
