"""What a sweep would run: its variants, their networks, how far they are and how long they take."""

import time
from contextlib import suppress
from dataclasses import replace
from functools import cache
from statistics import median

import jax
import jax.numpy as jnp

from pix2pix_jax.checkpoints.reader import saved_steps
from pix2pix_jax.config.experiments import Sweep
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.schema import Config, Loss
from pix2pix_jax.errors import UsageError
from pix2pix_jax.evaluation.summary import read_finished_evaluation
from pix2pix_jax.gan.random import step_key
from pix2pix_jax.gan.state import create_state
from pix2pix_jax.gan.step import make_train_step
from pix2pix_jax.gan.summary import describe, operations
from pix2pix_jax.runs.compatibility import check_devices
from pix2pix_jax.runs.metrics_log import read_metrics
from pix2pix_jax.runs.workdir import SweepFolder, Workdir
from pix2pix_jax.runtime.console import say
from pix2pix_jax.runtime.memory import explain_out_of_memory
from pix2pix_jax.sweeps.compatibility import check_runs


def to_text(plan: Sweep, folder: SweepFolder, split: str) -> str:
    """A line for every variant; one that cannot be built says why."""
    check_runs(plan, folder)
    lines = [
        plan.title,
        f"{'index':>5}  {'variant':32} {'generator':>12} {'discriminator':>14} {'field':>6} "
        f"{'steps':>9} {'training':>12}  state",
    ]
    total, speeds = 0.0, _speeds(plan, folder)
    for index, (name, config) in enumerate(plan.variants):
        text = f"{index:>5}  {name:32}"
        try:
            config = resolve(config)
            check_devices(config.data.batch_size)
            row = _of_any_seed(config)
            networks, seconds = _describe(row), speeds.get(row) or _seconds(row)
        except UsageError as error:
            lines.append(f"{text} cannot be built: {error}")
            continue
        step, state = _progress(config, folder.run(name), split)
        left = (config.train.steps - step) * seconds
        total += left
        generator, discriminator = networks["generator"], networks["discriminator"]
        size, field = discriminator["parameters"], discriminator["receptive_field"]
        if config.loss.gan == "none":
            size, field = 0, ""
        lines.append(
            f"{text} {generator['parameters']:>12,} {size:>14,} {field:>6} "
            f"{config.train.steps:>9,} {format_duration(left):>12}  {state}".rstrip()
        )
    lines.append(
        f"about {format_duration(total)} of training left, by what its runs took here so far, or "
        "else by a step of the generator; compiling and evaluating take a minute more for each, "
        "and, once for a dataset, its segmenter minutes to an hour on a CPU"
    )
    return "\n".join(lines)


def format_duration(seconds: float) -> str:
    """As people say it: 40 s, 12 min, 3 h 5 min, 2 d 4 h."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    if minutes < 60 * 48:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def _progress(config: Config, workdir: Workdir, split: str) -> tuple[int, str]:
    """The step that a variant has come to, and how to say it."""
    if read_finished_evaluation(config, workdir, split):
        return config.train.steps, "evaluated"
    step = min(max(saved_steps(workdir), default=0), config.train.steps)
    failed = "failed" if workdir.failure_file.exists() else ""
    return step, ", ".join(filter(None, (failed, f"at step {step:,}" if step else "")))


def _of_any_seed(config: Config) -> Config:
    return replace(config, seed=0)


def _speeds(plan: Sweep, folder: SweepFolder) -> dict[Config, float]:
    """Seconds a step of those that have run here, by their config."""
    speeds = {}
    for name, config in plan.variants:
        lines = read_metrics(folder.run(name).metrics_file)
        rates = [line["images_per_second"] for line in lines if "images_per_second" in line]
        with suppress(UsageError):
            if rates:
                # Of a stretch that is like most: not while programs were compiled.
                rate = median(rates) / config.data.batch_size
                speeds[_of_any_seed(resolve(config))] = 1 / rate
    return speeds


_describe = cache(describe)


def _seconds(config: Config) -> float:
    """What a step may take: one of the generator is timed, the discriminator's arithmetic added.

    Args:
      config: resolved.
    """
    generator, discriminator = operations(_describe(config))
    # Whatever there is to be told apart, the generator's step is the same, and compiled once.
    alone = replace(
        config,
        model=replace(config.model, discriminator="pixel", discriminator_features=1),
        loss=Loss(gan="none"),
    )
    seconds = _generator_seconds(alone)
    return seconds if config.loss.gan == "none" else seconds * (1 + discriminator / generator)


@cache
def _generator_seconds(config: Config) -> float:
    """Of a training step without a discriminator, the best of some, on one device."""
    data, images = config.data, config.data.batch_size // jax.device_count()
    batch = {
        "input": jnp.zeros((images, *data.image_size, data.input_channels)),
        "target": jnp.zeros((images, *data.image_size, data.target_channels)),
        "index": jnp.zeros(images, jnp.int32),
    }
    step = jax.jit(make_train_step(config), donate_argnums=0)
    say("timing a step of the generator, which takes half a minute on a CPU")
    seconds = []
    with explain_out_of_memory():
        state = create_state(config)
        for _ in range(5):  # the first of which compiles
            start = time.perf_counter()
            state, metrics = step(state, batch, step_key(config, 0))
            jax.block_until_ready(metrics)
            seconds.append(time.perf_counter() - start)
    return min(seconds)
