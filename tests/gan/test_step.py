"""A training step against the equations of the paper, and its randomness."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.steps import assert_equal, batch_of

from pix2pix_jax.config import Loss, Optimizer
from pix2pix_jax.gan import losses
from pix2pix_jax.gan.method import make_method
from pix2pix_jax.gan.networks import make_discriminator, make_generator
from pix2pix_jax.gan.random import step_key, stream_key
from pix2pix_jax.gan.state import create_state
from pix2pix_jax.gan.step import METRIC_ORDER, train_step


def one_step(config, batch, step=0):
    """State before, state after and metrics of one step on one device."""
    state = create_state(config)
    key = step_key(config, step)
    return state, *jax.jit(partial(train_step, make_method(config)))(state, batch, key)


def differs(a, b):
    return any(jax.tree.leaves(jax.tree.map(lambda x, y: bool((x != y).any()), a, b)))


DISCRIMINATOR_UPDATES = {  # the labels of the images of each update, by optimizer.updates
    "alternating": [("real", "fake")],
    "simultaneous": [("real", "fake")],
    "real_then_fake": [("real",), ("fake",)],
}


@pytest.mark.parametrize(
    ("gan", "order"),
    [
        ("vanilla", "alternating"),
        ("wgan_gp", "alternating"),
        *(
            pytest.param(gan, order, marks=pytest.mark.slow)
            for gan, order in (
                ("lsgan", "alternating"),
                ("hinge", "alternating"),
                ("vanilla", "real_then_fake"),
                ("wgan_gp", "real_then_fake"),
                ("wgan_gp", "simultaneous"),
            )
        ),
    ],
)
def test_a_step_follows_the_equations_of_the_paper(small, gan, order, monkeypatch):
    """Forward passes, gradients and updates are computed one after another, as in section 3.3.

    Plain gradient descent takes the place of Adam: in its first step, Adam uses only the signs of
    the gradients.
    """
    for module in ("state", "method"):
        monkeypatch.setattr(
            f"pix2pix_jax.gan.{module}.make_optimizer", lambda *_, **__: optax.sgd(0.1)
        )
    options = Optimizer(updates=order)
    loss = Loss(gan=gan, l1_weight=30, gradient_penalty=7)
    config = replace(small, loss=loss, optimizer=options)
    batch = batch_of(config, 1)
    before, after, metrics = one_step(config, batch)
    generator, discriminator = make_generator(config), make_discriminator(config)
    keys = jax.vmap(partial(jax.random.fold_in, step_key(config, 0)))(batch["index"])

    def descend(params, gradient):
        return jax.tree.map(lambda x, g: x - 0.1 * g, params, gradient)

    def generate(params):
        return generator.apply({"params": params}, batch["input"], keys)

    def score(params, image):
        pair = jnp.concatenate([batch["input"], image], -1)
        return discriminator.apply({"params": params}, pair)

    def discriminator_loss(params, labels):
        fake, loss, means = generate(before.generator.params), 0, {}
        for label, image in (("real", batch["target"]), ("fake", fake)):
            if label in labels:
                logits = score(params, image)
                loss += losses.discriminator_gan_loss(gan, label, logits)
                means[f"logits/{label}"] = logits.mean()
        if gan == "wgan_gp" and "fake" in labels:
            penalty = losses.gradient_penalty(partial(score, params), batch["target"], fake, keys)
            loss += 7 * penalty
        return loss / 2, means

    def generator_loss(params, discriminator_params):
        fake = generate(params)
        gan_loss = losses.generator_gan_loss(gan, score(discriminator_params, fake))
        l1 = jnp.abs(fake - batch["target"]).mean()
        terms = {"loss/generator_gan": gan_loss, "loss/generator_l1": l1}
        return gan_loss + 30 * l1, terms

    def norm(gradient):
        return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient)))

    @jax.jit
    def step():
        params = before.discriminator.params
        metrics = {"loss/discriminator": 0, "gradient/discriminator": 0}
        for labels in DISCRIMINATOR_UPDATES[order]:
            differentiate = jax.value_and_grad(discriminator_loss, has_aux=True)
            (loss, means), gradient = differentiate(params, labels)
            params = descend(params, gradient)
            metrics["loss/discriminator"] += loss
            metrics["gradient/discriminator"] += norm(gradient)
            metrics |= means
        opponent = before.discriminator.params if order == "simultaneous" else params
        gradient, terms = jax.grad(generator_loss, has_aux=True)(before.generator.params, opponent)
        terms["gradient/generator"] = norm(gradient)
        return metrics | terms, params, descend(before.generator.params, gradient)

    expected_metrics, *expected = step()
    assert metrics.keys() == expected_metrics.keys() == set(METRIC_ORDER)
    for name, value in expected_metrics.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-4, atol=1e-6)
    found = [after.discriminator.params, after.generator.params]
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5), found, expected)
    assert after.step == 1


def test_l1_alone_does_not_change_the_discriminator(small):
    before, after, metrics = one_step(replace(small, loss=Loss(gan="none")), batch_of(small, 1))
    assert_equal(before.discriminator, after.discriminator)
    assert differs(before.generator.params, after.generator.params)
    not_zero = {name for name, value in metrics.items() if value != 0}
    assert not_zero == {"loss/generator_l1", "gradient/generator"}
    assert set(metrics) - not_zero == {
        "loss/discriminator", "gradient/discriminator", "loss/generator_gan"
    }  # fmt: skip


@pytest.mark.slow
def test_an_unconditional_discriminator_does_not_see_the_input(small):
    config = replace(small, loss=Loss(conditional=False))
    params = create_state(config).discriminator.params
    assert params["conv1"]["kernel"].shape[2] == 3
    assert create_state(small).discriminator.params["conv1"]["kernel"].shape[2] == 6
    batch = batch_of(config, 1)
    _, _, metrics = one_step(config, batch)
    _, _, other = one_step(config, batch | {"input": -batch["input"]})
    assert metrics["logits/real"] == other["logits/real"]


@pytest.mark.slow
def test_noise_depends_on_the_step_and_the_index_alone(small):
    batch = batch_of(small, 1)
    _, _, first = one_step(small, batch)
    _, _, again = one_step(small, batch)
    assert_equal(first, again)
    _, _, later = one_step(small, batch, step=1)
    _, _, elsewhere = one_step(small, batch | {"index": np.array([3], np.int32)})
    assert len({float(m["loss/generator_l1"]) for m in (first, later, elsewhere)}) == 3


def test_weights_and_keys_depend_on_the_seed(small):
    other = replace(small, seed=1)
    first, second = (create_state(config) for config in (small, other))
    for network, layer in (("generator", "down1"), ("discriminator", "conv1")):
        a, b = (getattr(state, network).params[layer]["kernel"] for state in (first, second))
        assert (a != b).mean() > 0.99
    keys = [step_key(config, step) for config in (small, other) for step in (0, 1)]
    keys += [stream_key(small, stream) for stream in ("parameters", "samples")]
    assert len({tuple(jax.random.key_data(key).tolist()) for key in keys}) == 6


@pytest.mark.slow
def test_bfloat16_keeps_the_state_in_float32(small):
    config = replace(small, train=replace(small.train, dtype="bfloat16"))
    batch = batch_of(config, 1)
    _, after, metrics = one_step(config, batch)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(after)} == {"float32", "int32"}
    _, _, exact = one_step(small, batch)
    for name, value in metrics.items():
        np.testing.assert_allclose(value, exact[name], atol=0.05, rtol=0.02)


def test_200_steps_on_one_pair_reduce_the_l1_to_a_fifth(small):
    config = replace(small, model=replace(small.model, features=16, depth=5))
    ramp = np.linspace(-0.9, 0.9, 32, dtype=np.float32)
    image = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], np.sign(ramp)[:, None]), -1)
    pair = {"input": image, "target": np.cos(3 * image), "index": np.int32(0)}
    batch = {name: value[None] for name, value in pair.items()}
    step, state, l1 = jax.jit(partial(train_step, make_method(config))), create_state(config), []
    for i in range(200):
        state, metrics = step(state, batch, step_key(config, i))
        l1.append(float(metrics["loss/generator_l1"]))
    assert l1[-1] < l1[0] / 5
