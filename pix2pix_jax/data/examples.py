"""Turns a record into an example: decodes, converts and resizes its images."""

import numpy as np
from PIL import Image
from PIL.Image import Resampling

from pix2pix_jax.config.resolve import load_size
from pix2pix_jax.config.schema import Data
from pix2pix_jax.data.augment import crop_box, draw_crop
from pix2pix_jax.data.images.image_files import decode_pair
from pix2pix_jax.data.images.palettes import Palette, class_map
from pix2pix_jax.data.images.pixels import (
    convert_channels,
    image_to_float,
    image_to_uint8,
    resize_image,
    uint8_to_float,
)

# The arrays of one pair by name: `input` and `target` [h, w, c], or `photo` and `classes`.
Example = dict[str, np.ndarray]
# The arrays of a batch by name: the arrays of examples with a batch axis in front, or the crops of
# `pipeline.make_crop_batches`.
Batch = dict[str, np.ndarray]


def image_channels(data: Data) -> dict[str, int]:
    """The number of channels of each image by its name, "input" or "target"."""
    return {"input": data.input_channels, "target": data.target_channels}


def sides_by_role(data: Data) -> dict[str, str]:
    """The side, A or B, that each role has: the keys are "input" and "target"."""
    first, second = ("A", "B") if data.direction == "AtoB" else ("B", "A")
    return {"input": first, "target": second}


def decode_record(record: dict) -> tuple[Image.Image, Image.Image]:
    """Decodes A and B of a record, with the sizes and channels of their files."""
    return decode_pair(record["files"], [record["name"].decode()] * len(record["files"]))


def decode_example(record: dict, data: Data, size: tuple[int, int]) -> Example:
    """The `input` and `target` of a pair, resized to `size` (height, width): [h, w, c], uint8."""
    height, width = size
    a, b = decode_record(record)
    images, sides = {"A": a, "B": b}, sides_by_role(data)
    return {
        name: image_to_uint8(
            resize_image(convert_channels(images[sides[name]], channels), (width, height))
        )
        for name, channels in image_channels(data).items()
    }


def training_example(record: dict, data: Data) -> Example:
    """The `input` and `target` of a pair before the crop: [h, w, c] of load_size, uint8."""
    return decode_example(record, data, load_size(data))


def evaluation_example(record: dict, data: Data) -> Example:
    """The `input` and `target` of a pair without jitter: [h, w, c] of image_size in [-1, 1]."""
    images = decode_example(record, data, data.image_size)
    return {name: uint8_to_float(image) for name, image in images.items()}


def labelled_example(
    record: dict, data: Data, palette: Palette, rng: np.random.Generator | None = None
) -> Example:
    """The photo of a pair, and the classes of its label map.

    Colours become classes before the label map is resized, because resizing would mix colours.

    Args:
      record: a record of `open_split`; A is the photo, B the label map.
      data: gives the size of the result and the jitter.
      palette: the palette of the label map.
      rng: draws the jitter; None: no jitter.

    Returns:
      `photo` [h, w, 3] in [-1, 1], and `classes` [h, w], uint8.
    """
    photo, label = decode_record(record)
    photo, label = convert_channels(photo, 3), class_map(label, palette)
    crop = None if rng is None else draw_crop(data, rng)
    photo_box, label_box = (crop and crop_box(crop, data, image) for image in (photo, label))
    height, width = data.image_size
    example = {
        "photo": image_to_float(resize_image(photo, (width, height), photo_box)),
        "classes": np.asarray(resize_image(label, (width, height), label_box, Resampling.NEAREST)),
    }
    if crop is not None and crop.mirror:
        example = {name: array[:, ::-1] for name, array in example.items()}
    return example
