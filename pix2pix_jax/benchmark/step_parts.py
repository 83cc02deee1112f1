"""Our implementation for the benchmark: whole training steps as in `train`, and their parts."""

import time
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from PIL import Image

from pix2pix_jax.benchmark.timing import (
    PartTiming,
    measure_limits,
    median_and_quartiles,
    time_calls,
    time_in_place,
)
from pix2pix_jax.benchmark.worker import Arrays, Trial, device_memory
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.augment import scale_batch
from pix2pix_jax.data.examples import Example
from pix2pix_jax.data.images.image_files import encode_png
from pix2pix_jax.data.pipeline import make_image_batches, make_training_batches, prefetch
from pix2pix_jax.gan import losses
from pix2pix_jax.gan.description import describe, operations
from pix2pix_jax.gan.method import Method, make_method
from pix2pix_jax.gan.random import step_key
from pix2pix_jax.gan.state import NetworkState, create_state
from pix2pix_jax.gan.step import Batch, generate_images, score_patches
from pix2pix_jax.runs.checks import check_devices
from pix2pix_jax.runtime.backend import start_backend
from pix2pix_jax.training.steps import run_steps, shard_batches, steps_per_call

NUM_PAIRS = 16  # the number of pairs of random images to train on
BATCHES_PER_RUN, DATA_RUNS = 40, 5  # `time_data` times 5 runs, each of 40 batches.
Networks = tuple[NetworkState, NetworkState]  # generator and discriminator


class Training:
    """Training of a resolved config on random images."""

    def __init__(self, config: Config):
        batches, pairs = make_training_batches(config, make_random_records(config))
        endless = replace(config, train=replace(config.train, steps=2**31 - 1))
        self.state, self.steps_per_call = create_state(config), steps_per_call(config)
        self.calls = run_steps(endless, self.state, prefetch(batches, 0), pairs)

    def run(self, steps: int) -> None:
        """Trains for `steps` steps, a multiple of `steps_per_call`, and waits for their end."""
        for _, state, _ in islice(self.calls, steps // self.steps_per_call):
            self.state = state
        jax.block_until_ready(self.state)

    def weights(self) -> tuple[Arrays, Arrays]:
        """The parameters of the generator and of the discriminator."""
        return (
            jax.tree.leaves(self.state.generator.params),
            jax.tree.leaves(self.state.discriminator.params),
        )


def make_trial(config: Config) -> Trial:
    """Makes a trial of whole training steps, which include the work of making batches.

    Args:
      config: a resolved config.

    Raises:
      UsageError: the batch is not divisible by the number of devices.
    """
    start_backend()
    check_devices(config.data.batch_size)
    training = Training(config)
    return Trial(
        run=training.run,
        steps=training.steps_per_call,
        weights=training.weights,
        peak_memory=device_memory,
        devices=[device.platform for device in jax.devices()],
    )


def measure_parts(config: Config) -> dict[str, Any]:
    """Measures the parts of a training step.

    Args:
      config: a resolved config.

    Returns:
      For each part its seconds and its work: images, operations, bytes. The part "step", a whole
      step, has no seconds yet. The work of the host is for the batch of all devices, the work of
      the update for the share of one device. `devices` lists the kind of every device.

    Raises:
      UsageError: the batch is not divisible by the number of devices.
    """
    start_backend()
    check_devices(config.data.batch_size)
    images, records = config.data.batch_size, make_random_records(config)
    share = images // jax.device_count()
    one_device = replace(config, data=replace(config.data, batch_size=share))
    work = [share * number for number in operations(describe(config))]
    data = measure_data_parts(config, records)
    update = measure_update_parts(one_device, records, *work)
    return {
        **{name: row | {"images": images} for name, row in data.items()},
        **{name: row | {"images": share} for name, row in update.items()},
        **measure_limits(config.train.dtype),
        "step": {"operations": sum(work), "images": images},
        "devices": [device.device_kind for device in jax.devices()],
    }


def measure_data_parts(config: Config, records: list[dict]) -> dict[str, PartTiming]:
    """Measures how long the host takes to make a batch, and to copy it to the devices.

    If the pairs are resident in the memory of the devices, the function also measures batches that
    the host crops.
    """
    batches, pairs = make_training_batches(config, records)
    batch = shard_batches([first_batch(batches)])
    rows = {
        "data": time_data(batches),
        "host to device": time_calls(lambda: jax.device_put(batch)) | count_bytes(batch),
    }
    if not pairs:
        return rows
    return rows | {"data, were none resident": time_data(make_image_batches(config, records))}


def measure_update_parts(
    config: Config, records: list[dict], generator_work: int, discriminator_work: int
) -> dict[str, PartTiming]:
    """Measures forward and backward passes of both networks, and both optimizers.

    Args:
      config: a resolved config, with one device's share of the batch.
      records: pairs to train on.
      generator_work, discriminator_work: operations of each network in a step on this share.
    """
    method, state = make_method(config), create_state(config)
    images = first_batch(make_image_batches(config, records)).items()
    batch = scale_batch({name: jnp.asarray(values) for name, values in images})
    keys = jax.vmap(partial(jax.random.fold_in, step_key(config, 0)))(batch["index"])
    # All inputs are arguments, because XLA would compute with constants only once, at compile time.
    differentiate_generator = jax.jit(jax.grad(partial(l1_of_generator, method)))
    differentiate_discriminator = jax.jit(jax.grad(partial(mean_square_logit, method)))
    generator, discriminator = state.generator.params, state.discriminator.params
    return {
        "generator": time_calls(lambda: differentiate_generator(generator, batch, keys))
        | {"operations": generator_work},
        "discriminator": time_calls(lambda: differentiate_discriminator(discriminator, batch))
        # In a step, a quarter of the discriminator's operations is for the generator's loss.
        | {"operations": discriminator_work * 3 // 4},
        "optimizer": time_optimizer(method, (state.generator, state.discriminator)),
    }


def l1_of_generator(method: Method, params: dict, batch: Batch, keys: Array) -> Array:
    """The L1 loss of the generator; its gradient takes a forward and a backward pass."""
    return losses.l1_loss(generate_images(method, params, batch, keys), batch["target"])


def mean_square_logit(method: Method, params: dict, batch: Batch) -> Array:
    """A loss of the discriminator on as many images as in a step, two for each pair."""
    images = jnp.concatenate([batch["target"]] * 2)  # [2 * b, h, w, c]
    return jnp.square(score_patches(method, params, batch, images)).mean()


def time_optimizer(method: Method, networks: Networks) -> PartTiming:
    """Measures one update by both optimizers."""

    @partial(jax.jit, donate_argnums=0)
    def optimize(networks: Networks, gradients: tuple[dict, dict]) -> Networks:
        generator, discriminator = networks
        return (
            generator.apply_gradient(gradients[0], method.generator_optimizer),
            discriminator.apply_gradient(gradients[1], method.discriminator_optimizer),
        )

    params = networks[0].params, networks[1].params
    gradients = jax.tree.map(jnp.copy, params)
    row = time_in_place(partial(optimize, gradients=gradients), jax.tree.map(jnp.copy, networks))
    # Adam reads parameters, two moments and gradients, and writes parameters and moments. All
    # these arrays are float32.
    return row | {"bytes": 7 * 4 * sum(leaf.size for leaf in jax.tree.leaves(params))}


def time_data(batches: grain.MapDataset) -> PartTiming:
    """Measures how long the host takes to make a batch while it does nothing else.

    Args:
      batches: an endless dataset of batches.
    """
    prefetched, times = prefetch(batches, 0), []
    list(islice(prefetched, 20))  # The first batches do not count, because they were made ahead.
    for _ in range(DATA_RUNS):
        start = time.perf_counter()
        list(islice(prefetched, BATCHES_PER_RUN))
        times.append((time.perf_counter() - start) / BATCHES_PER_RUN)
    prefetched.close()
    return median_and_quartiles(times)


def count_bytes(batch: Example) -> PartTiming:
    """The size of a batch, as {"bytes": size}."""
    return {"bytes": sum(values.nbytes for values in batch.values())}


def first_batch(batches: grain.MapDataset) -> Example:
    """The batch of the first step."""
    batch = batches[0]
    assert batch is not None, "nothing filters the batches"
    return batch


def make_random_records(config: Config) -> list[dict]:
    """Makes NUM_PAIRS records of a dataset: pairs of random images, encoded as PNG."""
    rng, size = np.random.default_rng(0), config.data.image_size
    count = 2 * NUM_PAIRS
    images = [Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)) for _ in range(count)]
    files = [encode_png(image) for image in images]
    return [{"name": str(i).encode(), "files": files[2 * i : 2 * i + 2]} for i in range(NUM_PAIRS)]
