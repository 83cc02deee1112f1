"""Normalization to zero mean and unit variance, with a fast gradient."""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from pix2pix_jax.models.arrays import at_least_float32, is_static

# The fewest and the most parts into which a GPU splits the sum of a channel. The GPU adds up all
# parts at the same time; without parts, most of its processors would idle.
MIN_PARTS, MAX_PARTS = 16, 128


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def normalize(x: Array, scale: Array | None, bias: Array | None, epsilon: float) -> Array:
    """Normalizes to zero mean and unit variance, then multiplies by `scale` and adds `bias`.

      y = (x - mean) / sqrt(variance + epsilon) * scale + bias

    The gradient is written by hand. It needs two sums in one pass over the data; JAX's own
    derivative needs four sums in three passes.

    Args:
      x: [groups, ..., c]; mean and variance are over all axes but the first and the last.
      scale, bias: [c], or both None.
      epsilon: added to the variance.

    Returns:
      [groups, ..., c].
    """
    return _forward(x, scale, bias, epsilon)[0]


def normalize_with(
    x: Array,
    moments: tuple[Array, Array],
    scale: Array | None,
    bias: Array | None,
    epsilon: float,
) -> Array:
    """Normalizes by a given mean and variance, as PyTorch's batch norm does in eval mode.

    Args:
      x: [..., c].
      moments: mean and variance, each [c].
      scale, bias, epsilon: as in `normalize`.

    Returns:
      [..., c].
    """
    mean, variance = moments
    y = at_least_float32(x) - _broadcast_channels(mean, x)
    y = y * _broadcast_channels(lax.rsqrt(variance + epsilon), x)
    if scale is not None and bias is not None:
        y = y * _broadcast_channels(scale, x) + _broadcast_channels(bias, x)
    return y.astype(x.dtype)


def _forward(x: Array, scale: Array | None, bias: Array | None, epsilon: float) -> tuple:
    wide, count = at_least_float32(x), math.prod(x.shape[1:-1])
    if wide.dtype == x.dtype:
        mean = _channel_sum(wide) / count
        variance = _channel_sum(jnp.square(wide - mean)) / count
    else:
        # One pass is enough: variance = E[(x - s)^2] - E[x - s]^2. The shift s is the first value
        # of the channel, so the difference loses no more digits than bfloat16 has lost already.
        shift = lax.slice(wide, [0] * x.ndim, [x.shape[0], *[1] * (x.ndim - 2), x.shape[-1]])
        shifted_mean = _channel_sum(wide - shift) / count
        variance = _channel_sum(jnp.square(wide - shift)) / count - jnp.square(shifted_mean)
        mean = shift + shifted_mean
    inverse = lax.rsqrt(jnp.maximum(variance, 0) + epsilon)
    y = (wide - mean) * inverse
    if scale is not None and bias is not None:
        y = y * _broadcast_channels(scale, x) + _broadcast_channels(bias, x)
    return y.astype(x.dtype), (x, scale, mean, inverse)


def _backward(epsilon: float, residuals: tuple, gradient: Array) -> tuple:
    x, scale, mean, inverse = residuals
    normalized, gradient = (at_least_float32(x) - mean) * inverse, at_least_float32(gradient)
    bias_sum, scale_sum = _channel_sum(gradient), _channel_sum(gradient * normalized)
    count = math.prod(x.shape[1:-1])
    x_gradient = (gradient - bias_sum / count - normalized * (scale_sum / count)) * inverse
    if scale is None:
        return x_gradient.astype(x.dtype), None, None
    x_gradient = (x_gradient * _broadcast_channels(scale, x)).astype(x.dtype)
    return x_gradient, *(total.sum(0).reshape(scale.shape) for total in (scale_sum, bias_sum))


def _channel_sum(x: Array) -> Array:
    """Sums over all axes but the first and the last; the summed axes keep length one."""
    gpu = jax.default_backend() == "gpu" and is_static(x.shape)
    parts = math.gcd(math.prod(x.shape[1:-1]), MAX_PARTS) if gpu else 1
    return _sum_in_parts(x, parts) if parts >= MIN_PARTS else _sum(x)


def _sum(x: Array) -> Array:
    """Computes `_channel_sum` in one reduction."""
    return x.sum(tuple(range(1, x.ndim - 1)), keepdims=True)


def _sum_in_parts(x: Array, parts: int) -> Array:
    """Computes `_channel_sum` in two reductions. The barrier stops XLA from merging them."""
    rows = x.reshape(x.shape[0], parts, -1, x.shape[-1])
    total = lax.optimization_barrier(rows.sum(2)).sum(1)
    return total.reshape(x.shape[0], *(1 for _ in x.shape[1:-1]), x.shape[-1])


def _broadcast_channels(channels: Array, x: Array) -> Array:
    """Reshapes [c] so that it broadcasts against x [..., c]."""
    return channels.reshape((1,) * (x.ndim - 1) + channels.shape)


normalize.defvjp(_forward, _backward)
