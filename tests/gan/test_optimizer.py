"""Adam with its options, and the schedules of the learning rate, follow their formulas."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from pix2pix_jax.config import Config, Optimizer, Train
from pix2pix_jax.gan.optimizer import make_optimizer


@pytest.mark.parametrize(
    ("options", "rate", "b1", "b2"),
    [
        (Optimizer(), 2e-4, 0.5, 0.999),
        (Optimizer(learning_rate=1e-3, b1=0.9, b2=0.99), 1e-3, 0.9, 0.99),
    ],
)
def test_adam_follows_its_formula_with_the_options_of_the_config(options, rate, b1, b2):
    gradients = np.random.default_rng(0).standard_normal((3, 5))
    x, m, v = np.zeros(5), np.zeros(5), np.zeros(5)
    optimizer, params = make_optimizer(Config(optimizer=options)), jnp.zeros(5)
    state = optimizer.init(params)
    for t, gradient in enumerate(gradients, 1):
        m, v = b1 * m + (1 - b1) * gradient, b2 * v + (1 - b2) * gradient**2
        x = x - rate * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + 1e-8)
        updates, state = optimizer.update(jnp.array(gradient), state)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(params, x, rtol=1e-4)


@pytest.mark.parametrize("b2", [0.999, 0.9])
def test_epsilon_hat_is_added_before_the_bias_is_corrected(b2):
    """Keras has this order. The gradients are as small as epsilon, so that the order matters."""
    gradients = 1e-7 * np.random.default_rng(0).standard_normal((3, 5))
    x, m, v = np.zeros(5), np.zeros(5), np.zeros(5)
    options = Optimizer(b2=b2, epsilon=1e-7, epsilon_hat=True)
    optimizer, params = make_optimizer(Config(optimizer=options)), jnp.zeros(5)
    state = optimizer.init(params)
    for t, gradient in enumerate(gradients, 1):
        m, v = 0.5 * m + 0.5 * gradient, b2 * v + (1 - b2) * gradient**2
        rate = 2e-4 * np.sqrt(1 - b2**t) / (1 - 0.5**t)
        x = x - rate * m / (np.sqrt(v) + 1e-7)
        updates, state = optimizer.update(jnp.array(gradient), state)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(params, x, rtol=1e-4)


def test_linear_decay_is_constant_for_half_of_the_steps_then_falls_to_zero():
    config = Config(optimizer=Optimizer(schedule="linear_decay"), train=Train(steps=10))
    optimizer = make_optimizer(config)
    state, rates = optimizer.init(jnp.zeros(())), []
    for _ in range(10):
        update, state = optimizer.update(jnp.ones(()), state)
        rates.append(-float(update) / 2e-4)
    np.testing.assert_allclose(rates, [1, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2], rtol=1e-4)


def test_a_rate_decays_with_steps_even_if_a_step_has_two_updates():
    config = Config(optimizer=Optimizer(schedule="linear_decay"), train=Train(steps=2))
    optimizer = make_optimizer(config, updates_per_step=2)
    state, rates = optimizer.init(jnp.zeros(())), []
    for _ in range(6):
        update, state = optimizer.update(jnp.ones(()), state)
        rates.append(-float(update) / 2e-4)
    np.testing.assert_allclose(rates, [1, 1, 1, 1, 0, 0], atol=1e-4)
