"""The losses: functions from logits or images to a scalar, the mean over all patches and images.

The discriminator gives a logit for every patch of an image. A high logit says that the patch is
real. Each adversarial loss has a name, which is the value of `loss.gan` in a config:

  gan      discriminator, "real"  discriminator, "fake"  generator   reference
  vanilla  -log D                 -log(1 - D)            -log D      equation 1
  lsgan    (x - 1)^2              x^2                    (x - 1)^2   arXiv 1611.04076
  hinge    max(0, 1 - x)          max(0, 1 + x)          -x          arXiv 1705.02894
  wgan_gp  -x                     x                      -x          arXiv 1704.00028

Here x is a logit, and D = sigmoid(x). The generator's loss takes the logits of generated images;
the generator's loss `vanilla` is the non-saturating form of section 3.3. With `wgan_gp`, the
discriminator's loss also has a `gradient_penalty`.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import optax
from jax import Array

from pix2pix_jax.config.schema import GanLoss

Label = Literal["real", "fake"]  # where an image comes from: the dataset, or the generator


def _vanilla(logits: Array, is_real: bool) -> Array:
    return optax.sigmoid_binary_cross_entropy(logits, jnp.full_like(logits, is_real)).mean()


def _lsgan(logits: Array, is_real: bool) -> Array:
    return jnp.square(logits - is_real).mean()


def _hinge(logits: Array, is_real: bool) -> Array:
    return jax.nn.relu(1 + (-1 if is_real else 1) * logits).mean()


def _wgan_gp(logits: Array, is_real: bool) -> Array:
    return (-1 if is_real else 1) * logits.mean()


def _negative_mean(logits: Array) -> Array:
    return -logits.mean()


# The columns "discriminator" of the table above. Each function takes logits, and whether they are
# logits of real images.
DISCRIMINATOR_LOSSES: dict[GanLoss, Callable[[Array, bool], Array]] = {
    "vanilla": _vanilla,
    "lsgan": _lsgan,
    "hinge": _hinge,
    "wgan_gp": _wgan_gp,
}
# The column "generator" of the table above. Each function takes the logits of generated images. The
# first two functions equal the discriminator's losses on real images.
GENERATOR_LOSSES: dict[GanLoss, Callable[[Array], Array]] = {
    "vanilla": partial(_vanilla, is_real=True),
    "lsgan": partial(_lsgan, is_real=True),
    "hinge": _negative_mean,
    "wgan_gp": _negative_mean,
}


def discriminator_gan_loss(gan: GanLoss, label: Label, logits: Array) -> Array:
    """The discriminator's adversarial loss on images of one label, real or fake.

    Args:
      gan: a name in the table above.
      label: the label of all images.
      logits: [b, h, w, 1], the logits of these images.

    Returns:
      A scalar.
    """
    return DISCRIMINATOR_LOSSES[gan](logits, label == "real")


def generator_gan_loss(gan: GanLoss, logits: Array) -> Array:
    """The generator's adversarial loss: low if the discriminator scores generated images as real.

    Args:
      gan: a name in the table above.
      logits: [b, h, w, 1], the logits of generated images.

    Returns:
      A scalar.
    """
    return GENERATOR_LOSSES[gan](logits)


def gradient_penalty(
    score: Callable[[Array], Array], real: Array, fake: Array, keys: Array
) -> Array:
    """The penalty of `wgan_gp`: the mean of (|g| - 1)^2, where g is the gradient of a score.

    The score of an image is the mean of its logits, and g is the gradient with respect to the
    image. The gradient is computed at a random point on the line from a generated image to a real
    image (arXiv 1704.00028, section 4).

    Args:
      score: the discriminator, from images [b, h, w, c] to logits [b, h', w', 1].
      real: [b, h, w, c], images of the dataset.
      fake: [b, h, w, c], generated images.
      keys: [b] PRNG keys, to draw a point for each image.

    Returns:
      A scalar.
    """
    mix = jax.vmap(jax.random.uniform)(keys).reshape(-1, 1, 1, 1)  # [b, 1, 1, 1]
    gradient = jax.grad(lambda x: score(x).mean((1, 2, 3)).sum())(fake + mix * (real - fake))
    # 1e-12 is added because the square root has no finite gradient at zero.
    norm = jnp.sqrt(jnp.square(gradient).sum((1, 2, 3)) + 1e-12)  # [b]
    return jnp.square(norm - 1).mean()


def l1_loss(output: Array, target: Array) -> Array:
    """The mean absolute difference of two arrays of the same shape, a scalar (equation 3)."""
    return jnp.abs(output - target).mean()
