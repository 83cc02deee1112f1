"""Our implementation as a benchmark times it: whole steps, and their parts."""

from dataclasses import replace

import pytest

from pix2pix_jax.benchmark import step_parts, timing
from pix2pix_jax.gan.summary import describe, operations
from pix2pix_jax.training import train


def test_a_run_of_ours_trains_the_number_of_steps(small):
    """The benchmark sees only the time of `run`, so the state must show the steps."""
    states = []
    parallel_steps = train.parallel_steps

    def recorded_steps(*arguments):
        step = parallel_steps(*arguments)
        return lambda state, batches: states.append(step(state, batches)) or states[-1]

    config = replace(small, data=replace(small.data, batch_size=4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "parallel_steps", recorded_steps)
        ours = step_parts.steps(config)
        ours.run(3)
    assert int(states[-1][0].step) == 3


def test_parts_of_a_step_count_their_work(small):
    """On four devices: the host works for all of them, the other parts are of one device."""
    config = replace(small, data=replace(small.data, batch_size=8))
    found = step_parts.parts(config)
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
    on_host = step_parts.parts_of_data(
        replace(config, data=replace(config.data, resident_mib=0)), step_parts.noise_records(config)
    )
    assert list(on_host) == ["data", "host to device"]
    assert on_host["host to device"]["bytes"] == 8 * (
        2 * 32 * 32 * 3 + 4
    )  # images and their indices


def test_a_turn_has_enough_calls_for_its_minimal_time(monkeypatch):
    """The time of a call is its share of the turn."""
    now, calls = [0.0], []
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])

    def run():
        calls.append(now[0])
        now[0] += 0.5
        return 0

    found = timing.time_calls(run, turns=3, min_seconds=2.0)
    assert found == {"seconds": 0.5, "quartiles": [0.5, 0.5]}
    assert len(calls) == 2 + 3 * 4
