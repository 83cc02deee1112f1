"""The losses equal their formulas in NumPy."""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pix2pix_jax.config.schema import GanLoss
from pix2pix_jax.gan import losses


def logits(seed):
    return 3 * np.random.default_rng(seed).standard_normal((2, 5, 5, 1)).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x.astype(np.float64)))


REAL, FAKE = logits(0), logits(1)
DISCRIMINATOR = {
    "vanilla": -np.log(sigmoid(REAL)).mean() - np.log(1 - sigmoid(FAKE)).mean(),
    "lsgan": ((REAL - 1) ** 2).mean() + (FAKE**2).mean(),
    "hinge": np.maximum(0, 1 - REAL).mean() + np.maximum(0, 1 + FAKE).mean(),
    "wgan_gp": FAKE.mean() - REAL.mean(),
}
GENERATOR = {
    "vanilla": -np.log(sigmoid(FAKE)).mean(),
    "lsgan": ((FAKE - 1) ** 2).mean(),
    "hinge": -FAKE.mean(),
    "wgan_gp": -FAKE.mean(),
}


@pytest.mark.parametrize("gan", sorted(set(get_args(GanLoss)) - {"none"}))
def test_the_losses_equal_their_formulas_in_numpy(gan):
    value = losses.discriminator_gan_loss(gan, "real", jnp.array(REAL))
    value += losses.discriminator_gan_loss(gan, "fake", jnp.array(FAKE))
    np.testing.assert_allclose(value, DISCRIMINATOR[gan], rtol=1e-5)
    np.testing.assert_allclose(
        losses.generator_gan_loss(gan, jnp.array(FAKE)), GENERATOR[gan], rtol=1e-5
    )


def test_the_vanilla_loss_is_finite_if_the_sigmoid_is_zero():
    far = jnp.array([[[[-200.0]]]])
    assert losses.generator_gan_loss("vanilla", far) == 200
    assert jax.grad(lambda x: losses.generator_gan_loss("vanilla", x))(far) == -1


def test_l1_is_the_mean_absolute_difference():
    a, b = logits(2), logits(3)
    np.testing.assert_allclose(losses.l1_loss(a, b), np.abs(a - b).mean(), rtol=1e-6)


def test_the_gradient_penalty_of_a_linear_critic_equals_its_formula():
    """critic(x) = <w, x> has gradient w everywhere, so the penalty is (|w| - 1)^2."""
    w = np.random.default_rng(0).standard_normal((4, 4, 3)).astype(np.float32)
    real, fake = (
        jnp.array(np.random.default_rng(seed).standard_normal((2, 4, 4, 3)), jnp.float32)
        for seed in (1, 2)
    )

    def critic(x):
        return (x * w[None]).sum((1, 2, 3)).reshape(-1, 1, 1, 1)

    penalty = losses.gradient_penalty(critic, real, fake, jax.random.split(jax.random.key(0), 2))
    np.testing.assert_allclose(penalty, (np.linalg.norm(w) - 1) ** 2, rtol=1e-5)


def test_the_gradient_penalty_is_at_a_random_point_between_real_and_fake():
    seen = []

    def critic(x):
        jax.debug.callback(lambda x: seen.append(x), x)
        return x.sum((1, 2, 3)).reshape(-1, 1, 1, 1)

    ones = jnp.ones((3, 2, 2, 1))
    keys = jax.random.split(jax.random.key(0), 3)
    losses.gradient_penalty(critic, ones, 0 * ones, keys)
    jax.effects_barrier()
    mixes = seen[0][:, 0, 0, 0]
    assert len(set(mixes.tolist())) == 3  # Each image has its own point.
    assert ((mixes > 0) & (mixes < 1)).all()
    np.testing.assert_array_equal(seen[0], jnp.broadcast_to(seen[0][:, :1, :1], seen[0].shape))
