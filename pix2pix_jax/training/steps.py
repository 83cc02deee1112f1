"""Trains from one step to the last.

Chooses how many steps one call to the devices runs, and yields the result of each call.
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import NamedTuple

import jax
import numpy as np

from pix2pix_jax.config.resolve import needs_num_pairs
from pix2pix_jax.config.schema import INTERVALS, Config
from pix2pix_jax.data.examples import Example
from pix2pix_jax.gan.parallel import ParallelSteps
from pix2pix_jax.gan.state import TrainState
from pix2pix_jax.gan.step import Batch, Metrics
from pix2pix_jax.runtime import distributed
from pix2pix_jax.runtime.backend import copy_to_devices
from pix2pix_jax.runtime.compile_notice import CompileNotice
from pix2pix_jax.runtime.console import plural

# The largest number of images on each device in one call, if train.steps_per_call is None and the
# device is not a CPU.
MAX_IMAGES_PER_CALL = 64


class CompletedSteps(NamedTuple):
    """The result of a call to the devices.

    Attributes:
      step: the number of completed steps.
      state: the state after these steps.
      metrics: the metrics of the steps in the call, [steps] by name.
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
      pairs: the pairs that stay on the devices, to crop batches from; empty if batches contain
        their images.

    Yields:
      The result of each call to the devices.
    """
    # Without the number of pairs, a schedule by epochs would have other rates.
    assert config.train.num_pairs or not needs_num_pairs(config)
    take_steps, size = ParallelSteps(config, pairs), steps_per_call(config)
    step, last, state = int(state.step), config.train.steps, copy_to_devices(state)
    compiled = set()  # the numbers of steps in a call for which there is a program
    while step < last:
        # Outputs are due only at multiples of `size` and after the last step, so a call of `size`
        # steps begins and ends at a multiple. All other calls have one step: the steps before the
        # first multiple and after the last multiple.
        count = size if step % size == 0 and step + size <= last else 1
        with nullcontext() if count in compiled else notify_compiling(count, size):
            state, metrics = take_steps(state, shard_batches(list(islice(batches, count))))
            if jax.default_backend() == "cpu":  # Otherwise simulated devices may block each other.
                jax.block_until_ready(metrics)
        compiled.add(count)
        step += count
        yield CompletedSteps(step, state, metrics)


def notify_compiling(count: int, size: int) -> AbstractContextManager:
    """Prints how long the first call of `count` steps takes, only in the first process.

    Args:
      count: the number of steps in this call.
      size: the number of steps in most calls. If it is not 1, two programs are compiled.
    """
    program = "the training step" if size == 1 else f"a call of {plural(count, 'training step')}"
    return CompileNotice(program) if distributed.is_first() else nullcontext()


def steps_per_call(config: Config) -> int:
    """The number of steps in one call to the devices; it changes no bit of the results.

    This is `train.steps_per_call`. If that field is None, the number is 1 on a CPU. Elsewhere, it
    is the largest number of steps that divides all intervals and gives each device at most
    MAX_IMAGES_PER_CALL images in a call; it is at least 1.
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
      batches: one batch for each step, with arrays [b, ...] by name.

    Returns:
      Arrays [devices, steps, b / devices, ...] by name.
    """
    devices = jax.local_device_count()
    stacked = {}
    for name in batches[0]:
        steps = np.stack([batch[name] for batch in batches])  # [steps, b, ...]
        split = steps.reshape(len(batches), devices, -1, *steps.shape[2:])
        stacked[name] = split.swapaxes(0, 1)  # [devices, steps, b / devices, ...]
    return stacked
