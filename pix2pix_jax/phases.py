"""What is timed of ours: whole steps as `train` makes them, and the parts of one."""

import time
from collections.abc import Callable
from itertools import islice
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from PIL import Image

from pix2pix_jax import losses
from pix2pix_jax.backend import check_backend
from pix2pix_jax.config import Config
from pix2pix_jax.data.images import as_png
from pix2pix_jax.data.pipeline import (
    Example,
    on_device,
    prefetched,
    taken,
    train_batches,
    train_choices,
)
from pix2pix_jax.describe import describe
from pix2pix_jax.discriminator import make_discriminator
from pix2pix_jax.generator import make_generator
from pix2pix_jax.plan import operations
from pix2pix_jax.train import shards, steps_a_call
from pix2pix_jax.train_step import (
    create_state,
    make_optimizer,
    on_devices,
    parallel_steps,
    step_key,
    update,
)
from pix2pix_jax.trial import Trial, resident_memory

PAIRS = 16  # of noise


def train(config: Config) -> Trial:
    """Steps of a resolved config, with the data that they need."""
    check_backend()
    records = noise_records(config)
    pairs = on_device(records, config.data)
    data = train_choices(config, len(records)) if pairs else train_batches(config, records)
    batches, size = prefetched(data, 0), steps_a_call(config)
    steps, state = parallel_steps(config, pairs), on_devices(create_state(config))
    parameters = tuple(count(half.params) for half in (state.generator, state.discriminator))

    def run(count: int) -> None:
        nonlocal state
        for _ in range(count // size):
            state, metrics = steps(state, shards(list(islice(batches, size))))
            if jax.default_backend() == "cpu":  # as `train` does
                jax.block_until_ready(metrics)
        jax.block_until_ready(state)

    return Trial(run, size, parameters, peak_memory)


def phases(config: Config) -> Trial:
    """The parts of a step: as a trial, whose memory is what it has measured."""
    check_backend()
    found: dict[str, Any] = {}
    return Trial(lambda _: found.update(parts(config)), 1, (0, 0), lambda: found)


def parts(config: Config) -> dict[str, Any]:
    """Seconds of every part of a step on one device, and what it does in them."""
    data, images = config.data, config.data.batch_size // jax.device_count()
    records = noise_records(config)
    host = train_batches(config, records)[0]
    batch = taken({}, {name: jnp.asarray(values[:images]) for name, values in host.items()}, data)
    generator, discriminator = make_generator(config), make_discriminator(config)
    discriminator = discriminator.clone(norm_images=images)
    state, optimizer = create_state(config), make_optimizer(config)
    keys = jax.vmap(lambda i: jax.random.fold_in(step_key(config, 0), i))(batch["index"])

    @jax.jit
    def generator_part(params: dict) -> Any:
        def loss(params: dict) -> Array:
            output = generator.apply({"params": params}, batch["input"], keys)
            return losses.l1(output, batch["target"])

        return jax.value_and_grad(loss)(params)

    @jax.jit
    def discriminator_part(params: dict) -> Any:
        def loss(params: dict) -> Array:
            pair = (
                [batch["input"], batch["target"]] if config.loss.conditional else [batch["target"]]
            )
            seen = jnp.concatenate([jnp.concatenate(pair, -1)] * 2)
            return jnp.square(discriminator.apply({"params": params}, seen)).mean()

        return jax.value_and_grad(loss)(params)

    halves = jax.device_put((state.generator, state.discriminator))
    both = lambda halves: tuple(update(half, half.params, optimizer) for half in halves)  # noqa: E731
    optimize = jax.jit(both, donate_argnums=0)

    def optimized() -> Any:
        nonlocal halves
        halves = optimize(halves)
        return halves

    def copied() -> Array:
        nonlocal vector
        vector = copy(vector)
        return vector

    cpu = jax.default_backend() == "cpu"
    side, length = (2048, 2**26) if cpu else (8192, 2**28)
    matrix = jax.random.normal(jax.random.key(0), (side, side), generator.dtype)
    product, vector = jax.jit(jnp.matmul), jnp.ones(length)
    copy = jax.jit(lambda x: x + 1, donate_argnums=0)  # into what was there
    summary, parameters = (
        describe(config),
        count(state.generator.params, state.discriminator.params),
    )
    generator_work, discriminator_work = (images * each for each in operations(summary))
    found = {
        "data on the host": {"seconds": seconds_of_data(train_batches(config, records))},
        "choices": {"seconds": seconds_of_data(train_choices(config, len(records)))},
        "host to device": {
            "seconds": seconds(lambda: jax.device_put(host)),
            "bytes": sum(values.nbytes for values in host.values()),
        },
        "generator": {
            "seconds": seconds(lambda: generator_part(state.generator.params)),
            "operations": generator_work,
        },
        "discriminator": {
            "seconds": seconds(lambda: discriminator_part(state.discriminator.params)),
            "operations": discriminator_work * 3 // 4,  # the rest is the generator's loss
        },
        # Parameters, both moments and gradients are read, all but the last written.
        "optimizer": {"seconds": seconds(optimized), "bytes": 7 * 4 * parameters},
        "matrix product": {
            "seconds": seconds(lambda: product(matrix, matrix)),
            "operations": 2 * side**3,
        },
        "copy": {"seconds": seconds(copied), "bytes": 2 * vector.nbytes},
    }
    found |= {"device": jax.devices()[0].device_kind}
    return found | {"step": {"operations": generator_work + discriminator_work}}


def seconds(run: Callable[[], Any], runs: int = 7) -> float:
    """The median of a few runs, after two that warm up."""
    times = []
    for _ in range(runs + 2):
        start = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - start)
    return median(times[2:])


def seconds_of_data(batches: Any, count: int = 100) -> float:
    """Of a batch, as prefetched."""
    with_threads = prefetched(batches, 0)
    list(islice(with_threads, 20))  # what was made ahead
    start = time.perf_counter()
    list(islice(with_threads, count))
    elapsed = time.perf_counter() - start
    with_threads.close()
    return elapsed / count


def noise_records(config: Config) -> list[Example]:
    """Pairs of noise, as files."""
    rng, size = np.random.default_rng(0), config.data.image_size
    images = [Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)) for _ in range(2 * PAIRS)]
    files = [as_png(image) for image in images]
    return [{"name": str(i).encode(), "files": files[2 * i : 2 * i + 2]} for i in range(PAIRS)]


def count(*trees: dict) -> int:
    """Parameters of networks."""
    return sum(leaf.size for leaf in jax.tree.leaves(trees))


def peak_memory() -> int:
    """Of the first device, or, of a CPU, of this process."""
    statistics = jax.local_devices()[0].memory_stats()
    return statistics["peak_bytes_in_use"] if statistics else resident_memory()
