from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest

from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.gan.random import stream_key
from pix2pix_jax.gan.state import TrainState, create_state
from pix2pix_jax.gan.step import METRIC_ORDER
from pix2pix_jax.models.unet import translate
from pix2pix_jax.training.recorder import mean_metrics
from pix2pix_jax.training.samples import sampler
from pix2pix_jax.training.train import accumulate_metrics, run_steps, shard_batches, steps_per_call


def test_shards_are_devices_then_steps_then_images():
    batches = [{"index": 10 * step + np.arange(8)} for step in range(3)]
    found = shard_batches(batches)["index"]  # four devices, as conftest has it
    assert found.shape == (4, 3, 2)
    np.testing.assert_array_equal(found[1], [[2, 3], [12, 13], [22, 23]])


def test_steps_are_called_in_whole_calls_where_they_fit(small, monkeypatch):
    """From step 6 of 17, four to a call: two single ones, two calls, a single one."""
    seen = []

    def steps(state, batches):
        seen.append(batches["index"].shape[1])
        return state, {"a": np.zeros(seen[-1])}

    monkeypatch.setattr("pix2pix_jax.training.train.parallel_steps", lambda config, pairs: steps)
    config = replace(small, train=replace(small.train, steps=17, steps_per_call=4))
    state = TrainState(np.int32(6), None, None)
    batches = ({"index": np.arange(4)} for _ in range(11))
    assert [step for step, _, _ in run_steps(config, state, batches, {})] == [7, 8, 12, 16, 17]
    assert seen == [1, 1, 4, 4, 1]


def test_a_call_has_as_many_steps_as_all_intervals_allow(small, monkeypatch):
    """One on a CPU; elsewhere no interval ends within a call, whose images are 64 a device."""
    options = replace(small.train, log_every=50, checkpoint_every=5000, sample_every=1000)
    config = replace(small, train=replace(options, evaluate_every=0))
    assert steps_per_call(config) == 1
    given = replace(config, train=replace(config.train, steps_per_call=5))
    assert steps_per_call(given) == 5
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    for devices, batch, expected in ((1, 1, 50), (1, 4, 10), (1, 64, 1), (1, 65, 1), (4, 4, 50)):
        monkeypatch.setattr("jax.device_count", lambda devices=devices: devices)
        at_batch = replace(config, data=replace(config.data, batch_size=batch))
        assert steps_per_call(at_batch) == expected
    monkeypatch.setattr("jax.device_count", lambda: 1)
    odd = replace(config, train=replace(config.train, log_every=7))
    assert steps_per_call(odd) == 1


def test_samples_show_what_the_generator_makes(small, monkeypatch):
    """Outputs and their L1, from parameters at hand, each image with its own noise."""
    rng = np.random.default_rng(0)
    pairs = [
        {name: rng.uniform(-1, 1, (32, 32, 3)).astype(np.float32) for name in ("input", "target")}
        for _ in range(3)
    ]
    shown = {}
    monkeypatch.setattr("pix2pix_jax.training.samples.evaluation_example", lambda pair, data: pair)
    monkeypatch.setattr("pix2pix_jax.training.samples.sample_grid", shown.update)
    params = create_state(small).generator.params
    _, error = sampler(small, pairs)(1, params)
    images, targets = (np.stack([pair[name] for pair in pairs]) for name in ("input", "target"))
    keys = jax.random.split(stream_key(small, "samples"), 3)
    outputs = jax.jit(partial(translate, make_generator(small)))(params, images, keys)
    np.testing.assert_array_equal(shown["input"], images)
    np.testing.assert_allclose(shown["output"], outputs, atol=1e-6)
    np.testing.assert_array_equal(shown["target"], targets)
    np.testing.assert_allclose(error, np.abs(outputs - targets).mean(), rtol=1e-5)
    fewer = replace(small, train=replace(small.train, samples=2))
    sampler(fewer, pairs)(1, params)
    np.testing.assert_array_equal(shown["target"], targets[:2])
    shown.clear()
    with pytest.raises(UsageError, match="step 7: validation/l1 is nan"):
        sampler(small, pairs)(7, jax.tree.map(lambda leaf: leaf * np.nan, params))
    assert shown == {}


def test_metrics_add_up_to_the_same_bits_however_they_come():
    values = np.random.default_rng(0).uniform(0, 1, 12).astype(np.float32)
    straight, totals = {}, {}
    accumulate_metrics(straight, [{"loss/generator_l1": values}], 12)
    for start, stop in ((0, 1), (1, 5), (5, 12)):
        unread = [
            {"loss/generator_l1": values[start : start + 1]},
            {"loss/generator_l1": values[start + 1 : stop]},
        ]
        accumulate_metrics(totals, unread, stop)
        assert unread == []
    assert totals == straight
    assert straight["steps"] == 12
    assert mean_metrics(straight).keys() == {"loss/generator_l1"}
    np.testing.assert_allclose(
        mean_metrics(straight)["loss/generator_l1"], values.mean(), rtol=1e-6
    )


def test_the_first_step_and_term_that_is_not_finite_is_named():
    """In the order of the step: a gradient after the loss that it is of."""
    bad, good = np.array([np.inf, np.nan]), np.ones(2)
    for terms, expected in (
        (("gradient/generator", "loss/generator_l1"), "loss/generator_l1"),
        (("gradient/generator", "gradient/discriminator"), "gradient/discriminator"),
    ):
        unread = [
            dict.fromkeys(METRIC_ORDER, good),
            dict.fromkeys(METRIC_ORDER, good) | dict.fromkeys(terms, bad),
        ]
        with pytest.raises(UsageError, match=f"step 103: {expected} is inf"):
            accumulate_metrics({}, unread, 104)
