"""Several steps in one call, and shard_map instead of pmap, change no bit of the results."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import optax
import pytest
from helpers.steps import assert_equal, batch_of, keep_gradients
from PIL import Image

from pix2pix_jax.data.images.image_files import encode_png
from pix2pix_jax.data.pipeline import make_training_batches
from pix2pix_jax.gan.method import make_method
from pix2pix_jax.gan.parallel import ParallelSteps
from pix2pix_jax.gan.random import step_key
from pix2pix_jax.gan.state import create_state
from pix2pix_jax.gan.step import train_step
from pix2pix_jax.runtime.backend import copy_to_devices
from pix2pix_jax.training.steps import shard_batches


def test_four_devices_average_the_gradients_of_their_images(small, monkeypatch):
    """Gradients are compared, not parameters: Adam would hide a wrong scale."""
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
    after, metrics = jax.device_get(ParallelSteps(config)(state, shard_batches([batch])))
    for network in ("generator", "discriminator"):
        found, mean = getattr(after, network).opt_state, getattr(expected[0], network).opt_state
        scale = max(np.abs(leaf).max() for leaf in jax.tree.leaves(mean))
        difference = jax.tree.map(lambda x, y: np.abs(x - y).max(), found, mean)
        assert max(jax.tree.leaves(difference)) < 1e-5 * max(1, scale)
        assert scale > 1e-3
        length = optax.tree.norm(mean)
        np.testing.assert_allclose(metrics.pop(f"gradient/{network}")[0], length, rtol=1e-5)
    for name, value in metrics.items():
        np.testing.assert_allclose(value[0], expected[1][name], rtol=1e-5)


def test_several_steps_in_one_call_change_no_bit(small):
    config = replace(small, data=replace(small.data, batch_size=4))
    steps, batches = ParallelSteps(config), [batch_of(config, 4, i) for i in range(4)]
    one = copy_to_devices(create_state(config))
    metrics = []
    for batch in batches:
        one, values = steps(one, shard_batches([batch]))
        metrics.append(jax.device_get(values))
    start = copy_to_devices(create_state(config))
    four, values = steps(start, shard_batches(batches))
    assert_equal(one, four)
    assert_equal({name: np.concatenate([m[name] for m in metrics]) for name in values}, values)


def test_shard_map_and_pmap_give_the_same_bits(small):
    """Both take five steps in two calls on four devices."""
    config = replace(small, data=replace(small.data, batch_size=4))
    batches, ends = [batch_of(config, 4, i) for i in range(5)], []
    for parallel in ("pmap", "shard_map"):
        steps = ParallelSteps(replace(config, train=replace(config.train, parallel=parallel)))
        state = copy_to_devices(create_state(config))
        first, metrics = steps(state, shard_batches(batches[:2]))
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state)), "the state is donated"
        ends.append((metrics, *steps(first, shard_batches(batches[2:]))))
    assert_equal(*ends)


def random_records(count):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2 * count, 40, 40, 3), np.uint8)
    files = [encode_png(Image.fromarray(image)) for image in images]
    return [{"name": b"", "files": files[2 * i : 2 * i + 2]} for i in range(count)]


@pytest.mark.parametrize("parallel", ["pmap", "shard_map"])
def test_resident_pairs_and_pairs_that_the_host_crops_give_the_same_bits(small, parallel):
    config = replace(
        small,
        data=replace(small.data, batch_size=4, flip=True),
        train=replace(small.train, parallel=parallel),
    )
    records, ends = random_records(5), []
    for resident_mib in (0, 1):
        config = replace(config, data=replace(config.data, resident_mib=resident_mib))
        batches, pairs = make_training_batches(config, records)
        assert len(pairs) == 2 * resident_mib
        steps = ParallelSteps(config, pairs)
        state = copy_to_devices(create_state(config))
        ends.append(steps(state, shard_batches([batches[0], batches[1]])))
    assert_equal(*ends)


def test_the_large_program_does_not_depend_on_the_number_of_pairs(small):
    """The arguments that `train` gets are recorded, and give the text of the compiled program."""
    config = replace(small, data=replace(small.data, batch_size=4))
    state, programs = copy_to_devices(create_state(config)), []
    for count in (5, 7):
        batches, pairs = make_training_batches(config, random_records(count))
        steps = ParallelSteps(config, pairs)
        lower, steps.train = steps.train.lower, lambda *arguments: arguments
        programs.append(lower(*steps(state, shard_batches([batches[0]]))).as_text())
    assert pairs["input"].shape[0] == 7
    assert programs[0] == programs[1]


def test_a_step_is_compiled_once_even_if_the_state_was_restored(small):
    config = replace(small, data=replace(small.data, batch_size=4))
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compiled.append(name) if "backend_compile" in name else None
    )
    steps = ParallelSteps(config)
    fresh = copy_to_devices(create_state(config))
    restored = copy_to_devices(jax.device_get(fresh))
    state, _ = steps(fresh, shard_batches([batch_of(config, 4)]))
    compiled.clear()
    for _ in range(2):
        state, _ = steps(state, shard_batches([batch_of(config, 4)]))
    steps(restored, shard_batches([batch_of(config, 4)]))
    assert compiled == []
    jax.monitoring.clear_event_listeners()
