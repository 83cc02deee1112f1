"""Our implementation as a benchmark times it: whole steps as `train` runs them, and their parts."""

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

from pix2pix_jax.benchmark.timing import Row, limits, summarize, time_calls, time_in_place
from pix2pix_jax.benchmark.worker import Arrays, Trial, device_memory
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.augment import crop_batch
from pix2pix_jax.data.examples import Example
from pix2pix_jax.data.image_files import encode_png
from pix2pix_jax.data.pipeline import make_image_batches, make_training_batches, prefetch
from pix2pix_jax.gan import losses
from pix2pix_jax.gan.random import step_key
from pix2pix_jax.gan.state import NetworkState, create_state
from pix2pix_jax.gan.step import (
    Batch,
    Method,
    apply_gradient,
    generate_images,
    make_method,
    score_patches,
)
from pix2pix_jax.gan.summary import describe, operations
from pix2pix_jax.runs.compatibility import check_devices
from pix2pix_jax.runtime.backend import start_backend
from pix2pix_jax.training.train import run_steps, shard_batches, steps_per_call

NUM_PAIRS = 16  # random images to train on
Networks = tuple[NetworkState, NetworkState]  # generator and discriminator


class Training:
    """Training of a resolved config on random images, without an end."""

    def __init__(self, config: Config):
        batches, pairs = make_training_batches(config, noise_records(config))
        endless = replace(config, train=replace(config.train, steps=2**31 - 1))
        self.state, self.steps_per_call = create_state(config), steps_per_call(config)
        self.calls = run_steps(endless, self.state, prefetch(batches, 0), pairs)

    def run(self, steps: int) -> None:
        """Trains for a multiple of `steps_per_call` steps and waits for the last one."""
        for _, state, _ in islice(self.calls, steps // self.steps_per_call):
            self.state = state
        jax.block_until_ready(self.state)

    def weights(self) -> tuple[Arrays, Arrays]:
        """The parameters of the generator and of the discriminator."""
        return (
            jax.tree.leaves(self.state.generator.params),
            jax.tree.leaves(self.state.discriminator.params),
        )


def steps(config: Config) -> Trial:
    """Training steps of a resolved config, with the work of making their batches.

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


def parts(config: Config) -> dict[str, Any]:
    """Measures the parts of a step of a resolved config.

    Returns:
      By part, its seconds and its work: images, operations, bytes. Batches are those of all
      devices, updates those of one device. `devices` lists the kinds of all devices.

    Raises:
      UsageError: the batch is not divisible by the number of devices.
    """
    start_backend()
    check_devices(config.data.batch_size)
    images, records = config.data.batch_size, noise_records(config)
    share = images // jax.device_count()
    one_device = replace(config, data=replace(config.data, batch_size=share))
    of_generator, of_discriminator = (share * each for each in operations(describe(config)))
    data = parts_of_data(config, records)
    update = parts_of_update(one_device, records, (of_generator, of_discriminator))
    return {
        **{name: row | {"images": images} for name, row in data.items()},
        **{name: row | {"images": share} for name, row in update.items()},
        **limits(config.train.dtype),
        "step": {"operations": of_generator + of_discriminator, "images": images},
        "devices": [device.device_kind for device in jax.devices()],
    }


def parts_of_data(config: Config, records: list[dict]) -> dict[str, Row]:
    """Measures making a batch on the host and copying it to the devices.

    If the pairs are resident on the devices, batches of images that are cropped on the host are
    measured, too.
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


def parts_of_update(config: Config, records: list[dict], work: tuple[int, int]) -> dict[str, Row]:
    """Measures forward and backward passes of both networks, and both optimizers.

    Args:
      config: resolved, with one device's share of the batch.
      records: pairs to train on.
      work: operations of the generator and of the discriminator in a step on that share.
    """
    method, state = make_method(config), create_state(config)
    images = first_batch(make_image_batches(config, records)).items()
    batch = crop_batch({}, {name: jnp.asarray(values) for name, values in images}, config.data)
    keys = jax.vmap(partial(jax.random.fold_in, step_key(config, 0)))(batch["index"])
    # All inputs are arguments: XLA would compute with constants once, while it compiles.
    generate = jax.jit(jax.grad(partial(generator_loss, method)))
    discriminate = jax.jit(jax.grad(partial(discriminator_loss, method)))
    generator, discriminator = state.generator.params, state.discriminator.params
    return {
        "generator": time_calls(lambda: generate(generator, batch, keys)) | {"operations": work[0]},
        "discriminator": time_calls(lambda: discriminate(discriminator, batch))
        # Of 8 passes of the discriminator in a step, 2 belong to the generator's loss.
        | {"operations": work[1] * 3 // 4},
        "optimizer": time_optimizer(method, (state.generator, state.discriminator)),
    }


def generator_loss(method: Method, params: dict, batch: Batch, keys: Array) -> Array:
    """The L1 loss of the generator: a forward pass, and a backward pass in its gradient."""
    return losses.l1(generate_images(method, batch, keys, params), batch["target"])


def discriminator_loss(method: Method, params: dict, batch: Batch) -> Array:
    """A loss of the discriminator on two images of each pair, as many as in a step."""
    images = jnp.concatenate([batch["target"]] * 2)  # [2 * b, h, w, c]
    return jnp.square(score_patches(method, params, batch, images)).mean()


def time_optimizer(method: Method, networks: Networks) -> Row:
    """Measures one step of both optimizers."""

    @partial(jax.jit, donate_argnums=0)
    def optimize(networks: Networks, gradients: tuple[dict, dict]) -> Networks:
        generator, discriminator = networks
        return (
            apply_gradient(generator, gradients[0], method.generator_optimizer),
            apply_gradient(discriminator, gradients[1], method.discriminator_optimizer),
        )

    params = networks[0].params, networks[1].params
    gradients = jax.tree.map(jnp.copy, params)
    row = time_in_place(partial(optimize, gradients=gradients), jax.tree.map(jnp.copy, networks))
    # float32: Adam reads parameters, both moments and gradients, and writes all but the last.
    return row | {"bytes": 7 * 4 * sum(leaf.size for leaf in jax.tree.leaves(params))}


def time_data(batches: grain.MapDataset, count: int = 40, runs: int = 5) -> Row:
    """Seconds of a batch, if each is awaited as soon as the one before has come.

    Args:
      batches: endless.
      count: the number of batches of a run.
      runs: the number of runs.
    """
    prefetched, times = prefetch(batches, 0), []
    list(islice(prefetched, 20))  # made ahead
    for _ in range(runs):
        start = time.perf_counter()
        list(islice(prefetched, count))
        times.append((time.perf_counter() - start) / count)
    prefetched.close()
    return summarize(times)


def count_bytes(batch: Example) -> Row:
    """The size of a batch in bytes."""
    return {"bytes": sum(values.nbytes for values in batch.values())}


def first_batch(batches: grain.MapDataset) -> Example:
    """The batch of the first step."""
    batch = batches[0]
    assert batch is not None  # None would be an element that a filter dropped.
    return batch


def noise_records(config: Config) -> list[dict]:
    """Records of pairs of random images, encoded as PNG."""
    rng, size = np.random.default_rng(0), config.data.image_size
    count = 2 * NUM_PAIRS
    images = [Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)) for _ in range(count)]
    files = [encode_png(image) for image in images]
    return [{"name": str(i).encode(), "files": files[2 * i : 2 * i + 2]} for i in range(NUM_PAIRS)]
