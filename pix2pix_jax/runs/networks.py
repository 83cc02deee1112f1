"""Compares the networks of two runs: the fields that decide their arrays, and the arrays."""

from functools import cache
from typing import Any

import jax

from pix2pix_jax.config.schema import Config
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.gan.state import TrainState, create_state


def fields_of_generator_arrays(config: Config) -> dict[str, Any]:
    """The fields that decide the names and shapes of the generator's arrays, with their values."""
    data, model, module = config.data, config.model, make_generator(config)
    return {
        "data.input_channels": data.input_channels,
        "data.target_channels": data.target_channels,
        "model.generator": model.generator,
        "model.features": model.features,
        "model.depth": module.depth,
        "model.norm": model.norm,
        "model.norm_affine": model.norm_affine,
        "model.bottleneck_norm": module.bottleneck_norm,
        "model.bias": model.bias,
    }


def fields_of_discriminator_arrays(config: Config) -> dict[str, Any]:
    """The fields that decide the names and shapes of the discriminator's arrays."""
    data, model, loss = config.data, config.model, config.loss
    return {
        "data.input_channels": data.input_channels,
        "data.target_channels": data.target_channels,
        "model.discriminator": model.discriminator,
        "model.discriminator_features": model.discriminator_features,
        "model.norm": model.norm,
        "model.norm_affine": model.norm_affine,
        "model.bias": model.bias,
        "loss.conditional": loss.conditional,
    }


def network_fields() -> set[str]:
    """The names of all fields that decide the names and shapes of a network's arrays."""
    return {*fields_of_generator_arrays(Config()), *fields_of_discriminator_arrays(Config())}


def fits_generator(old: Config, new: Config) -> bool:
    """Whether the generators of two resolved configs have the same arrays."""
    return array_shapes(old).generator.params == array_shapes(new).generator.params


@cache
def array_shapes(config: Config) -> TrainState:
    """The shapes and types of all arrays of a run of a resolved config."""
    return jax.eval_shape(lambda: create_state(config))
