"""The network that reads the classes of generated photos for the FCN-score (section 4.1).

The paper uses an FCN-8s for Caffe. This project trains a U-Net on the real photos of the training
split, once for a dataset and an image size, and keeps the U-Net in the data folder. So the scores
of this project are comparable with one another, but not with the scores of the paper.
"""

import hashlib
import json
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import cast

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import Array
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from tensorflow_datasets.core import DatasetBuilder

from pix2pix_jax.config.resolve import halvings
from pix2pix_jax.config.schema import Data
from pix2pix_jax.data.data_dir import DataDir
from pix2pix_jax.data.examples import labelled_example
from pix2pix_jax.data.fingerprint import dataset_fingerprint
from pix2pix_jax.data.images.palettes import Palette
from pix2pix_jax.data.records import open_split
from pix2pix_jax.errors import UsageError
from pix2pix_jax.evaluation.fcn_score import confusion_matrices, fcn_score
from pix2pix_jax.evaluation.segmenter_training import Recipe, train_segmenter
from pix2pix_jax.models.layers import NormSettings
from pix2pix_jax.models.unet import UNet
from pix2pix_jax.runtime.console import say
from pix2pix_jax.runtime.storage.files import atomic_file, check_writable
from pix2pix_jax.runtime.storage.locks import folder_lock

FEATURES, BATCH_SIZE, LEARNING_RATE = 24, 2, 2e-3
# Real photos need more steps than drawn photos. After too few steps, a segmenter reads generated
# photos better than real photos, so the score of the ground truth would be no upper bound.
STEPS = {"synthetic_facades": 4_000, "facades": 12_000, "cityscapes": 12_000}


@dataclass(frozen=True)
class Segmenter:
    """A trained segmenter.

    Attributes:
      network: returns logits of the classes.
      params: the parameters of the network.
      name: the hash of the parameters.
    """

    network: UNet
    params: dict
    name: str

    def read(self, images: np.ndarray) -> np.ndarray:
        """Predicts the classes [b, h, w] of images [b, h, w, 3] in [-1, 1]."""
        return np.asarray(_logits(self.network, self.params, images).argmax(-1))


@partial(jax.jit, static_argnums=0)
def _logits(network: UNet, params: dict, images: np.ndarray) -> Array:
    return cast(Array, network.apply({"params": params}, images))  # [b, h, w, classes]


def open_segmenter(
    data: Data, dataset: DatasetBuilder, palette: Palette, way_out: str
) -> Segmenter:
    """Opens the segmenter of a dataset; trains it if there is none yet.

    Args:
      data: the data of a resolved config.
      dataset: the dataset prepared from `data`.
      palette: the palette of the label maps.
      way_out: what the user can do without a segmenter, for the error line.

    Raises:
      UsageError: the segmenter is damaged or cannot be trained.
      OSError: the segmenter cannot be written.
    """
    path, network = segmenter_path(data, dataset, palette), make_network(data, palette)
    if not path.exists():
        check_writable(path.parent)  # An error must come before the long training.
        with folder_lock(path.parent, wait=True):
            if not path.exists():  # Another process may have trained the segmenter meanwhile.
                params = train_segmenter(network, data, dataset, palette, make_recipe(data))
                score = score_real_photos(Segmenter(network, params, ""), data, dataset, palette)
                write_segmenter(path, params, score, way_out)
    params, name = read_segmenter(path)
    return Segmenter(network, params, name)


def segmenter_name(data: Data, dataset: DatasetBuilder, palette: Palette) -> str | None:
    """The hash of the segmenter of a dataset; None if it is not trained yet or is damaged."""
    path = segmenter_path(data, dataset, palette)
    try:
        return read_segmenter(path)[1] if path.exists() else None
    except UsageError:
        return None


def segmenter_path(data: Data, dataset: DatasetBuilder, palette: Palette) -> Path:
    """The path of a segmenter's file, which depends on pairs, palette, image size and recipe."""
    recipe = [dataset_fingerprint(dataset), palette, *astuple(make_recipe(data))]
    digest = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]
    height, width = data.image_size
    return DataDir.parse(data.data_dir).segmenter_file(f"{data.name}-{height}x{width}-{digest}")


def make_recipe(data: Data) -> Recipe:
    """Makes the training settings for the segmenter of a dataset."""
    return Recipe(FEATURES, BATCH_SIZE, LEARNING_RATE, STEPS[data.name])


def make_network(data: Data, palette: Palette) -> UNet:
    """Makes the network of a segmenter, without parameters.

    With instance norm, the classes of an image do not depend on the other images of a batch.
    """
    return UNet(
        channels=len(palette.classes),
        depth=min(8, halvings(*data.image_size)),
        features=FEATURES,
        norm=NormSettings("instance"),
        tanh=False,
    )


def score_real_photos(
    segmenter: Segmenter, data: Data, dataset: DatasetBuilder, palette: Palette
) -> dict[str, float]:
    """Measures the FCN-score of the real photos of the validation split."""
    records, classes = open_split(dataset, "val"), len(palette.classes)
    counts = np.zeros((classes, classes), np.int64)
    for index in range(len(records)):
        example = labelled_example(records[index], data, palette)
        predicted = segmenter.read(example["photo"][None])
        counts += np.asarray(confusion_matrices(example["classes"][None], predicted, classes)[0])
    return fcn_score(counts)


def write_segmenter(path: Path, params: dict, score: dict[str, float], way_out: str) -> None:
    """Writes a segmenter: its parameters, their hash, and its scores on real photos.

    Raises:
      UsageError: a parameter is not finite.
    """
    tensors = {name: np.asarray(leaf) for name, leaf in flatten_dict(params, sep="/").items()}
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise UsageError(
            f"{path}: the segmenter was not saved, because its training diverged",
            f"give pairs in which A is the photo and B the label map, or {way_out}",
        )
    with atomic_file(path) as new_path:
        save_file(tensors, new_path, {"sha256": _hash(tensors), "real": json.dumps(score)})
    scores = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in score.items())
    say(f"{path}: the segmenter is trained; its scores on real photos: {scores}")


def read_segmenter(path: Path) -> tuple[dict, str]:
    """Reads the parameters of a segmenter, and their hash.

    Raises:
      UsageError: the file is damaged.
    """
    try:
        with safe_open(path, "numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            digest = (file.metadata() or {}).get("sha256")
        if digest is None or digest != _hash(tensors):
            raise _damaged_segmenter(path, "its hash does not match")
    except SafetensorError as error:
        raise _damaged_segmenter(path, "it is not a safetensors file") from error
    return unflatten_dict(tensors, sep="/"), digest


def _damaged_segmenter(path: Path, reason: str) -> UsageError:
    return UsageError(
        f"{path}: is damaged ({reason})",
        "remove this file and run the same command again, which trains the segmenter again",
    )


def _hash(tensors: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].shape} {tensors[name].dtype}".encode())
        digest.update(tensors[name].tobytes())
    return digest.hexdigest()
