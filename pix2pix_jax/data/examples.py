"""Records to examples: both images of a pair, decoded and resized."""

import numpy as np
from PIL import Image
from PIL.Image import Resampling

from pix2pix_jax.config.schema import Data
from pix2pix_jax.data.augment import (
    WHOLE,
    Example,
    box_in_pixels,
    draw_jitter,
    jitter_box,
    size_for_pillow,
)
from pix2pix_jax.data.image_files import (
    as_float,
    convert_channels,
    resize,
    split_pair,
    to_float,
    to_pixels,
)
from pix2pix_jax.data.palettes import Palette, class_map


def resize_pair(record: dict, data: Data) -> Example:
    """Both images of a pair at load_size, uint8 [h, w, c], of which training sees parts (6.2)."""
    return decode_pair(record, data, data.load_size)


def evaluation_example(record: dict, data: Data) -> Example:
    """An example to look at or measure: resized to image_size, in [-1, 1], nothing random."""
    return {
        name: as_float(image) for name, image in decode_pair(record, data, data.image_size).items()
    }


def labelled_example(
    record: dict, data: Data, palette: Palette, rng: np.random.Generator | None = None
) -> Example:
    """The photo of a pair and the classes of its label map, jittered where there is an `rng`.

    Classes are told apart by colour before the map is resized, so that no mixed colours arise.

    Returns:
      `photo` [h, w, 3] in [-1, 1] and `classes` [h, w], uint8.
    """
    photo, label = split_record(record)
    box, mirror = (WHOLE, False) if rng is None else jitter_box(data, *draw_jitter(data, rng))
    label = class_map(label, palette)
    classes = np.asarray(
        resize(label, size_for_pillow(data), box_in_pixels(box, label), Resampling.NEAREST)
    )
    photo = to_float(
        resize(convert_channels(photo, 3), size_for_pillow(data), box_in_pixels(box, photo))
    )
    example = {"photo": photo, "classes": classes}
    return {name: value[:, ::-1] for name, value in example.items()} if mirror else example


def decode_pair(record: dict, data: Data, size: tuple[int, int]) -> Example:
    """Both images of a pair at a size (height, width), uint8 [h, w, c], as input and target."""
    a, b = split_record(record)
    channels = {"input": data.input_channels, "target": data.target_channels}
    images = (a, b) if data.direction == "AtoB" else (b, a)
    return {
        name: to_pixels(resize(convert_channels(image, c), size[::-1]))
        for (name, c), image in zip(channels.items(), images, strict=True)
    }


def split_record(record: dict) -> tuple[Image.Image, Image.Image]:
    """A and B of a record, as they were found."""
    return split_pair(record["files"], [record["name"].decode()] * len(record["files"]))
