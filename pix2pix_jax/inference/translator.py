"""A generator of a run as a function of images, as `translate` and `demo` use it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import jax
import numpy as np

from pix2pix_jax.checkpoints.reader import read_network
from pix2pix_jax.config.schema import Config
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.gan.random import stream_key
from pix2pix_jax.models.unet import translate
from pix2pix_jax.runs.workdir import Workdir

BATCH_SIZE = 8  # on which, but for rounding, no result depends
Translator = Callable[[np.ndarray, int], np.ndarray]  # [b, h, w, c] and the number of a sample


def open_translator(
    config: Config,
    workdir: Workdir,
    step: int | Literal["best", "newest"],
    seed: int | None,
    noisy: bool,
) -> tuple[int, Translator]:
    """The step of a checkpoint, and its generator as a function of images and a sample's number.

    What becomes of an image is a function of it, the seed and that number alone.
    """
    step, params, _ = read_network(workdir, config, step)
    generator, params = make_generator(config), jax.device_put(params)
    seeded = config if seed is None else replace(config, seed=seed)
    key = stream_key(seeded, "translations")
    compiled: dict[tuple[int, ...], set[int]] = {}  # sizes of batches, by shape of an image

    @jax.jit
    def generate(params: dict, images: jax.Array, sample: int) -> jax.Array:
        keys = jax.random.fold_in(key, sample)[None].repeat(len(images))
        return translate(generator, params, images, keys if noisy else None)

    def run(images: np.ndarray, sample: int) -> np.ndarray:
        outputs = []
        for first in range(0, len(images), BATCH_SIZE):
            batch = images[first : first + BATCH_SIZE]
            sizes = compiled.setdefault(images.shape[1:], set())
            size = min((size for size in sizes if size >= len(batch)), default=len(batch))
            sizes.add(size)
            fill = np.repeat(batch[-1:], size - len(batch), 0)  # so that less is compiled
            filled = np.concatenate([batch, fill])
            outputs.append(np.asarray(generate(params, filled, sample))[: len(batch)])
        return np.concatenate(outputs)

    return step, run
