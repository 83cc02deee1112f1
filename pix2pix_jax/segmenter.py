"""The network that reads generated photos for the FCN-score (section 4.1 of the paper).

The paper's is an FCN-8s for Caffe. Ours is a U-Net trained on the real photos of the training
split, once for a dataset and an image size, and kept beside the data. So its scores compare with
one another and with the row 'ground truth', not with those printed in the paper.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import Array
from safetensors import SafetensorError
from safetensors.numpy import load, save_file
from tensorflow_datasets.core import DatasetBuilder
from tqdm import tqdm

from pix2pix_jax import metrics
from pix2pix_jax.config import Data, UsageError, unet_depth
from pix2pix_jax.data.builders import fingerprint
from pix2pix_jax.data.images import to_uint8
from pix2pix_jax.data.palettes import PALETTES, Palette, nearest_class
from pix2pix_jax.data.pipeline import Example, labelled, open_split
from pix2pix_jax.files import locked
from pix2pix_jax.generator import UNet

Reader = Callable[[np.ndarray], np.ndarray]  # images [b, h, w, 3] in [-1, 1] to classes [b, h, w]
FEATURES, STEPS, BATCH_SIZE, LEARNING_RATE = 24, 2_000, 4, 2e-3


def open_reader(data: Data, dataset: DatasetBuilder) -> tuple[Reader, str]:
    """What tells the class of every pixel of a target, and a name for just this reader.

    Photos are read by the segmenter, which is trained here where it is not there yet; label maps
    (tables 5 and 6 of the paper) by their colours.

    Args:
      data: of a resolved config.
      dataset: prepared from it.

    Raises:
      UsageError: the dataset has no palette of classes, or targets are not RGB.
    """
    palette = PALETTES.get(data.name)
    if palette is None:
        raise UsageError(
            f"data.name: {data.name} has no palette of classes, so there is no FCN-score, only for "
            f"{', '.join(PALETTES)}; do without by --no_fcn_score, or by another train.best_metric"
        )
    if data.target_channels != 3:
        raise UsageError(
            f"data.target_channels: the FCN-score is read from 3 channels, not from "
            f"{data.target_channels}; do without by --no_fcn_score, or by another train.best_metric"
        )
    if data.direction == "AtoB":
        return lambda images: nearest_class(to_uint8(images), palette), "nearest colour"
    path = _path(data, dataset)
    with locked(path.parent, wait=True):
        if not path.exists():
            _write(path, *_train(data, dataset, palette))
        params, digest = _read(path)
    return partial(_segment, _segmenter(data, palette), params), digest


def _segment(segmenter: UNet, params: dict, images: np.ndarray) -> np.ndarray:
    return np.asarray(_logits(segmenter)(params, images).argmax(-1))  # [b, h, w]


@cache
def _logits(segmenter: UNet) -> Callable[[dict, Array], Array]:
    return jax.jit(lambda params, images: segmenter.apply({"params": params}, images))


def _segmenter(data: Data, palette: Palette) -> UNet:
    """Normalised image by image, so that none depends on its neighbours."""
    return UNet(
        channels=len(palette.classes),
        depth=unet_depth(*data.image_size, None),
        features=FEATURES,
        norm="instance",
        tanh=False,
    )


def _path(data: Data, dataset: DatasetBuilder) -> Path:
    """Where the segmenter of these pairs, this size and this recipe is kept."""
    recipe = [fingerprint(dataset), FEATURES, STEPS, BATCH_SIZE, LEARNING_RATE]
    digest = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]
    height, width = data.image_size
    name = f"{data.name}-{height}x{width}-{digest}.safetensors"
    return Path(data.data_dir).expanduser() / "segmenters" / name


def _train(data: Data, dataset: DatasetBuilder, palette: Palette) -> tuple[dict, dict[str, float]]:
    """Parameters, and the score of real photos of the validation split."""
    segmenter = _segmenter(data, palette)
    optimizer = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, STEPS))
    params = segmenter.init(jax.random.key(0), jnp.zeros((1, *data.image_size, 3)))["params"]

    def loss(params: dict, photo: Array, classes: Array, keys: Array) -> Array:
        logits = segmenter.apply({"params": params}, photo, keys)  # [b, h, w, classes]
        counts = classes < len(palette.classes)
        integers = jnp.where(counts, classes, 0).astype(jnp.int32)
        errors = optax.softmax_cross_entropy_with_integer_labels(logits, integers)
        return (errors * counts).sum() / counts.sum().clip(1)

    @partial(jax.jit, donate_argnums=(0, 1))
    def update(
        params: dict, opt_state: optax.OptState, batch: Example, step: Array
    ) -> tuple[dict, optax.OptState]:
        keys = jax.random.split(jax.random.fold_in(jax.random.key(1), step), BATCH_SIZE)
        gradient = jax.grad(loss)(params, batch["photo"], batch["classes"], keys)
        updates, opt_state = optimizer.update(gradient, opt_state)
        return optax.apply_updates(params, updates), opt_state

    print(f"training the segmenter of {data.name}, once for these pairs and this size", flush=True)
    opt_state = optimizer.init(params)
    bar = tqdm(range(STEPS), unit="step", disable=not sys.stderr.isatty())
    for step, batch in zip(bar, _batches(data, dataset, palette), strict=False):
        params, opt_state = update(params, opt_state, batch, np.int32(step))
    score = _score(partial(_segment, segmenter, params), data, open_split(dataset, "val"), palette)
    return params, score


def _batches(data: Data, dataset: DatasetBuilder, palette: Palette) -> Iterator[Example]:
    """Jittered and mirrored as in the paper, whatever the experiment does."""
    jitter = tuple(round(side * 286 / 256) for side in data.image_size)
    data = replace(data, load_size=jitter, flip=True)
    threads = grain.ReadOptions(num_threads=min(16, os.cpu_count() or 1), prefetch_buffer_size=16)
    return iter(
        grain.MapDataset.source(open_split(dataset, "train"))
        .seed(0)
        .shuffle()
        .repeat()
        .random_map(lambda record, rng: labelled(record, data, palette, rng))
        .batch(BATCH_SIZE)
        .to_iter_dataset(threads)
    )


def _score(read: Reader, data: Data, records: Sequence[dict], palette: Palette) -> dict[str, float]:
    counts = 0
    for index in range(len(records)):
        example = labelled(records[index], data, palette)
        found = read(example["photo"][None])
        counts += np.asarray(
            metrics.confusion(example["classes"][None], found, len(palette.classes))[0], np.int64
        )
    return metrics.fcn_score(counts)


def _write(path: Path, params: dict, score: dict[str, float]) -> None:
    tensors = {name: np.asarray(leaf) for name, leaf in flatten_dict(params, sep="/").items()}
    partial_path = path.with_suffix(".partial")
    save_file(tensors, partial_path, {"validation": json.dumps(score)})
    partial_path.rename(path)
    print(f"{path}: " + ", ".join(f"{name} {value:.3f}" for name, value in score.items()))


def _read(path: Path) -> tuple[dict, str]:
    content = path.read_bytes()
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise UsageError(
            f"{path}: is damaged ({error}); remove it, and the same command trains it again"
        ) from error
    return unflatten_dict(tensors, sep="/"), hashlib.sha256(content).hexdigest()
