"""What is timed of ours: whole steps as `train` makes them, and the parts of one."""

import math
import time
from collections.abc import Callable
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

from pix2pix_jax.benchmark.worker import Arrays, Trial, device_memory, quartiles
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.augment import crop_batch
from pix2pix_jax.data.examples import Example
from pix2pix_jax.data.image_files import encode_png
from pix2pix_jax.data.pipeline import make_image_batches, make_training_batches, prefetch
from pix2pix_jax.gan import losses
from pix2pix_jax.gan.networks import make_discriminator, make_generator
from pix2pix_jax.gan.optimizer import make_optimizer
from pix2pix_jax.gan.random import step_key
from pix2pix_jax.gan.state import create_state
from pix2pix_jax.gan.step import apply_gradient
from pix2pix_jax.gan.summary import describe, operations
from pix2pix_jax.runs.compatibility import check_devices
from pix2pix_jax.runtime.backend import start_backend
from pix2pix_jax.training.train import run_steps, shard_batches, steps_per_call

PAIRS = 16  # of noise
Row = dict[str, Any]  # what was measured of a part


def steps(config: Config) -> Trial:
    """Steps of a resolved config, with the data that they need.

    Raises:
      UsageError: a batch that the devices cannot share.
    """
    start_backend()
    check_devices(config.data.batch_size)
    batches, pairs = make_training_batches(config, noise_records(config))
    endless = replace(config, train=replace(config.train, steps=2**31 - 1))
    state, size = create_state(config), steps_per_call(config)
    calls = run_steps(endless, state, prefetch(batches, 0), pairs)

    def run(count: int) -> None:
        nonlocal state
        for _, now, _ in islice(calls, count // size):
            state = now
        jax.block_until_ready(state)

    def weights() -> tuple[Arrays, Arrays]:
        halves = state.generator, state.discriminator
        return tuple(jax.tree.leaves(half.params) for half in halves)

    return Trial(run, size, weights, device_memory, [device.platform for device in jax.devices()])


def parts(config: Config) -> dict[str, Any]:
    """Of a step on one device: by part, what it takes and what it does in that time.

    Raises:
      UsageError: a batch that the devices cannot share.
    """
    start_backend()
    check_devices(config.data.batch_size)
    images, records = config.data.batch_size, noise_records(config)
    share = images // jax.device_count()
    alone = replace(config, data=replace(config.data, batch_size=share))
    work = tuple(share * each for each in operations(describe(config)))
    of_data, of_update = parts_of_data(config, records), parts_of_update(alone, records, work)
    return {
        **{name: row | {"images": images} for name, row in of_data.items()},
        **{name: row | {"images": share} for name, row in of_update.items()},
        **limits(config.train.dtype),
        "step": {"operations": sum(work), "images": images},
        "devices": [device.device_kind for device in jax.devices()],
    }


def parts_of_data(config: Config, records: list[dict]) -> dict[str, Row]:
    """Batches as the step takes them, and their way; and those cut on the host, if it does not."""
    batches, pairs = make_training_batches(config, records)
    batch = shard_batches([batches[0]])
    of_step = {
        "data": time_data(batches),
        "host to device": time_calls(lambda: jax.device_put(batch)) | bytes_of(batch),
    }
    if not pairs:
        return of_step
    return of_step | {"data, were none resident": time_data(make_image_batches(config, records))}


def parts_of_update(config: Config, records: list[dict], work: tuple[int, int]) -> dict[str, Row]:
    """Both networks, forward and backward, and both Adams.

    Args:
      config: of one device's share of a batch.
      records: pairs.
      work: operations of both networks in a step on that.
    """
    data, optimizer = config.data, make_optimizer(config)
    generator = make_generator(config)
    discriminator = make_discriminator(config).clone(norm_images=data.batch_size)
    batch = jax.device_put(crop_batch({}, make_image_batches(config, records)[0], data))
    keys = jax.vmap(lambda i: jax.random.fold_in(step_key(config, 0), i))(batch["index"])
    state = create_state(config)
    halves = state.generator, state.discriminator

    # All that they see is handed to them, or it would be computed once, while they are compiled.
    @jax.jit
    @jax.grad
    def generate(params: dict, batch: dict, keys: Array) -> Array:
        output = generator.apply({"params": params}, batch["input"], keys)
        return losses.l1(output, batch["target"])

    @jax.jit
    @jax.grad
    def discriminate(params: dict, batch: dict) -> Array:  # two images of each pair
        sides = ("input", "target") if config.loss.conditional else ("target",)
        pair = jnp.concatenate([batch[side] for side in sides], -1)
        logits = discriminator.apply({"params": params}, jnp.concatenate([pair] * 2))
        return jnp.square(logits).mean()

    @partial(jax.jit, donate_argnums=0)
    def optimize(halves: tuple, gradients: list) -> tuple:
        both = zip(halves, gradients, strict=True)
        return tuple(apply_gradient(half, gradient, optimizer) for half, gradient in both)

    gradients = [jax.tree.map(jnp.copy, half.params) for half in halves]
    # Parameters, both moments and gradients are read, all but the last written.
    adam = 7 * 4 * sum(leaf.size for leaf in jax.tree.leaves([half.params for half in halves]))
    return {
        "generator": time_calls(lambda: generate(state.generator.params, batch, keys))
        | {"operations": work[0]},
        "discriminator": time_calls(lambda: discriminate(state.discriminator.params, batch))
        | {"operations": work[1] * 3 // 4},  # the rest is the generator's loss
        "optimizer": time_in_place(
            lambda halves: optimize(halves, gradients), jax.tree.map(jnp.copy, halves)
        )
        | {"bytes": adam},
    }


def limits(dtype: str) -> dict[str, Row]:
    """What this device can do: a large matrix product, and a copy of much memory."""
    cpu = jax.default_backend() == "cpu"
    side, length = (2048, 2**26) if cpu else (8192, 2**28)
    matrix = jax.random.normal(jax.random.key(0), (side, side), dtype)
    product = jax.jit(jnp.matmul)
    copied = {"bytes": 2 * 4 * length}  # read, and written
    return {
        "matrix product": time_calls(lambda: product(matrix, matrix)) | {"operations": 2 * side**3},
        "copy": time_in_place(jax.jit(lambda x: x + 1, donate_argnums=0), jnp.ones(length))
        | copied,
    }


def time_calls(run: Callable[[], Any], turns: int = 7, least: float = 0.05) -> Row:
    """Seconds of a call, of a few turns.

    Args:
      run: what is called.
      turns: how many, after two calls that warm up.
      least: seconds of a turn: of so many calls, one queued behind the other, that what a call
        waits for on a GPU, and would not wait for within a step, is not counted.
    """

    def seconds(calls: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            last = run()
        jax.block_until_ready(last)
        return (time.perf_counter() - start) / calls

    seconds(1)
    calls = math.ceil(least / seconds(1))
    return spread_of([seconds(calls) for _ in range(turns)])


def time_in_place(change: Callable[[Any], Any], tree: Any) -> Row:
    """The same, of a function to which arrays are donated for what becomes of them."""

    def run() -> Any:
        nonlocal tree
        tree = change(tree)
        return tree

    return time_calls(run)


def time_data(batches: grain.MapDataset, count: int = 40, runs: int = 5) -> Row:
    """Seconds of a batch, as they come when they are waited for."""
    made, times = prefetch(batches, 0), []
    list(islice(made, 20))  # what was made ahead
    for _ in range(runs):
        start = time.perf_counter()
        list(islice(made, count))
        times.append((time.perf_counter() - start) / count)
    made.close()
    return spread_of(times)


def spread_of(times: list[float]) -> Row:
    """Their median and the quartiles around it."""
    low, middle, high = quartiles(times)
    return {"seconds": middle, "quartiles": [low, high]}


def bytes_of(batch: Example) -> Row:
    """How many bytes that is."""
    return {"bytes": sum(values.nbytes for values in batch.values())}


def noise_records(config: Config) -> list[dict]:
    """Pairs of noise, as files."""
    rng, size = np.random.default_rng(0), config.data.image_size
    images = [Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)) for _ in range(2 * PAIRS)]
    files = [encode_png(image) for image in images]
    return [{"name": str(i).encode(), "files": files[2 * i : 2 * i + 2]} for i in range(PAIRS)]
