"""Estimates the time of a training step of a variant before the variant is run."""

import time
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from statistics import median

import jax
import jax.numpy as jnp

from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.schema import Config, Loss, Optimizer
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.description import describe, operations
from pix2pix_jax.gan.method import make_method
from pix2pix_jax.gan.random import step_key
from pix2pix_jax.gan.state import create_state
from pix2pix_jax.gan.step import train_step
from pix2pix_jax.runs.metrics_log import read_metrics
from pix2pix_jax.runs.workdir import SweepFolder
from pix2pix_jax.runtime.console import say
from pix2pix_jax.runtime.memory import explain_out_of_memory
from pix2pix_jax.sweeps.sweep_file import SweepPlan

describe_once = cache(describe)


class StepTimes:
    """The seconds of training steps: measured by the runs of a sweep, or else estimated."""

    def __init__(self, plan: SweepPlan, folder: SweepFolder) -> None:
        """Reads the speeds that the runs of a sweep have logged."""
        self._measured: dict[Config, float] = {}
        for name, config in plan.variants:
            lines = read_metrics(folder.workdir(name).metrics_file)
            rates = [line["images_per_second"] for line in lines if "images_per_second" in line]
            with suppress(UsageError):
                if rates:
                    # The first lines include compiling, but they hardly change the median.
                    seconds = 1 / (median(rates) / config.data.batch_size)
                    self._measured[without_seed(resolve(config))] = seconds

    def seconds(self, config: Config) -> float:
        """The seconds of a training step with a resolved config; the seed changes nothing."""
        config = without_seed(config)
        return self._measured.get(config) or estimate_seconds(config)


def without_seed(config: Config) -> Config:
    """The config with seed 0, so that configs that differ only in the seed become equal."""
    return replace(config, seed=0)


def estimate_seconds(config: Config) -> float:
    """Estimates the seconds of a training step with a resolved config.

    Times a step of the generator, and estimates the time of the discriminator from its number of
    operations.
    """
    generator, discriminator = operations(describe_once(config))
    # This config is the same for all discriminators, losses and learning rates, so it is timed only
    # once.
    generator_only = replace(
        config,
        model=replace(config.model, discriminator="pixel", discriminator_features=1),
        loss=Loss(gan="none"),
        optimizer=Optimizer(),
    )
    seconds = time_generator_step(generator_only)
    return seconds if config.loss.gan == "none" else seconds * (1 + discriminator / generator)


@cache
def time_generator_step(config: Config) -> float:
    """The seconds of the fastest of five training steps without a discriminator.

    The steps run on one device, with as many images as each device gets in training.
    """
    data, images = config.data, config.data.batch_size // jax.device_count()
    batch = {
        "input": jnp.zeros((images, *data.image_size, data.input_channels)),
        "target": jnp.zeros((images, *data.image_size, data.target_channels)),
        "index": jnp.zeros(images, jnp.int32),
    }
    step = jax.jit(partial(train_step, make_method(config)), donate_argnums=0)
    say("timing a step of the generator, which takes half a minute on a CPU")
    seconds = []
    with explain_out_of_memory():
        state = create_state(config)
        for _ in range(5):  # The first step compiles.
            start = time.perf_counter()
            state, metrics = step(state, batch, step_key(config, jnp.uint32(0)))
            jax.block_until_ready(metrics)
            seconds.append(time.perf_counter() - start)
    return min(seconds)
