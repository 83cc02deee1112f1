"""A trained generator that translates batches of images, for `translate` and `demo`."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np

from pix2pix_jax.checkpoints.reader import read_network
from pix2pix_jax.config.initial_run import CheckpointStep
from pix2pix_jax.config.schema import Config
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.gan.random import stream_key
from pix2pix_jax.models.layers import Moments
from pix2pix_jax.models.unet import UNet, translate_each
from pix2pix_jax.runs.workdir import Workdir

BATCH_SIZE = 8  # the largest batch; the batch size changes results only by rounding


class Translator:
    """The generator of a checkpoint.

    The translation of an image depends only on the image, the seed and the number of the sample,
    not on the other images of a batch.

    Attributes:
      step: the step of the checkpoint.
    """

    def __init__(
        self,
        generator: UNet,
        params: dict,
        key: jax.Array | None,
        step: int,
        moments: Moments | None = None,
    ):
        """Puts the parameters on the device.

        Args:
          generator: the module.
          params: the parameters of the module.
          key: PRNG key of the dropout; None: no dropout.
          step: the step of the checkpoint.
          moments: the running statistics of all norms; None: each image has its own statistics.
        """
        self.step = step
        self._params, self._moments = jax.device_put((params, moments))
        self._key = key
        self._translate_batch = jax.jit(partial(_translate_batch, generator))
        # Batch sizes that are already compiled, by the shape of an image.
        self._batch_sizes: dict[tuple[int, ...], set[int]] = {}

    def translate(self, images: np.ndarray, sample: int) -> np.ndarray:
        """Translates images of one shape.

        Args:
          images: [b, h, w, c] in [-1, 1]; h and w are multiples of `side_multiple(config)`.
          sample: number of the sample; each number has its own dropout.

        Returns:
          [b, h, w, channels] in [-1, 1].
        """
        outputs = []
        for first in range(0, len(images), BATCH_SIZE):
            batch = images[first : first + BATCH_SIZE]
            size = self._choose_batch_size(batch)
            padding = np.repeat(batch[-1:], size - len(batch), 0)
            padded = np.concatenate([batch, padding])  # [size, h, w, c]
            output = self._translate_batch(self._params, padded, self._key, sample, self._moments)
            outputs.append(np.asarray(output)[: len(batch)])
        return np.concatenate(outputs)

    def _choose_batch_size(self, batch: np.ndarray) -> int:
        """The smallest compiled batch size that fits the batch, or else the size of the batch."""
        sizes = self._batch_sizes.setdefault(batch.shape[1:], set())
        size = min((size for size in sizes if size >= len(batch)), default=len(batch))
        sizes.add(size)
        return size


def open_translator(
    config: Config,
    workdir: Workdir,
    step: CheckpointStep,
    seed: int | None,
    use_dropout: bool,
    moments: Moments | None = None,
) -> Translator:
    """Restores the generator of a checkpoint.

    Args:
      seed: the seed of the dropout; None: the seed of the run.
      use_dropout: whether the generator uses dropout, as in the paper (section 3.1).
      moments: as in Translator.

    Raises:
      UsageError: the run has no such checkpoint.
    """
    network = read_network(workdir, config, step)
    seeded = config if seed is None else replace(config, seed=seed)
    key = stream_key(seeded, "translations") if use_dropout else None
    return Translator(make_generator(config), network.params, key, network.step, moments)


def _translate_batch(
    generator: UNet,
    params: dict,
    images: jax.Array,
    key: jax.Array | None,
    sample: int,
    moments: Moments | None,
) -> jax.Array:
    """Translates [b, h, w, c]; all images have the same dropout, or none if `key` is None."""
    keys = None if key is None else jax.random.fold_in(key, sample)[None].repeat(len(images))
    return translate_each(generator, params, images, keys, moments)
