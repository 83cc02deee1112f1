"""Trains the segmenter of the FCN-score on the real photos of a dataset."""

import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import cast

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from tensorflow_datasets.core import DatasetBuilder
from tqdm import tqdm

from pix2pix_jax.config.schema import Data
from pix2pix_jax.data.examples import Example, labelled_example
from pix2pix_jax.data.palettes import Palette
from pix2pix_jax.data.pipeline import open_split, prefetch, repeat_examples
from pix2pix_jax.models.unet import UNet
from pix2pix_jax.runtime.console import say


@dataclass(frozen=True)
class Recipe:
    """How a segmenter is trained.

    Attributes:
      features: of the first layer.
      batch_size: photos of an update.
      learning_rate: of the first update.
      steps: the number of updates.
    """

    features: int
    batch_size: int
    learning_rate: float
    steps: int


Update = Callable[[optax.Params, optax.OptState, Example], tuple[optax.Params, optax.OptState]]


def train_segmenter(
    network: UNet,
    data: Data,
    dataset: DatasetBuilder,
    palette: Palette,
    recipe: Recipe,
) -> dict:
    """Trains a segmenter with Adam, the learning rate falling to zero along a cosine.

    Args:
      network: gives logits of the classes.
      data: of a resolved config.
      dataset: prepared from it, with a training split.
      palette: of its label maps.
      recipe: of the training.

    Returns:
      The parameters.
    """
    steps = recipe.steps
    optimizer = optax.adam(optax.cosine_decay_schedule(recipe.learning_rate, steps))
    params = network.init(jax.random.key(0), jnp.zeros((1, *data.image_size, 3)))["params"]
    update = make_update(network, optimizer)
    say(f"training the segmenter of {data.name}, once for these pairs and this size: {steps} steps")
    opt_state = optimizer.init(params)
    start = time.monotonic()
    bar = tqdm(range(steps), unit="step", disable=not sys.stderr.isatty())
    with closing(training_batches(data, dataset, palette, recipe.batch_size)) as batches:
        for step, batch in zip(bar, batches, strict=False):
            params, opt_state = update(params, opt_state, batch)
            if step == 0:
                start = time.monotonic()  # The first step compiles and would spoil the estimate.
            elif bar.disable and step % (steps // 8) == 0:
                left = (steps - step) * (time.monotonic() - start) / step
                say(f"segmenter: step {step}/{steps}  {tqdm.format_interval(left)} left")
    return cast(dict, params)


def make_update(network: UNet, optimizer: optax.GradientTransformation) -> Update:
    """A compiled function of parameters, optimizer state and batch: one update of both."""

    def loss(params: dict, batch: Example) -> Array:
        logits = network.apply({"params": params}, batch["photo"])  # [b, h, w, classes]
        return classification_loss(cast(Array, logits), batch["classes"])

    def update(
        params: optax.Params, opt_state: optax.OptState, batch: Example
    ) -> tuple[optax.Params, optax.OptState]:
        updates, opt_state = optimizer.update(jax.grad(loss)(params, batch), opt_state)
        return optax.apply_updates(params, updates), opt_state

    return jax.jit(update, donate_argnums=(0, 1))


def classification_loss(logits: Array, classes: Array | np.ndarray) -> Array:
    """Mean cross-entropy of the pixels that count.

    Args:
      logits: [b, h, w, classes].
      classes: [b, h, w]; pixels of no class have a larger number than any class.
    """
    counts = classes < logits.shape[-1]
    integers = jnp.where(counts, classes, 0).astype(jnp.int32)
    errors = optax.softmax_cross_entropy_with_integer_labels(logits, integers)
    return (errors * counts).sum() / counts.sum().clip(1)


def training_batches(
    data: Data, dataset: DatasetBuilder, palette: Palette, batch_size: int
) -> grain.DatasetIterator[Example]:
    """Batches of `photo` and `classes`, jittered and mirrored as in the paper.

    The augmentation does not depend on the experiment, so all experiments share a segmenter.
    """
    jitter = tuple(round(side * 286 / 256) for side in data.image_size)
    data = replace(data, load_size=jitter, flip=True)
    records = open_split(dataset, "train")
    examples = repeat_examples(
        records, 0, lambda record, rng: labelled_example(record, data, palette, rng)
    )
    return prefetch(examples.batch(batch_size), 0)
