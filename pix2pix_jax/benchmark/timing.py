"""Times calls of functions on a device, and measures the limits of the device."""

import math
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from pix2pix_jax.benchmark.results import quartiles

PartTiming = dict[str, Any]  # the measurements of a part of a step


def measure_limits(dtype: str) -> dict[str, PartTiming]:
    """Measures the limits of one device, by a large matrix product and a copy of a large array.

    Args:
      dtype: the dtype of the matrix product; the copy is of float32.
    """
    cpu = jax.default_backend() == "cpu"
    side, length = (2048, 2**26) if cpu else (8192, 2**28)
    matrix = jax.random.normal(jax.random.key(0), (side, side), dtype)
    product = jax.jit(jnp.matmul)
    increment = jax.jit(lambda x: x + 1, donate_argnums=0)
    return {
        "matrix product": time_calls(lambda: product(matrix, matrix)) | {"operations": 2 * side**3},
        # A copy reads and writes every float32.
        "copy": time_in_place(increment, jnp.ones(length)) | {"bytes": 2 * 4 * length},
    }


def time_calls(run: Callable[[], Any], turns: int = 7, min_seconds: float = 0.05) -> PartTiming:
    """Measures the seconds that one call takes, in several turns of many calls.

    All calls of a turn wait in the queue of the device, so the delay before a call starts is not
    counted. In a training step there is no such delay either.

    Args:
      run: the function to call; it returns arrays.
      turns: the number of turns, after two calls that warm up.
      min_seconds: the minimal length of a turn.
    """
    seconds_per_call(run, 1)
    calls = math.ceil(min_seconds / seconds_per_call(run, 1))
    return median_and_quartiles([seconds_per_call(run, calls) for _ in range(turns)])


def seconds_per_call(run: Callable[[], Any], calls: int) -> float:
    """The mean seconds of several calls, from the start of the first to the result of the last."""
    start, result = time.perf_counter(), None
    for _ in range(calls):
        result = run()
    jax.block_until_ready(result)
    return (time.perf_counter() - start) / calls


class InPlace:
    """Calls a function that overwrites its argument, each time with the result of the last call.

    Args:
      function: takes arrays, and returns arrays of the same shapes in the same memory.
      arrays: the first argument.
    """

    def __init__(self, function: Callable[[Any], Any], arrays: Any):
        self.function, self.arrays = function, arrays

    def __call__(self) -> Any:
        self.arrays = self.function(self.arrays)
        return self.arrays


def time_in_place(function: Callable[[Any], Any], arrays: Any) -> PartTiming:
    """Measures the seconds of one call of a function that overwrites its argument."""
    return time_calls(InPlace(function, arrays))


def median_and_quartiles(times: list[float]) -> PartTiming:
    """The median and both quartiles of several times."""
    low, middle, high = quartiles(times)
    return {"seconds": middle, "quartiles": [low, high]}
