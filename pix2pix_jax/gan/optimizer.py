"""Adam for both networks (section 3.3), at a constant or a decaying rate."""

import jax.numpy as jnp
import optax

from pix2pix_jax.config.schema import Config


def make_optimizer(config: Config, updates_a_step: int = 1) -> optax.GradientTransformation:
    """Adam(2e-4, b1=0.5, b2=0.999), section 3.3, at a constant or a decaying rate."""
    options, rate = config.optimizer, config.optimizer.learning_rate
    if options.schedule == "linear_decay":
        half = config.train.steps // 2
        decay = optax.linear_schedule(rate, 0.0, config.train.steps - half, transition_begin=half)
        rate = lambda count: decay(count // updates_a_step)  # noqa: E731
    if not options.epsilon_hat:
        return optax.adam(rate, options.b1, options.b2, options.epsilon)
    # Optax adds it to sqrt(v / (1 - b2^t)), so that it has to be divided by sqrt(1 - b2^t), too.
    adam = optax.inject_hyperparams(optax.adam, static_args=("b1", "b2"))
    return adam(
        rate,
        options.b1,
        options.b2,
        lambda count: options.epsilon / jnp.sqrt(1 - options.b2 ** (count + 1)),
    )
