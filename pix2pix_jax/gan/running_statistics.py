"""Estimates the running statistics that a network would have if PyTorch had trained it."""

from collections.abc import Iterable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.augment import scale_batch
from pix2pix_jax.data.examples import Example
from pix2pix_jax.gan.networks import make_discriminator, make_generator
from pix2pix_jax.gan.random import stream_key
from pix2pix_jax.gan.step import Batch
from pix2pix_jax.models.layers import Moments
from pix2pix_jax.models.running_statistics import NormStatistics, Statistics, measure_statistics
from pix2pix_jax.runtime.console import progress_bar

# In a training step of the PyTorch code, the discriminator sees the generated images twice and the
# real images once: twice for its own update, and once for the update of the generator.
FAKE_WEIGHT, REAL_WEIGHT = 2 / 3, 1 / 3


def estimate_statistics(
    config: Config, params: dict[str, dict], batches: Iterable[Example], use_dropout: bool
) -> dict[str, Statistics]:
    """Averages the statistics of batches, as PyTorch's batch norms do during training.

    PyTorch's average weights the latest batches most. This average weights all batches equally, so
    it estimates the expected value of PyTorch's average.

    Args:
      config: the resolved config of the run.
      params: the parameters of "generator", and maybe those of "discriminator".
      batches: batches of training images, each of the size that shares statistics in training.
      use_dropout: whether the generator has dropout.

    Returns:
      The running statistics of the networks in `params`.
    """
    params, key = jax.device_put(params), stream_key(config, "running_statistics")
    totals: dict[str, Moments] | None = None
    count = 0
    for count, batch in enumerate(progress_bar(batches, desc="running averages", leave=False), 1):
        images = {name: batch[name] for name in ("input", "target")}
        step_key = jax.random.fold_in(key, count) if use_dropout else None
        moments = jax.device_get(measure_networks(config, params, images, step_key))
        # In float64, the sum of many batches loses no digits.
        wide = jax.tree.map(lambda value: value.astype(np.float64), moments)
        totals = wide if totals is None else jax.tree.map(np.add, totals, wide)
    assert totals is not None, "there is at least one batch"
    return {
        network: {
            norm: NormStatistics(
                mean=np.asarray(total["mean"] / count, np.float32),
                variance=np.asarray(total["variance"] / count, np.float32),
                num_batches=np.asarray(count, np.int64),
            )
            for norm, total in moments.items()
        }
        for network, moments in totals.items()
    }


@partial(jax.jit, static_argnums=0)
def measure_networks(
    config: Config, params: dict[str, dict], batch: Batch, key: Array | None
) -> dict[str, Moments]:
    """Measures the inputs of all norms on one batch.

    Args:
      config: the resolved config of the run.
      params: as in `estimate_statistics`.
      batch: `input` and `target` [b, h, w, c], uint8.
      key: PRNG key of the dropout; None: no dropout.

    Returns:
      The means and unbiased variances of the norms of each network.
    """
    batch = scale_batch(batch)
    keys = None if key is None else jax.random.split(key, len(batch["input"]))
    fake, moments = measure_statistics(
        make_generator(config), params["generator"], batch["input"], keys
    )
    found = {"generator": moments}
    if "discriminator" in params:
        found["discriminator"] = _measure_discriminator(
            config, params["discriminator"], batch, fake
        )
    return found


def _measure_discriminator(config: Config, params: dict, batch: Batch, fake: Array) -> Moments:
    """Measures the discriminator on the real and on the generated images, apart from each other."""
    measured = []
    for images in (fake, batch["target"]):
        if config.loss.conditional:
            images = jnp.concatenate([batch["input"], images], -1)
        measured.append(measure_statistics(make_discriminator(config), params, images)[1])
    return jax.tree.map(lambda fake, real: FAKE_WEIGHT * fake + REAL_WEIGHT * real, *measured)
