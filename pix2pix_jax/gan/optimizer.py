"""Adam for both networks (section 3.3), at a constant or a decaying rate."""

import jax.numpy as jnp
import optax
from jax import Array

from pix2pix_jax.config.schema import Config


def make_optimizer(config: Config, updates_a_step: int = 1) -> optax.GradientTransformation:
    """Adam(2e-4, b1=0.5, b2=0.999) by default (section 3.3).

    Args:
      config: resolved.
      updates_a_step: how often it is applied in one training step; the rate decays by steps.
    """
    options = config.optimizer
    rate = learning_rate_schedule(config, updates_a_step)
    if not options.epsilon_hat:
        return optax.adam(rate, options.b1, options.b2, options.epsilon)

    def scaled_epsilon(count: Array) -> Array:
        # Keras adds epsilon to sqrt(v), Optax to sqrt(v / (1 - b2^t)): hence the division.
        return options.epsilon / jnp.sqrt(1 - options.b2 ** (count + 1))

    adam = optax.inject_hyperparams(optax.adam, static_args=("b1", "b2"))
    return adam(rate, options.b1, options.b2, scaled_epsilon)


def learning_rate_schedule(config: Config, updates_a_step: int) -> optax.ScalarOrSchedule:
    """The learning rate: a number, or a function of the number of updates so far.

    linear_decay: constant for the first half of train.steps, then linearly down to zero.
    """
    options, steps = config.optimizer, config.train.steps
    if options.schedule == "constant":
        return options.learning_rate
    half = steps // 2
    decay = optax.linear_schedule(options.learning_rate, 0.0, steps - half, transition_begin=half)
    return lambda count: decay(jnp.floor_divide(count, updates_a_step))
