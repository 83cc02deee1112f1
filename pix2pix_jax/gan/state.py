"""TrainState: the arrays that a run goes on from."""

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
    """One network in training: its parameters, and the optimizer's state for them."""

    params: Any  # a dict of layers, each a dict of arrays
    opt_state: optax.OptState


@struct.dataclass
class TrainState:
    """All that a run goes on from, beside its config: arrays, and nothing else."""

    step: Array | np.int32  # completed updates, int32
    generator: NetworkState
    discriminator: NetworkState


def create_state(config: Config) -> TrainState:
    """The state at step 0, a function of a resolved config and its seed."""
    data, optimizer = config.data, make_optimizer(config)
    image = jnp.zeros((1, *data.image_size, data.input_channels))
    target = jnp.zeros((1, *data.image_size, data.target_channels))
    seen = jnp.concatenate([image, target], -1) if config.loss.conditional else target

    def create_network(module: nn.Module, key: Array, x: Array) -> NetworkState:
        params = module.init(key, x)["params"]
        return NetworkState(params, optimizer.init(params))

    @jax.jit
    def create(key: Array) -> TrainState:
        generator_key, discriminator_key = jax.random.split(key)
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            generator=create_network(make_generator(config), generator_key, image),
            discriminator=create_network(make_discriminator(config), discriminator_key, seen),
        )

    return create(stream_key(config, "parameters"))
