"""Makes states with random parameters."""

import jax
import numpy as np

from pix2pix_jax.gan.state import create_state

HALVES = ("generator", "discriminator")


def state_of(config):
    """A new state of a config in which every parameter is random, biases and norms too."""
    rng = np.random.default_rng(0)

    def randomize(leaf):
        noise = rng.standard_normal(leaf.shape).astype(np.float32)
        return 0.1 * noise if leaf.ndim == 4 else leaf + 0.3 * noise

    state = jax.device_get(create_state(config))
    params = {name: jax.tree.map(randomize, getattr(state, name).params) for name in HALVES}
    return state.replace(
        **{name: getattr(state, name).replace(params=params[name]) for name in HALVES}
    )
