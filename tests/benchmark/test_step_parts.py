"""Our implementation for the benchmark: whole training steps, and their parts."""

from dataclasses import replace

import pytest

from pix2pix_jax.benchmark import step_parts, timing
from pix2pix_jax.gan.description import describe, operations
from pix2pix_jax.training import steps


def test_a_trial_trains_for_the_given_number_of_steps(small):
    """A benchmark sees only the time of `run`, so the test counts the steps in the state."""
    states = []
    parallel_steps = steps.ParallelSteps

    def recorded_steps(*arguments):
        step = parallel_steps(*arguments)
        return lambda state, batches: states.append(step(state, batches)) or states[-1]

    config = replace(small, data=replace(small.data, batch_size=4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "ParallelSteps", recorded_steps)
        ours = step_parts.make_trial(config)
        ours.run(3)
    assert int(states[-1][0].step) == 3


def test_the_parts_of_a_step_have_their_numbers_of_operations_and_bytes(small):
    """The host makes the batch of all four devices; the update is the share of one device."""
    config = replace(small, data=replace(small.data, batch_size=8))
    found = step_parts.measure_parts(config)
    layers = describe(config)
    weights = layers["generator"]["parameters"] + layers["discriminator"]["parameters"]
    generator, discriminator = (2 * each for each in operations(layers))
    assert found.pop("devices") == ["cpu"] * 4
    rows = [
        ("data", 8, None, None),
        ("host to device", 8, None, 5 * 4 * 8),  # five numbers choose the crop of an image
        ("data, were none resident", 8, None, None),
        ("generator", 2, generator, None),
        ("discriminator", 2, discriminator * 3 // 4, None),
        ("optimizer", 2, None, 28 * weights),
        ("matrix product", None, 2 * 2048**3, None),
        ("copy", None, None, 8 * 2**26),
        ("step", 8, generator + discriminator, None),
    ]
    works = "images", "operations", "bytes"
    assert [(name, *map(row.get, works)) for name, row in found.items()] == rows
    for name, row in found.items():
        assert name == "step" or 0 < row["quartiles"][0] <= row["seconds"] <= row["quartiles"][1]
    without_resident_pairs = replace(config, data=replace(config.data, resident_mib=0))
    records = step_parts.make_random_records(config)
    on_host = step_parts.measure_data_parts(without_resident_pairs, records)
    assert list(on_host) == ["data", "host to device"]
    image, index = 32 * 32 * 3, 4  # bytes
    assert on_host["host to device"]["bytes"] == 8 * (2 * image + index)


def test_a_turn_makes_enough_calls_to_last_the_minimal_time(monkeypatch):
    now, calls = [0.0], []
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])

    def run():
        calls.append(now[0])
        now[0] += 0.5
        return 0

    found = timing.time_calls(run, turns=3, min_seconds=2.0)
    assert found == {"seconds": 0.5, "quartiles": [0.5, 0.5]}
    assert len(calls) == 2 + 3 * 4
