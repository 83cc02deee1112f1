"""Who reads the classes out of outputs for the FCN-score, and whether anybody can."""

from typing import NamedTuple

from tensorflow_datasets.core import DatasetBuilder

from pix2pix_jax.config.schema import Data
from pix2pix_jax.data.examples import split_record
from pix2pix_jax.data.image_files import to_uint8
from pix2pix_jax.data.palettes import PALETTES, Palette, best_palette, nearest_class
from pix2pix_jax.data.pipeline import open_split
from pix2pix_jax.evaluation.segmenter import Read, open_segmenter, segmenter_name
from pix2pix_jax.reports.evaluation import NEAREST_COLOUR

ASTRAY = 20  # levels of RGB that label maps are at most from their palette; the public JPEGs are 2


class ClassReader(NamedTuple):
    """What reads the classes of targets."""

    read: Read
    palette: Palette  # of the label maps
    name: str  # of just this one: the hash of a segmenter, or BY_COLOUR


def why_no_classes(data: Data, dataset: DatasetBuilder) -> str:
    """Why there is no FCN-score for a dataset; empty where there is one."""
    if data.name not in PALETTES:
        return (
            f"data.name: {data.name} has no palette of classes, so there is no FCN-score; "
            f"{', '.join(PALETTES)} have one"
        )
    if data.direction == "BtoA" and "train" not in dataset.info.splits:
        return (
            f"data.source: {data.source} has no train/ that a segmenter could learn to read from, "
            "so there is no FCN-score"
        )
    if data.target_channels != 3:
        return f"data.target_channels: there is an FCN-score of 3, not of {data.target_channels}"
    _, astray = _palette(data, dataset)
    if astray > ASTRAY:
        return (
            f"data.source: what should be label maps in {dataset.data_path} is {astray:.0f} levels "
            f"from the colours of {data.name}, so there is no FCN-score; A has to be the photo and "
            "B the label map, in the colours of pix2pix_jax/data/palettes.py"
        )
    return ""


def _palette(data: Data, dataset: DatasetBuilder) -> tuple[Palette, float]:
    """The palette of a dataset, and how far the first label maps it has are from it."""
    first = next(split for split in ("train", "val", "test") if split in dataset.info.splits)
    records = open_split(dataset, first)
    labels = [split_record(records[index])[1] for index in range(min(8, len(records)))]
    return best_palette(PALETTES[data.name], labels)


def open_class_reader(data: Data, dataset: DatasetBuilder) -> ClassReader:
    """What reads targets: of photos the segmenter, which is trained here where there is none yet.

    Label maps (tables 5 and 6 of the paper) are read by their colours.

    Args:
      data: of a resolved config, and none that is `why_no_classes`.
      dataset: prepared from it.

    Raises:
      UsageError: the segmenter is damaged, or cannot be written or trained.
    """
    palette, _ = _palette(data, dataset)
    if data.direction == "AtoB":
        every_class = palette._replace(ignored=())  # an output has to be something
        return ClassReader(
            lambda images: nearest_class(to_uint8(images), every_class), palette, NEAREST_COLOUR
        )
    read, name = open_segmenter(data, dataset, palette)
    return ClassReader(read, palette, name)


def class_reader_name(data: Data, dataset: DatasetBuilder) -> str | None:
    """The name of what `open_class_reader` opens; None if it is not trained yet, or damaged.

    None as well where there is no FCN-score.
    """
    if why_no_classes(data, dataset):
        return None
    if data.direction == "AtoB":
        return NEAREST_COLOUR
    return segmenter_name(data, dataset, _palette(data, dataset)[0])
