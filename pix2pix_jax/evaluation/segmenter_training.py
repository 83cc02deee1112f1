"""Trains the segmenter of the FCN-score on the real photos of a dataset."""

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
from pix2pix_jax.data.examples import Batch, labelled_example
from pix2pix_jax.data.images.palettes import Palette
from pix2pix_jax.data.pipeline import prefetch, repeat_examples
from pix2pix_jax.data.records import open_split
from pix2pix_jax.models.unet import UNet
from pix2pix_jax.runtime.console import progress_bar, say


@dataclass(frozen=True)
class Recipe:
    """The training settings of a segmenter.

    Attributes:
      features: number of features of the first layer.
      batch_size: photos in a batch.
      learning_rate: learning rate of the first step.
      steps: number of steps.
    """

    features: int
    batch_size: int
    learning_rate: float
    steps: int


Update = Callable[[optax.Params, optax.OptState, Batch], tuple[optax.Params, optax.OptState]]


def train_segmenter(
    network: UNet,
    data: Data,
    dataset: DatasetBuilder,
    palette: Palette,
    recipe: Recipe,
) -> dict:
    """Trains a segmenter with Adam and a learning rate that falls to zero along a cosine.

    Args:
      network: returns logits of the classes.
      data: the data of a resolved config.
      dataset: the dataset prepared from `data`, with a training split.
      palette: the palette of the label maps.
      recipe: the settings of the training.

    Returns:
      The parameters of the network.
    """
    steps = recipe.steps
    optimizer = optax.adam(optax.cosine_decay_schedule(recipe.learning_rate, steps))
    params = network.init(jax.random.key(0), jnp.zeros((1, *data.image_size, 3)))["params"]
    update = make_update(network, optimizer)
    say(
        f"training a segmenter for {steps} steps; later evaluations with these pairs and this "
        "image size use the same segmenter"
    )
    opt_state = optimizer.init(params)
    start = time.monotonic()
    bar = progress_bar(range(steps), unit="step")
    with closing(training_batches(data, dataset, palette, recipe.batch_size)) as batches:
        for step, batch in zip(bar, batches, strict=False):
            params, opt_state = update(params, opt_state, batch)
            if step == 0:
                start = time.monotonic()  # The first step is not timed, because it compiles.
            elif bar.disable and step % (steps // 8) == 0:
                seconds_left = (steps - step) * (time.monotonic() - start) / step
                say(f"segmenter: step {step}/{steps}  {tqdm.format_interval(seconds_left)} left")
    return cast(dict, params)


def make_update(network: UNet, optimizer: optax.GradientTransformation) -> Update:
    """Makes a compiled training step.

    Returns:
      A function of parameters, optimizer state and a batch; it returns the new parameters and the
      new state.
    """

    def loss(params: dict, batch: Batch) -> Array:
        logits = network.apply({"params": params}, batch["photo"])  # [b, h, w, classes]
        return classification_loss(cast(Array, logits), batch["classes"])

    def update(
        params: optax.Params, opt_state: optax.OptState, batch: Batch
    ) -> tuple[optax.Params, optax.OptState]:
        updates, opt_state = optimizer.update(jax.grad(loss)(params, batch), opt_state)
        return optax.apply_updates(params, updates), opt_state

    return jax.jit(update, donate_argnums=(0, 1))


def classification_loss(logits: Array, classes: Array | np.ndarray) -> Array:
    """The mean cross-entropy of all pixels that have a class.

    Args:
      logits: [b, h, w, classes].
      classes: [b, h, w], the true class of each pixel. Pixels without a class have a number that is
        larger than every class.
    """
    has_class = classes < logits.shape[-1]  # [b, h, w]
    labels = jnp.where(has_class, classes, 0).astype(jnp.int32)
    errors = optax.softmax_cross_entropy_with_integer_labels(logits, labels)  # [b, h, w]
    return (errors * has_class).sum() / has_class.sum().clip(1)


def training_batches(
    data: Data, dataset: DatasetBuilder, palette: Palette, batch_size: int
) -> grain.DatasetIterator[Batch]:
    """Makes endless batches of `photo` and `classes`, with the paper's jitter (section 6.2).

    The jitter does not depend on the config, so that all runs on a dataset share one segmenter.
    """
    paper = Data()
    data = replace(data, load_size=None, load_scale=paper.load_scale, flip=paper.flip)
    records = open_split(dataset, "train")
    examples = repeat_examples(
        records, 0, lambda record, rng: labelled_example(record, data, palette, rng)
    )
    return prefetch(examples.batch(batch_size), 0)
