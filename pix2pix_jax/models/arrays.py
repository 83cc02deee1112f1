"""Dtypes and shapes of arrays, as convolutions and norms need them."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array


def at_least_float32(x: Array) -> Array:
    """x in float32 if it is bfloat16: sums of x and of its gradients are then rounded only once."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def is_static(shape: Sequence[int]) -> bool:
    """Whether all sizes are known; in an exported network some are symbols."""
    return all(isinstance(size, int) for size in shape)
