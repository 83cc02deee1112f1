"""A call to the devices runs one or several training steps."""

from dataclasses import replace

import numpy as np

from pix2pix_jax.gan.state import TrainState
from pix2pix_jax.training.steps import run_steps, shard_batches, steps_per_call


def test_shards_have_axes_of_devices_steps_and_images():
    batches = [{"index": 10 * step + np.arange(8)} for step in range(3)]
    found = shard_batches(batches)["index"]  # conftest.py sets four devices
    assert found.shape == (4, 3, 2)
    np.testing.assert_array_equal(found[1], [[2, 3], [12, 13], [22, 23]])


def test_full_calls_end_at_multiples_of_their_size(small, monkeypatch):
    """From step 6 to 17, with calls of four steps, there are five calls: 1, 1, 4, 4 and 1 steps."""
    calls = []

    def steps(state, batches):
        calls.append(batches["index"].shape[1])
        return state, {"a": np.zeros(calls[-1])}

    monkeypatch.setattr("pix2pix_jax.training.steps.ParallelSteps", lambda config, pairs: steps)
    config = replace(small, train=replace(small.train, steps=17, steps_per_call=4))
    state = TrainState(np.int32(6), None, None)
    batches = ({"index": np.arange(4)} for _ in range(11))
    assert [step for step, _, _ in run_steps(config, state, batches, {})] == [7, 8, 12, 16, 17]
    assert calls == [1, 1, 4, 4, 1]


def test_the_number_of_steps_in_a_call_divides_all_intervals(small, monkeypatch):
    """A CPU runs one step in a call; other devices run steps with at most 64 images on each."""
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
