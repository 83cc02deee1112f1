from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.steps import batch_of, keep_gradients
from PIL import Image

from pix2pix_jax.config import Config, Data, Loss, Optimizer, Train
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.data.image_files import encode_png
from pix2pix_jax.data.pipeline import make_training_batches
from pix2pix_jax.gan import losses
from pix2pix_jax.gan.method import make_method
from pix2pix_jax.gan.networks import make_discriminator, make_generator
from pix2pix_jax.gan.optimizer import make_optimizer
from pix2pix_jax.gan.parallel import make_parallel_steps
from pix2pix_jax.gan.random import step_key, stream_key
from pix2pix_jax.gan.state import create_state
from pix2pix_jax.gan.step import train_step
from pix2pix_jax.runtime.backend import copy_to_devices
from pix2pix_jax.training.train import shard_batches


def one_step(config, batch, step=0):
    """State before, state after and metrics of one step on one device."""
    state = create_state(config)
    key = step_key(config, step)
    return state, *jax.jit(partial(train_step, make_method(config)))(state, batch, key)


def assert_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(a), jax.device_get(b))


def differs(a, b):
    return any(jax.tree.leaves(jax.tree.map(lambda x, y: bool((x != y).any()), a, b)))


ROUNDS = {  # of the discriminator, by whose turn it is
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
def test_one_step_against_the_equations(small, gan, order, monkeypatch):
    """The step as the paper tells it: forward passes, gradients and updates, one by one.

    By plain gradient descent, because Adam's first step knows no more than signs.
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

    def judge(params, image):
        pair = jnp.concatenate([batch["input"], image], -1)
        return discriminator.apply({"params": params}, pair)

    def discriminator_loss(params, sides):
        fake, loss, means = generate(before.generator.params), 0, {}
        for side, image in (("real", batch["target"]), ("fake", fake)):
            if side in sides:
                logits = judge(params, image)
                loss += losses.discriminator_gan_loss(gan, side, logits)
                means[f"logits/{side}"] = logits.mean()
        if gan == "wgan_gp" and "fake" in sides:
            score = partial(judge, params)
            loss += 7 * losses.gradient_penalty(score, batch["target"], fake, keys)
        return loss / 2, means

    def generator_loss(params, discriminator_params):
        fake = generate(params)
        gan_loss = losses.generator_gan_loss(gan, judge(discriminator_params, fake))
        l1 = jnp.abs(fake - batch["target"]).mean()
        terms = {"loss/generator_gan": gan_loss, "loss/generator_l1": l1}
        return gan_loss + 30 * l1, terms

    def length(gradient):
        return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient)))

    @jax.jit
    def step():
        params = before.discriminator.params
        told = {"loss/discriminator": 0, "gradient/discriminator": 0}
        for sides in ROUNDS[order]:
            differentiate = jax.value_and_grad(discriminator_loss, has_aux=True)
            (loss, means), gradient = differentiate(params, sides)
            params = descend(params, gradient)
            told["loss/discriminator"] += loss
            told["gradient/discriminator"] += length(gradient)
            told |= means
        opponent = before.discriminator.params if order == "simultaneous" else params
        gradient, terms = jax.grad(generator_loss, has_aux=True)(before.generator.params, opponent)
        terms["gradient/generator"] = length(gradient)
        return told | terms, params, descend(before.generator.params, gradient)

    told, *expected = step()
    assert metrics.keys() == told.keys()
    for name, value in told.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-4, atol=1e-6)
    found = [after.discriminator.params, after.generator.params]
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5), found, expected)
    assert after.step == 1


@pytest.mark.parametrize(
    ("options", "rate", "b1", "b2"),
    [
        (Optimizer(), 2e-4, 0.5, 0.999),
        (Optimizer(learning_rate=1e-3, b1=0.9, b2=0.99), 1e-3, 0.9, 0.99),
    ],
)
def test_adam_has_the_papers_moments_or_those_given(options, rate, b1, b2):
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


def test_l1_alone_leaves_the_discriminator_untouched(small):
    before, after, metrics = one_step(replace(small, loss=Loss(gan="none")), batch_of(small, 1))
    assert_equal(before.discriminator, after.discriminator)
    assert differs(before.generator.params, after.generator.params)
    there = {name for name, value in metrics.items() if value != 0}
    assert there == {"loss/generator_l1", "gradient/generator"}
    assert set(metrics) - there == {
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
def test_noise_is_a_function_of_seed_step_and_index(small):
    batch = batch_of(small, 1)
    _, _, first = one_step(small, batch)
    _, _, again = one_step(small, batch)
    assert_equal(first, again)
    _, _, later = one_step(small, batch, step=1)
    _, _, elsewhere = one_step(small, batch | {"index": np.array([3], np.int32)})
    assert len({float(m["loss/generator_l1"]) for m in (first, later, elsewhere)}) == 3


def test_all_that_is_drawn_changes_with_the_seed(small):
    other = replace(small, seed=1)
    first, second = (create_state(config) for config in (small, other))
    for half in ("generator", "discriminator"):
        a, b = (
            getattr(state, half).params["conv1" if half[0] == "d" else "down1"]["kernel"]
            for state in (first, second)
        )
        assert (a != b).mean() > 0.99
    keys = [step_key(config, step) for config in (small, other) for step in (0, 1)]
    keys += [stream_key(small, purpose) for purpose in ("parameters", "samples")]
    assert len({tuple(jax.random.key_data(key).tolist()) for key in keys}) == 6


def test_four_devices_average_the_gradients_of_their_images(small, monkeypatch):
    """Gradients, not parameters: Adam would hide a wrong scale."""
    for module in ("state", "method"):
        place = f"pix2pix_jax.gan.{module}.make_optimizer"
        monkeypatch.setattr(place, lambda *_, **__: keep_gradients())
    config = replace(small, data=replace(small.data, batch_size=4))
    batch = batch_of(config, 4)
    state = copy_to_devices(create_state(config))
    step = jax.jit(partial(train_step, make_method(config)))
    key = step_key(config, 0)
    single = [
        step(state, {name: values[i : i + 1] for name, values in batch.items()}, key)
        for i in range(4)
    ]
    expected = jax.tree.map(lambda *leaves: np.mean(leaves, 0), *(jax.device_get(single)))
    after, metrics = jax.device_get(make_parallel_steps(config)(state, shard_batches([batch])))
    for half in ("generator", "discriminator"):
        found, wanted = getattr(after, half).opt_state, getattr(expected[0], half).opt_state
        scale = max(np.abs(leaf).max() for leaf in jax.tree.leaves(wanted))
        difference = jax.tree.map(lambda x, y: np.abs(x - y).max(), found, wanted)
        assert max(jax.tree.leaves(difference)) < 1e-5 * max(1, scale)
        assert scale > 1e-3
        length = optax.tree.norm(wanted)
        np.testing.assert_allclose(metrics.pop(f"gradient/{half}")[0], length, rtol=1e-5)
    for name, value in metrics.items():
        np.testing.assert_allclose(value[0], expected[1][name], rtol=1e-5)


def test_steps_per_call_changes_no_bit(small):
    config = replace(small, data=replace(small.data, batch_size=4))
    steps, batches = make_parallel_steps(config), [batch_of(config, 4, i) for i in range(4)]
    one = copy_to_devices(create_state(config))
    metrics = []
    for batch in batches:
        one, values = steps(one, shard_batches([batch]))
        metrics.append(jax.device_get(values))
    start = copy_to_devices(create_state(config))
    four, values = steps(start, shard_batches(batches))
    assert_equal(one, four)
    assert_equal({name: np.concatenate([m[name] for m in metrics]) for name in values}, values)


def test_shard_map_gives_the_bits_of_pmap(small):
    """State and metrics after five steps in two calls, on four devices."""
    config = replace(small, data=replace(small.data, batch_size=4))
    batches, ends = [batch_of(config, 4, i) for i in range(5)], []
    for parallel in ("pmap", "shard_map"):
        steps = make_parallel_steps(replace(config, train=replace(config.train, parallel=parallel)))
        state = copy_to_devices(create_state(config))
        first, metrics = steps(state, shard_batches(batches[:2]))
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state)), "the state is donated"
        ends.append((metrics, *steps(first, shard_batches(batches[2:]))))
    assert_equal(*ends)


def noise_file(rng):
    return encode_png(Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)))


def test_pairs_on_all_devices_change_no_bit(small):
    """Against pairs that are cut on the host, and shared out."""
    config = replace(small, data=replace(small.data, batch_size=4, flip=True))
    rng = np.random.default_rng(0)
    files = [noise_file(rng) for _ in range(10)]
    records = [{"name": b"", "files": files[2 * i : 2 * i + 2]} for i in range(5)]
    ends = []
    for room in (0, 1):
        config = replace(config, data=replace(config.data, resident_mib=room))
        batches, pairs = make_training_batches(config, records)
        assert len(pairs) == 2 * room
        steps = make_parallel_steps(config, pairs)
        state = copy_to_devices(create_state(config))
        for step in range(3):
            state, metrics = steps(state, shard_batches([batches[step]]))
        ends.append((state, metrics))
    assert_equal(*ends)


def test_a_run_compiles_once(small):
    config = replace(small, data=replace(small.data, batch_size=4))
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compiled.append(name) if "backend_compile" in name else None
    )
    steps = make_parallel_steps(config)
    fresh = copy_to_devices(create_state(config))
    restored = copy_to_devices(jax.device_get(fresh))
    state, _ = steps(fresh, shard_batches([batch_of(config, 4)]))
    compiled.clear()
    for _ in range(2):
        state, _ = steps(state, shard_batches([batch_of(config, 4)]))
    steps(restored, shard_batches([batch_of(config, 4)]))
    assert compiled == []
    jax.monitoring.clear_event_listeners()


def test_the_state_is_donated(small):
    config = replace(small, data=replace(small.data, batch_size=4))
    state = copy_to_devices(create_state(config))
    make_parallel_steps(config)(state, shard_batches([batch_of(config, 4)]))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))


@pytest.mark.parametrize("b2", [0.999, 0.9])
def test_epsilon_hat_is_added_before_the_bias_is_corrected(b2):
    """As Keras has it; with gradients as small as epsilon, where that makes a difference."""
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


def test_a_decaying_rate_goes_by_steps_where_a_step_has_two_updates():
    config = Config(optimizer=Optimizer(schedule="linear_decay"), train=Train(steps=2))
    optimizer = make_optimizer(config, updates_per_step=2)
    state, rates = optimizer.init(jnp.zeros(())), []
    for _ in range(6):
        update, state = optimizer.update(jnp.ones(()), state)
        rates.append(-float(update) / 2e-4)
    np.testing.assert_allclose(rates, [1, 1, 1, 1, 0, 0], atol=1e-4)


def test_linear_decay_is_constant_then_falls_to_zero():
    config = Config(optimizer=Optimizer(schedule="linear_decay"), train=Train(steps=10))
    optimizer = make_optimizer(config)
    state, rates = optimizer.init(jnp.zeros(())), []
    for _ in range(10):
        update, state = optimizer.update(jnp.ones(()), state)
        rates.append(-float(update) / 2e-4)
    np.testing.assert_allclose(rates, [1, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2], rtol=1e-4)


@pytest.mark.slow
def test_bfloat16_keeps_the_state_in_float32(small):
    config = replace(small, train=replace(small.train, dtype="bfloat16"))
    batch = batch_of(config, 1)
    _, after, metrics = one_step(config, batch)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(after)} == {"float32", "int32"}
    _, _, exact = one_step(small, batch)
    for name, value in metrics.items():
        np.testing.assert_allclose(value, exact[name], atol=0.05, rtol=0.02)


@pytest.mark.slow
def test_one_pair_is_learnt_by_heart():
    """300 steps on one pair: the L1 of the generator falls by more than five times."""
    config = resolve(Config(data=Data(image_size=(64, 64), batch_size=4)))
    config = replace(config, model=replace(config.model, features=16, discriminator_features=16))
    ramp = np.linspace(-0.9, 0.9, 64, dtype=np.float32)
    image = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], np.sign(ramp)[:, None]), -1)
    pair = {"input": image, "target": np.cos(3 * image), "index": np.int32(0)}
    batch = {name: np.stack([value] * 4) for name, value in pair.items()}
    steps, state = make_parallel_steps(config), create_state(config)
    state, l1 = copy_to_devices(state), []
    for _ in range(30):
        state, metrics = steps(state, shard_batches([batch] * 10))
        l1 += np.asarray(metrics["loss/generator_l1"]).tolist()
    assert l1[-1] < l1[0] / 5
