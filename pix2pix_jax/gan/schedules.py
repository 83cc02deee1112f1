"""The learning rate of a run, as a function of the step.

The rate is a factor times optimizer.learning_rate. E is the number of epochs of the run, D the
number of its last epochs in which the rate decays, C = E - D the number of epochs before the decay,
and e the number of whole epochs before the step. x is the position of the step in epochs, minus C,
and at least 0:

  schedule      decay_per=step                decay_per=epoch
  linear_decay  1 - x / D                     1 - max(0, e + 2 - C) / (D + 1)
  cosine        (1 + cos(pi x / D)) / 2       (1 + cos(pi max(0, e + 1 - C) / D)) / 2
  step          f ^ floor(e / interval)       f ^ floor((e + 1) / interval)

The right column is that of the authors' PyTorch code, which counts epochs from 1. The last epoch of
`linear_decay` and of `cosine` therefore has the rate 0. An epoch that train.steps cuts short counts
as an epoch. In a run of one epoch, `linear_decay` without train.decay_epochs has D = 0, and the
factor 1.
"""

import jax.numpy as jnp
import optax
from jax import Array

from pix2pix_jax.config.resolve import (
    changes_per_epoch,
    counted_pairs,
    decay_epochs,
    needs_num_pairs,
    run_epochs,
)
from pix2pix_jax.config.schema import Config


def learning_rate_schedule(config: Config, updates_per_step: int = 1) -> optax.ScalarOrSchedule:
    """The learning rate: a number, or a function of the number of updates so far.

    Args:
      config: a resolved config. If the schedule needs train.num_pairs and the field is None, the
        rate is constant; such a config can make a state, but cannot train.
      updates_per_step: the number of times that a training step applies this optimizer.
    """
    optimizer = config.optimizer
    if optimizer.schedule == "constant":
        return optimizer.learning_rate
    if needs_num_pairs(config) and config.train.num_pairs is None:
        return optax.constant_schedule(optimizer.learning_rate)
    make = _epoch_schedule if changes_per_epoch(config) else _step_schedule
    schedule = make(config)
    return lambda count: schedule(jnp.floor_divide(count, updates_per_step))


def _step_schedule(config: Config) -> optax.Schedule:
    """The schedules `linear_decay` and `cosine` that change the rate at every step."""
    rate, steps = config.optimizer.learning_rate, config.train.steps
    if config.train.decay_epochs is not None:
        begin = max(0, steps - _steps_of(config, config.train.decay_epochs))
    else:
        begin = steps // 2 if config.optimizer.schedule == "linear_decay" else 0
    if config.optimizer.schedule == "linear_decay":
        return optax.linear_schedule(rate, 0.0, steps - begin, transition_begin=begin)
    cosine = optax.cosine_decay_schedule(rate, steps - begin)
    return lambda step: cosine(jnp.maximum(step - begin, 0))


def _epoch_schedule(config: Config) -> optax.Schedule:
    """The schedules that change the rate at the beginning of an epoch."""
    optimizer, decay = config.optimizer, decay_epochs(config)
    before = run_epochs(config) - decay  # the number of epochs before the decay

    def factor(step: Array) -> Array:
        epoch = _epoch_of(step, config)
        if optimizer.schedule == "step":
            counted = epoch + 1 if optimizer.decay_per == "epoch" else epoch
            return optimizer.decay_factor ** (counted // optimizer.decay_interval)
        if optimizer.schedule == "linear_decay":
            decayed = jnp.maximum(0, epoch + 2 - before) if decay else jnp.zeros_like(epoch)
            # One quotient, so that the last rate is exactly 0: XLA multiplies by reciprocals, and
            # 1 - x * (1 / x) is not always 0.
            return (decay + 1 - decayed) / (decay + 1)
        return (1 + jnp.cos(jnp.pi * jnp.maximum(0, epoch + 1 - before) / decay)) / 2

    return lambda step: optimizer.learning_rate * factor(jnp.asarray(step))


def _epoch_of(step: Array, config: Config) -> Array:
    """The epoch, from 0, in which a step begins: floor(step * batch_size / num_pairs).

    The product can exceed the range of int32, so whole multiples of num_pairs are taken out first.
    """
    batch_size, num_pairs = config.data.batch_size, counted_pairs(config)
    return step // num_pairs * batch_size + step % num_pairs * batch_size // num_pairs


def _steps_of(config: Config, epochs: int) -> int:
    """The number of steps of a number of epochs, rounded up."""
    return -(-epochs * counted_pairs(config) // config.data.batch_size)
