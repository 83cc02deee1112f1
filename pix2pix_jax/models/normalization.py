"""Normalisation to zero mean and unit variance, with gradients in two sums."""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from pix2pix_jax.models.convolution import is_static
from pix2pix_jax.models.matmul_convolutions import at_least_float32

# On a GPU a sum over few channels is split, or few of its processors would have work.
MIN_PARTS, MAX_PARTS = 16, 128


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def normalize(x: Array, scale: Array | None, bias: Array | None, epsilon: float) -> Array:
    """Zero mean and unit variance over all but the first and last axes, then scale and shift.

    The gradient is written by hand: it needs two sums in one pass over the data, where JAX's
    own derivative takes four sums in three passes.

    Args:
      x: [groups, ..., c].
      scale, bias: [c], or both None.
      epsilon: added to the variance.

    Returns:
      [groups, ..., c].
    """
    return _forward(x, scale, bias, epsilon)[0]


def _forward(x: Array, scale: Array | None, bias: Array | None, epsilon: float) -> tuple:
    wide, count = at_least_float32(x), math.prod(x.shape[1:-1])
    if wide.dtype == x.dtype:
        mean = _channel_sum(wide) / count
        variance = _channel_sum(jnp.square(wide - mean)) / count
    else:
        # One pass: E[(x - s)^2] - E[x - s]^2, with s a value of the channel, so that the
        # difference loses no more digits than bfloat16 has lost already.
        some = lax.slice(wide, [0] * x.ndim, [x.shape[0], *[1] * (x.ndim - 2), x.shape[-1]])
        beyond = _channel_sum(wide - some) / count
        variance = _channel_sum(jnp.square(wide - some)) / count - jnp.square(beyond)
        mean = some + beyond
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
    change = (gradient - bias_sum / count - normalized * (scale_sum / count)) * inverse
    if scale is None:
        return change.astype(x.dtype), None, None
    change = (change * _broadcast_channels(scale, x)).astype(x.dtype)
    return change, *(total.sum(0).reshape(scale.shape) for total in (scale_sum, bias_sum))


def _channel_sum(x: Array) -> Array:
    """The sum over all but the first and last axes, which stay as axes of length one."""
    gpu = jax.default_backend() == "gpu" and is_static(x.shape)
    parts = math.gcd(math.prod(x.shape[1:-1]), MAX_PARTS) if gpu else 1
    return _sum_in_parts(x, parts) if parts >= MIN_PARTS else _sum(x)


def _sum(x: Array) -> Array:
    """`_channel_sum` in one reduction."""
    return x.sum(tuple(range(1, x.ndim - 1)), keepdims=True)


def _sum_in_parts(x: Array, parts: int) -> Array:
    """`_channel_sum` in two reductions; the barrier keeps XLA from fusing them into one."""
    rows = x.reshape(x.shape[0], parts, -1, x.shape[-1])
    total = lax.optimization_barrier(rows.sum(2)).sum(1)
    return total.reshape(x.shape[0], *(1 for _ in x.shape[1:-1]), x.shape[-1])


def _broadcast_channels(channels: Array, x: Array) -> Array:
    """Reshapes [c] so that it broadcasts against x [..., c]."""
    return channels.reshape((1,) * (x.ndim - 1) + channels.shape)


normalize.defvjp(_forward, _backward)
