"""Losses: arrays in, scalars out, each the mean over patches and images."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import Array


def discriminator_loss(gan: str, side: str, logits: Array) -> Array:
    """How badly patches that are all real, or all generated, are told; the sum of both is D's loss.

    vanilla: -log D(real), -log(1 - D(fake)), equation 1 of the paper, D the sigmoid of the logit.
    lsgan: (real - 1)^2, fake^2 (arXiv 1611.04076).
    hinge: max(0, 1 - real), max(0, 1 + fake) (arXiv 1705.02894).
    wgan_gp: -real, fake (arXiv 1704.00028); its penalty is `gradient_penalty`.

    Args:
      gan: one of those, `config.Loss.gan`.
      side: "real" or "fake".
      logits: [b, h, w, 1].
    """
    real = side == "real"
    if gan == "vanilla":
        return optax.sigmoid_binary_cross_entropy(logits, jnp.full_like(logits, real)).mean()
    if gan == "lsgan":
        return jnp.square(logits - real).mean()
    sign = -1 if real else 1
    if gan == "hinge":
        return jax.nn.relu(1 + sign * logits).mean()
    return sign * logits.mean()


def generator_loss(gan: str, fake: Array) -> Array:
    """How badly generated patches fool the discriminator.

    vanilla: -log D(fake), the non-saturating form (section 3.3); lsgan: (fake - 1)^2;
    hinge and wgan_gp: -fake.
    """
    if gan == "vanilla":
        return optax.sigmoid_binary_cross_entropy(fake, jnp.ones_like(fake)).mean()
    if gan == "lsgan":
        return jnp.square(fake - 1).mean()
    return -fake.mean()


def gradient_penalty(
    score: Callable[[Array], Array], real: Array, fake: Array, keys: Array
) -> Array:
    """Mean of (|d score / d image| - 1)^2 at random points between real and fake images.

    Args:
      score: [b, h, w, c] images to logits [b, ...], of which an image's mean counts.
      real, fake: [b, h, w, c].
      keys: [b] PRNG keys.
    """
    mix = jax.vmap(jax.random.uniform)(keys).reshape(-1, 1, 1, 1)
    gradient = jax.grad(lambda x: score(x).mean((1, 2, 3)).sum())(fake + mix * (real - fake))
    # The square root has no gradient at zero.
    norm = jnp.sqrt(jnp.square(gradient).sum((1, 2, 3)) + 1e-12)
    return jnp.square(norm - 1).mean()


def l1(output: Array, target: Array) -> Array:
    """Mean absolute difference (equation 3)."""
    return jnp.abs(output - target).mean()
