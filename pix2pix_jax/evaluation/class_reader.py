"""Reads the class of each pixel of targets and outputs, for the FCN-score (section 4.1).

A segmenter reads photos. The class of a pixel of a label map is decided by its colour (tables 5 and
6).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tensorflow_datasets.core import DatasetBuilder

from pix2pix_jax.config.schema import SPLITS, Data
from pix2pix_jax.data.examples import decode_record
from pix2pix_jax.data.images.palettes import PALETTES, Palette, best_palette, nearest_class
from pix2pix_jax.data.images.pixels import float_to_uint8
from pix2pix_jax.data.records import open_split
from pix2pix_jax.evaluation.segmenter import open_segmenter, segmenter_name
from pix2pix_jax.reports.evaluation import NEAREST_COLOUR

# Images at a larger distance from the palette are not label maps. A channel of RGB has 256 levels.
# The distance is 2 levels for the JPEGs of the public set, and many tens of levels for photos.
MAX_PALETTE_DISTANCE = 20


@dataclass(frozen=True)
class ClassReader:
    """Reads the class of every pixel of targets or outputs.

    Attributes:
      read: a function of images [b, h, w, 3] in [-1, 1] that returns their classes [b, h, w].
      palette: the palette of the label maps; a class is the index of its colour.
      name: the hash of the segmenter, or NEAREST_COLOUR. Only scores with the same reader name are
        comparable.
    """

    read: Callable[[np.ndarray], np.ndarray]
    palette: Palette
    name: str


def why_no_classes(data: Data, dataset: DatasetBuilder) -> str:
    """The reason why a dataset has no FCN-score, for a line; empty if there is a score."""
    if data.name not in PALETTES:
        return (
            f"data.name: {data.name} has no palette of classes (only {', '.join(PALETTES)} have a "
            "palette)"
        )
    if data.direction == "BtoA" and "train" not in dataset.info.splits:
        return f"data.source: {data.source} has no train/ to train a segmenter on"
    if data.target_channels != 3:
        return (
            f"data.target_channels: the FCN-score needs targets with 3 channels, not with "
            f"{data.target_channels}"
        )
    _, distance = _find_palette(data, dataset)
    if distance > MAX_PALETTE_DISTANCE:
        return (
            f"data.source: the label maps in {dataset.data_path} differ from the palette of "
            f"{data.name} by {distance:.0f} levels; A must be the photo, and B the label map in "
            "the colours of pix2pix_jax/data/images/palettes.py"
        )
    return ""


def may_need_segmenter(data: Data) -> bool:
    """Whether the FCN-score of a dataset is read by a segmenter. This reads no pairs."""
    return data.name in PALETTES and data.direction == "BtoA" and data.target_channels == 3


def note_without_classes(reason: str) -> str:
    """The line about a missing FCN-score.

    Args:
      reason: the reason that `why_no_classes` returned.
    """
    return f"the FCN-score is left out: {reason}"


def _find_palette(data: Data, dataset: DatasetBuilder) -> tuple[Palette, float]:
    """The palette of a dataset, and the distance of its first label maps from the palette."""
    first = next(split for split in SPLITS if split in dataset.info.splits)
    records = open_split(dataset, first)
    labels = [decode_record(records[index])[1] for index in range(min(8, len(records)))]
    return best_palette(PALETTES[data.name], labels)


def open_class_reader(
    data: Data, dataset: DatasetBuilder, way_out: str = "evaluate with --no_fcn_score"
) -> ClassReader:
    """Opens the class reader of a dataset; trains its segmenter if there is none yet.

    Args:
      data: the data of a resolved config, for which `why_no_classes` returns "".
      dataset: the dataset prepared from `data`.
      way_out: what the user can do without a segmenter, for the error line.

    Raises:
      UsageError: the segmenter is damaged or cannot be trained.
      OSError: the segmenter cannot be written.
    """
    palette, _ = _find_palette(data, dataset)
    if data.direction == "BtoA":
        segmenter = open_segmenter(data, dataset, palette, way_out)
        return ClassReader(segmenter.read, palette, segmenter.name)
    # Every pixel of an output gets a class, so no colour is ignored here.
    all_classes = palette._replace(ignored=())
    return ClassReader(
        lambda images: nearest_class(float_to_uint8(images), all_classes), palette, NEAREST_COLOUR
    )


def class_reader_name(data: Data, dataset: DatasetBuilder) -> str | None:
    """The name of the class reader of a dataset; finding the name trains no segmenter.

    Returns:
      None if the dataset has no FCN-score, or if the segmenter is damaged or not trained yet.
    """
    if why_no_classes(data, dataset):
        return None
    if data.direction == "AtoB":
        return NEAREST_COLOUR
    return segmenter_name(data, dataset, _find_palette(data, dataset)[0])
