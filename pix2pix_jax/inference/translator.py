"""A trained generator that translates batches of images, for `translate` and `demo`."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np

from pix2pix_jax.checkpoints.reader import read_network
from pix2pix_jax.config.schema import Config
from pix2pix_jax.evaluation.running_statistics import find_statistics
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.gan.random import stream_key
from pix2pix_jax.inference.options import TranslateOptions
from pix2pix_jax.models.layers import network_variables
from pix2pix_jax.models.running_statistics import moments_of
from pix2pix_jax.models.unet import UNet, translate_each
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.console import say

BATCH_SIZE = 8  # the largest batch; the batch size changes results only by rounding


class Translator:
    """The generator of a checkpoint.

    The translation of an image depends only on the image, the seed and the number of the sample,
    not on the other images of a batch.

    Attributes:
      step: the step of the checkpoint.
    """

    def __init__(
        self, generator: UNet, variables: dict[str, dict], key: jax.Array | None, step: int
    ):
        """Puts the variables on the device.

        Args:
          generator: the module.
          variables: as in `translate_each`.
          key: PRNG key of the dropout; None: no dropout.
          step: the step of the checkpoint.
        """
        self.step = step
        self._variables = jax.device_put(variables)
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
            output = self._translate_batch(self._variables, padded, self._key, sample)
            outputs.append(np.asarray(output)[: len(batch)])
        return np.concatenate(outputs)

    def _choose_batch_size(self, batch: np.ndarray) -> int:
        """The smallest compiled batch size that fits the batch, or else the size of the batch."""
        sizes = self._batch_sizes.setdefault(batch.shape[1:], set())
        size = min((size for size in sizes if size >= len(batch)), default=len(batch))
        sizes.add(size)
        return size


def open_translator(config: Config, workdir: Workdir, options: TranslateOptions) -> Translator:
    """Restores the generator of a checkpoint, with running statistics if the options ask for them.

    Args:
      config: the resolved config of the run.
      workdir: the workdir of the run.
      options: step, seed, dropout and running statistics.

    Raises:
      UsageError: the run has no such checkpoint, or its running statistics cannot be found.
    """
    network, moments = read_network(workdir, config, options.step), None
    if options.statistics is not None:
        step = network.step
        found = find_statistics(workdir, config, step, "generator", options.statistics)
        say(f"the norms use the {found.source}; there is no dropout")
        moments = moments_of(found.values)
    seeded = config if options.seed is None else replace(config, seed=options.seed)
    has_dropout = options.use_dropout and moments is None
    key = stream_key(seeded, "translations") if has_dropout else None
    variables = network_variables(network.params, moments)
    return Translator(make_generator(config), variables, key, network.step)


def _translate_batch(
    generator: UNet,
    variables: dict[str, dict],
    images: jax.Array,
    key: jax.Array | None,
    sample: int,
) -> jax.Array:
    """Translates [b, h, w, c]; all images have the same dropout, or none if `key` is None."""
    keys = None if key is None else jax.random.fold_in(key, sample)[None].repeat(len(images))
    return translate_each(generator, variables, images, keys)
