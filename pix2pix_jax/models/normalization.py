"""Normalisation to zero mean and unit variance, with gradients in two sums."""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from pix2pix_jax.models.convolution import is_static
from pix2pix_jax.models.matmul_convolutions import at_least_float32

NORM_PARTS = 16, 128  # of a sum on a GPU: from, and up to


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def normalize(x: Array, scale: Array | None, bias: Array | None, epsilon: float) -> Array:
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
        mean = _channel_sum(wide) / count
        variance = _channel_sum(jnp.square(wide - mean)) / count
    else:  # in one pass; from a value of the channel, so that little cancels: less than x has lost
        some = lax.slice(wide, [0] * x.ndim, [x.shape[0], *[1] * (x.ndim - 2), x.shape[-1]])
        beyond = _channel_sum(wide - some) / count
        variance = _channel_sum(jnp.square(wide - some)) / count - jnp.square(beyond)
        mean = some + beyond
    inverse = lax.rsqrt(jnp.maximum(variance, 0) + epsilon)
    y = (wide - mean) * inverse
    if scale is not None:
        y = y * _broadcast_channels(scale, x) + _broadcast_channels(bias, x)
    return y.astype(x.dtype), (x, scale, mean, inverse)


def _backward(epsilon: float, kept: tuple, gradient: Array) -> tuple:
    x, scale, mean, inverse = kept
    normal, gradient = (at_least_float32(x) - mean) * inverse, at_least_float32(gradient)
    bias_sum, scale_sum = _channel_sum(gradient), _channel_sum(gradient * normal)
    count = math.prod(x.shape[1:-1])
    change = (gradient - bias_sum / count - normal * (scale_sum / count)) * inverse
    if scale is None:
        return change.astype(x.dtype), None, None
    change = (change * _broadcast_channels(scale, x)).astype(x.dtype)
    return change, *(total.sum(0).reshape(scale.shape) for total in (scale_sum, bias_sum))


def _channel_sum(x: Array) -> Array:
    """Sums over all but the first and last axes.

    On a GPU a channel's sum is that of parts, since few channels alone would occupy few of its
    processors.
    """

    fewest, most = NORM_PARTS
    gpu = jax.default_backend() == "gpu" and is_static(x.shape)
    parts = math.gcd(math.prod(x.shape[1:-1]), most) if gpu else 1
    return _sum_in_parts(x, parts) if parts >= fewest else _sum(x)


def _sum(x: Array) -> Array:
    """The same in one."""
    return x.sum(tuple(range(1, x.ndim - 1)), keepdims=True)


def _sum_in_parts(x: Array, parts: int) -> Array:
    """The same in two, that are not made one."""
    rows = x.reshape(x.shape[0], parts, -1, x.shape[-1])
    total = lax.optimization_barrier(rows.sum(2)).sum(1)
    return total.reshape(x.shape[0], *(1 for _ in x.shape[1:-1]), x.shape[-1])


def _broadcast_channels(channels: Array, x: Array) -> Array:
    """[c] as x has its channels."""
    return channels.reshape((1,) * (x.ndim - 1) + channels.shape)


normalize.defvjp(_forward, _backward)
