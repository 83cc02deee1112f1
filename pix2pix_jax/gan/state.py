"""TrainState: all arrays that change from one training step to the next."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jax import Array

from pix2pix_jax.config.schema import Config
from pix2pix_jax.gan.networks import make_discriminator, make_generator
from pix2pix_jax.gan.optimizer import make_optimizer
from pix2pix_jax.gan.random import stream_key


@struct.dataclass
class NetworkState:
    """The parameters of one network, and the state of its optimizer."""

    params: Any  # a dict of layers, each a dict of arrays
    opt_state: optax.OptState

    def apply_gradient(
        self, gradient: dict, optimizer: optax.GradientTransformation
    ) -> "NetworkState":
        """The network after its optimizer has applied one gradient."""
        updates, opt_state = optimizer.update(gradient, self.opt_state, self.params)
        return NetworkState(optax.apply_updates(self.params, updates), opt_state)


@struct.dataclass
class TrainState:
    """Everything that changes in training: a run resumes from its config and this state."""

    step: Array | np.int32  # the number of completed training steps, int32
    generator: NetworkState
    discriminator: NetworkState


def create_state(config: Config) -> TrainState:
    """Makes the state at step 0; the seed of the config determines the initial parameters.

    Args:
      config: a resolved config.
    """
    data, optimizer = config.data, make_optimizer(config)
    image = jnp.zeros((1, *data.image_size, data.input_channels))
    target = jnp.zeros((1, *data.image_size, data.target_channels))
    # Without loss.conditional, the discriminator does not see the input image.
    pair = jnp.concatenate([image, target], -1) if config.loss.conditional else target

    def create_network(module: nn.Module, key: Array, x: Array) -> NetworkState:
        params = module.init(key, x)["params"]
        return NetworkState(params, optimizer.init(params))

    @jax.jit
    def create(key: Array) -> TrainState:
        generator_key, discriminator_key = jax.random.split(key)
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            generator=create_network(make_generator(config), generator_key, image),
            discriminator=create_network(make_discriminator(config), discriminator_key, pair),
        )

    return create(stream_key(config, "parameters"))
