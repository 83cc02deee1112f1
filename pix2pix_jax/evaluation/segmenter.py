"""The network that reads generated photos for the FCN-score (section 4.1 of the paper).

The paper's is an FCN-8s for Caffe. Ours is a U-Net trained on the real photos of the training
split, once for a dataset and an image size, and kept beside the data. So its scores compare with
one another and with the row 'ground truth', not with those printed in the paper.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import Array
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from tensorflow_datasets.core import DatasetBuilder
from tqdm import tqdm

from pix2pix_jax.checkpoints.checksums import CorruptCheckpoint
from pix2pix_jax.config.resolve import halvings
from pix2pix_jax.config.schema import Data
from pix2pix_jax.data.augment import Example
from pix2pix_jax.data.builders import fingerprint
from pix2pix_jax.data.data_dir import DataDir
from pix2pix_jax.data.examples import labelled_example
from pix2pix_jax.data.palettes import Palette
from pix2pix_jax.data.pipeline import open_split, prefetch, repeat_examples
from pix2pix_jax.errors import UsageError
from pix2pix_jax.evaluation import metrics
from pix2pix_jax.models.unet import UNet
from pix2pix_jax.runtime.console import say
from pix2pix_jax.runtime.files import atomic_file
from pix2pix_jax.runtime.locks import folder_lock

FEATURES, BATCH_SIZE, LEARNING_RATE = 24, 2, 2e-3
# Real photos take longer to learn to read than drawn ones. With too few steps, what is painted from
# a label map is read more easily than the real thing, and the ground truth is no measure.
STEPS = {"synthetic_facades": 4_000, "facades": 12_000, "cityscapes": 12_000}
Read = Callable[[np.ndarray], np.ndarray]  # images [b, h, w, 3] in [-1, 1] to classes [b, h, w]


def open_segmenter(data: Data, dataset: DatasetBuilder, palette: Palette) -> tuple[Read, str]:
    """What tells the class of every pixel of photos, and its hash; trained here, if not there yet.

    Args:
      data: of a resolved config.
      dataset: prepared from it.
      palette: of its label maps.

    Raises:
      UsageError: it is damaged, or cannot be written or trained.
    """
    path = _path(data, dataset, palette)
    if not path.exists():
        _check_writable(path.parent)  # before all that training
        with folder_lock(path.parent, wait=True):
            if not path.exists():  # nor has it been trained while we waited
                _write(path, *_train(data, dataset, palette))
    params, name = _read(path)
    return partial(_segment, _segmenter(data, palette), params), name


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise UsageError(
            f"{folder}: cannot be written to, and the segmenter belongs there; give another "
            "--config.data.data_dir, or do without the FCN-score"
        )


def segmenter_name(data: Data, dataset: DatasetBuilder, palette: Palette) -> str | None:
    """The hash of what `open_segmenter` opens; None where it is not there yet, or damaged."""
    path = _path(data, dataset, palette)
    try:
        return _read(path)[1] if path.exists() else None
    except UsageError:
        return None


def _segment(segmenter: UNet, params: dict, images: np.ndarray) -> np.ndarray:
    return np.asarray(_logits(segmenter)(params, images).argmax(-1))  # [b, h, w]


@cache
def _logits(segmenter: UNet) -> Callable[[dict, Array], Array]:
    return jax.jit(lambda params, images: segmenter.apply({"params": params}, images))


def _segmenter(data: Data, palette: Palette) -> UNet:
    """Normalised image by image, so that none depends on its neighbours."""
    return UNet(
        channels=len(palette.classes),
        depth=min(8, halvings(*data.image_size)),
        features=FEATURES,
        norm="instance",
        tanh=False,
    )


def _path(data: Data, dataset: DatasetBuilder, palette: Palette) -> Path:
    """Where the segmenter of these pairs, this size and this recipe is kept."""
    recipe = [fingerprint(dataset), palette, FEATURES, BATCH_SIZE, LEARNING_RATE, STEPS[data.name]]
    digest = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]
    height, width = data.image_size
    name = f"{data.name}-{height}x{width}-{digest}"
    return DataDir.parse(data.data_dir).segmenter_file(name)


def _train(data: Data, dataset: DatasetBuilder, palette: Palette) -> tuple[dict, dict[str, float]]:
    """Parameters, and the score of real photos of the validation split."""
    segmenter, steps = _segmenter(data, palette), STEPS[data.name]
    optimizer = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, steps))
    params = segmenter.init(jax.random.key(0), jnp.zeros((1, *data.image_size, 3)))["params"]

    def loss(params: dict, batch: Example) -> Array:
        logits = segmenter.apply({"params": params}, batch["photo"])  # [b, h, w, classes]
        counts = batch["classes"] < len(palette.classes)
        integers = jnp.where(counts, batch["classes"], 0).astype(jnp.int32)
        errors = optax.softmax_cross_entropy_with_integer_labels(logits, integers)
        return (errors * counts).sum() / counts.sum().clip(1)

    @partial(jax.jit, donate_argnums=(0, 1))
    def update(
        params: dict, opt_state: optax.OptState, batch: Example
    ) -> tuple[dict, optax.OptState]:
        updates, opt_state = optimizer.update(jax.grad(loss)(params, batch), opt_state)
        return optax.apply_updates(params, updates), opt_state

    say(f"training the segmenter of {data.name}, once for these pairs and this size: {steps} steps")
    opt_state = optimizer.init(params)
    bar = tqdm(range(steps), unit="step", disable=not sys.stderr.isatty())
    with closing(_batches(data, dataset, palette)) as batches:
        for step, batch in zip(bar, batches, strict=False):
            params, opt_state = update(params, opt_state, batch)
            if step == 0:  # which compiles
                start = time.monotonic()
            elif bar.disable and step % (steps // 8) == 0:
                left = (steps - step) * (time.monotonic() - start) / step
                say(f"segmenter: step {step}/{steps}  {tqdm.format_interval(left)} left")
    return params, _score(
        partial(_segment, segmenter, params), data, open_split(dataset, "val"), palette
    )


def _batches(data: Data, dataset: DatasetBuilder, palette: Palette) -> Iterator[Example]:
    """Jittered and mirrored as in the paper, whatever the experiment does."""
    jitter = tuple(round(side * 286 / 256) for side in data.image_size)
    data = replace(data, load_size=jitter, flip=True)
    records = open_split(dataset, "train")
    examples = repeat_examples(
        records, 0, lambda record, rng: labelled_example(record, data, palette, rng)
    )
    return prefetch(examples.batch(BATCH_SIZE), 0)


def _score(read: Read, data: Data, records: Sequence[dict], palette: Palette) -> dict[str, float]:
    counts = 0
    for index in range(len(records)):
        example = labelled_example(records[index], data, palette)
        found = read(example["photo"][None])
        counts += np.asarray(
            metrics.confusion_counts(example["classes"][None], found, len(palette.classes))[0],
            np.int64,
        )
    return metrics.fcn_score(counts)


def _write(path: Path, params: dict, score: dict[str, float]) -> None:
    tensors = {name: np.asarray(leaf) for name, leaf in flatten_dict(params, sep="/").items()}
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise UsageError(f"{path}: its training has gone astray; look at the pairs")
    with atomic_file(path) as partial_path:
        save_file(tensors, partial_path, {"sha256": _hash(tensors), "real": json.dumps(score)})
    told = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in score.items())
    say(f"{path}: on real photos, {told}")


def _read(path: Path) -> tuple[dict, str]:
    """Parameters, and their hash."""
    try:
        with safe_open(path, "numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            digest = (file.metadata() or {}).get("sha256")
        if digest != _hash(tensors):
            raise CorruptCheckpoint("its hash is another")
    except (SafetensorError, CorruptCheckpoint) as error:
        raise UsageError(
            f"{path}: is damaged ({error}); remove it, and the same command trains it again"
        ) from error
    return unflatten_dict(tensors, sep="/"), digest


def _hash(tensors: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].shape} {tensors[name].dtype}".encode())
        digest.update(tensors[name].tobytes())
    return digest.hexdigest()
