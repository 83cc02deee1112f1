"""Training steps on all devices, several in one call."""

import math
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import jax
import numpy as np

from pix2pix_jax.config.schema import INTERVALS, Config
from pix2pix_jax.data.examples import Example
from pix2pix_jax.gan.parallel import make_parallel_steps
from pix2pix_jax.gan.state import TrainState
from pix2pix_jax.gan.step import Batch, Metrics
from pix2pix_jax.runtime.backend import copy_to_devices

MAX_IMAGES_PER_CALL = 64  # on each device, if train.steps_per_call is None


class CompletedSteps(NamedTuple):
    """The result of a call to the devices.

    Attributes:
      step: the number of completed steps.
      state: the state after these steps.
      metrics: the metrics [steps] of the call.
    """

    step: int
    state: TrainState
    metrics: Metrics


def run_steps(
    config: Config, state: TrainState, batches: Iterator[Example], pairs: Batch
) -> Iterator[CompletedSteps]:
    """Trains from the step of a state to train.steps, with several steps in a call to the devices.

    Args:
      config: the resolved config.
      state: the state to start from.
      batches: the batches of this process, one for each step that is left.
      pairs: pairs that are resident on the devices, to crop batches from; empty if batches
        carry their images.

    Yields:
      The steps of each call.
    """
    take_steps, size = make_parallel_steps(config, pairs), steps_per_call(config)
    step, last, state = int(state.step), config.train.steps, copy_to_devices(state)
    while step < last:
        # Calls end at multiples of their size, where outputs are due. Single steps fill the rest.
        count = size if step % size == 0 and step + size <= last else 1
        state, metrics = take_steps(state, shard_batches(list(islice(batches, count))))
        if jax.default_backend() == "cpu":  # Several simulated devices can starve one another.
            jax.block_until_ready(metrics)
        step += count
        yield CompletedSteps(step, state, metrics)


def steps_per_call(config: Config) -> int:
    """The number of steps in one call to the devices; it changes no bit of the results.

    This is `train.steps_per_call`. If that is None, it is 1 on a CPU, and elsewhere the largest
    number that divides all intervals and keeps within MAX_IMAGES_PER_CALL.
    """
    if config.train.steps_per_call:
        return config.train.steps_per_call
    if jax.default_backend() == "cpu":
        return 1
    common = math.gcd(*(getattr(config.train, name) for name in INTERVALS))
    limit = max(1, MAX_IMAGES_PER_CALL * jax.device_count() // config.data.batch_size)
    return max(size for size in range(1, limit + 1) if common % size == 0)


def shard_batches(batches: list[Example]) -> Example:
    """Stacks the batches of several steps, and splits them over the devices of this process.

    Args:
      batches: [b, ...] for every name, a batch for each step.

    Returns:
      [devices, steps, b / devices, ...] for every name.
    """
    devices = jax.local_device_count()
    stacked = {}
    for name in batches[0]:
        steps = np.stack([batch[name] for batch in batches])  # [steps, b, ...]
        split = steps.reshape(len(batches), devices, -1, *steps.shape[2:])
        stacked[name] = split.swapaxes(0, 1)  # [devices, steps, b / devices, ...]
    return stacked
