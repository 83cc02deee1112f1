"""Functions for dtypes and shapes of arrays, used by convolutions and norms."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array


def at_least_float32(x: Array) -> Array:
    """Converts bfloat16 to float32; leaves wider dtypes unchanged.

    Sums of x, and of its gradients, are then rounded to bfloat16 only once, at the end.
    """
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def is_static(shape: Sequence[int]) -> bool:
    """Whether all sizes of a shape are numbers; in an exported network, some are symbols."""
    return all(isinstance(size, int) for size in shape)
