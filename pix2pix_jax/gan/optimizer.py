"""The Adam optimizer of both networks (section 3.3), and norms of gradients."""

import jax
import jax.numpy as jnp
import optax
from jax import Array

from pix2pix_jax.config.schema import Config
from pix2pix_jax.gan.schedules import learning_rate_schedule


def make_optimizer(config: Config, updates_per_step: int = 1) -> optax.GradientTransformation:
    """Makes the optimizer of one network, by default Adam(2e-4, b1=0.5, b2=0.999) (section 3.3).

    Args:
      config: a resolved config.
      updates_per_step: the number of times that a training step applies this optimizer. The
        learning rate depends on the number of steps, not on the number of updates.
    """
    optimizer = config.optimizer
    rate = learning_rate_schedule(config, updates_per_step)
    if not optimizer.epsilon_hat:
        return optax.adam(rate, optimizer.b1, optimizer.b2, optimizer.epsilon)

    def scaled_epsilon(count: Array) -> Array:
        # Keras adds epsilon to sqrt(v), but Optax to sqrt(v / (1 - b2^t)), with t = count + 1.
        return optimizer.epsilon / jnp.sqrt(1 - optimizer.b2 ** (count + 1))

    adam = optax.inject_hyperparams(optax.adam, static_args=("b1", "b2"))
    return adam(rate, optimizer.b1, optimizer.b2, scaled_epsilon)


def global_norm(tree: dict) -> Array:
    """The L2 norm of all arrays of a tree, taken as one long vector.

    Every array is read once, and its square is not stored. Small arrays are joined, because one
    product is faster than dozens of short products.
    """
    large = [leaf.ravel() for leaf in jax.tree.leaves(tree) if leaf.ndim > 1]
    small = [leaf.ravel() for leaf in jax.tree.leaves(tree) if leaf.ndim < 2]
    vectors = [*large, jnp.concatenate(small)] if small else large
    return jnp.sqrt(jnp.stack([jnp.vdot(v, v, precision="highest") for v in vectors]).sum())
