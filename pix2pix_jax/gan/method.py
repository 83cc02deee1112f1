"""The networks, optimizers and losses of a run: everything that stays the same in all steps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import optax

from pix2pix_jax.config.schema import Config, Loss
from pix2pix_jax.gan.losses import Label
from pix2pix_jax.gan.networks import make_discriminator, make_generator
from pix2pix_jax.gan.optimizer import make_optimizer
from pix2pix_jax.models.patchgan import Discriminator
from pix2pix_jax.models.unet import UNet

# The updates of the discriminator in one step, by the value of `optimizer.updates`. Each update is
# a tuple with the labels of the images that the discriminator learns from.
DISCRIMINATOR_UPDATES: dict[str, tuple[tuple[Label, ...], ...]] = {
    "alternating": (("real", "fake"),),
    "simultaneous": (("real", "fake"),),
    "real_then_fake": (("real",), ("fake",)),
}


@dataclass(frozen=True)
class Method:
    """Everything that stays the same in all steps of a run.

    Attributes:
      generator, discriminator: the modules, without parameters.
      generator_optimizer, discriminator_optimizer: the optimizer of each network.
      loss: the names and weights of the losses.
      updates: the value of `optimizer.updates`, the order of the updates of both networks.
      average: averages a tree of arrays over all devices.
    """

    generator: UNet
    discriminator: Discriminator
    generator_optimizer: optax.GradientTransformation
    discriminator_optimizer: optax.GradientTransformation
    loss: Loss
    updates: str
    average: Callable[[Any], Any]


def make_method(config: Config, average: Callable[[Any], Any] = lambda tree: tree) -> Method:
    """Makes the networks, optimizers and losses that a config describes.

    Args:
      config: a resolved config.
      average: averages a tree of arrays over all devices; the default is for one device.
    """
    updates = DISCRIMINATOR_UPDATES[config.optimizer.updates]
    return Method(
        generator=make_generator(config),
        discriminator=make_discriminator(config),
        generator_optimizer=make_optimizer(config),
        discriminator_optimizer=make_optimizer(config, updates_per_step=len(updates)),
        loss=config.loss,
        updates=config.optimizer.updates,
        average=average,
    )
