"""Batches, optimizers and comparisons for tests of training steps."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def batch_of(config, images, seed=0):
    """A batch of random images for all devices, as NumPy arrays."""
    rng, size = np.random.default_rng(seed), config.data.image_size
    names = {"input": config.data.input_channels, "target": config.data.target_channels}
    batch = {
        name: rng.uniform(-1, 1, (images, *size, channels)).astype(np.float32)
        for name, channels in names.items()
    }
    return batch | {"index": np.arange(images, dtype=np.int32)}


def keep_gradients():
    """An optimizer that changes nothing and keeps the last gradient as its state."""
    return optax.GradientTransformation(
        init=lambda params: jax.tree.map(jnp.zeros_like, params),
        update=lambda gradient, _, params: (jax.tree.map(jnp.zeros_like, params), gradient),
    )


def assert_equal(tree, expected):
    """Asserts that two trees of arrays are equal to the bit."""
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(tree), jax.device_get(expected))
