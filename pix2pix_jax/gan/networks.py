"""Makes the two networks of a config, as Flax modules."""

from typing import Literal

import jax.numpy as jnp

from pix2pix_jax.config.resolve import generator_depth
from pix2pix_jax.config.schema import Config, Model
from pix2pix_jax.errors import UsageError
from pix2pix_jax.models.initializers import Initialization
from pix2pix_jax.models.layers import NormSettings
from pix2pix_jax.models.patchgan import Discriminator
from pix2pix_jax.models.topology import DISCRIMINATORS, is_large_enough
from pix2pix_jax.models.unet import UNet
from pix2pix_jax.suggestions import give_one_of

NetworkName = Literal["generator", "discriminator"]


def make_generator(config: Config) -> UNet:
    """Makes the generator that a config describes.

    Raises:
      UsageError: images of data.image_size cannot be halved model.depth times.
    """
    model, data, depth = config.model, config.data, generator_depth(config)
    bottleneck_norm = model.bottleneck_norm
    if bottleneck_norm is None:
        bottleneck_norm = max(data.image_size) > 2**depth
    return UNet(
        channels=data.target_channels,
        depth=depth,
        features=model.features,
        skips=model.generator == "unet",
        norm=norm_settings(model),
        bottleneck_norm=bottleneck_norm,
        all_biases=model.bias == "all",
        leaky_slope=model.leaky_slope,
        skip_slope=model.skip_slope,
        dropout_rate=model.dropout,
        dropout_blocks=model.dropout_blocks,
        initialization=initialization(model),
        dtype=jnp.dtype(config.train.dtype),
    )


def make_discriminator(config: Config) -> Discriminator:
    """Makes the discriminator that a config describes.

    Raises:
      UsageError: data.image_size is too small; the message names the discriminators that fit.
    """
    model, size = config.model, config.data.image_size
    table = DISCRIMINATORS[model.discriminator]
    if not is_large_enough(table, *size):
        fitting = [name for name in DISCRIMINATORS if is_large_enough(DISCRIMINATORS[name], *size)]
        raise UsageError(
            f"model.discriminator: {model.discriminator} is too deep for data.image_size "
            f"{size[0]}x{size[1]}",
            give_one_of(fitting),
        )
    return Discriminator(
        table=table,
        features=model.discriminator_features,
        norm=norm_settings(model),
        bias_layers=model.bias,
        leaky_slope=model.leaky_slope,
        initialization=initialization(model),
        dtype=jnp.dtype(config.train.dtype),
    )


def norm_settings(model: Model) -> NormSettings:
    """The settings of the norms, the same for both networks."""
    return NormSettings(
        model.norm,
        model.norm_epsilon,
        model.norm_affine,
        model.norm_images,
        model.initializer_gain,
    )


def initialization(model: Model) -> Initialization:
    """How kernels are drawn, the same for both networks."""
    return Initialization(model.initializer, model.initializer_gain)
