"""Records to examples: a pair's images, decoded, resized and in the channels of the config."""

import numpy as np
from PIL import Image
from PIL.Image import Resampling

from pix2pix_jax.config.schema import Data
from pix2pix_jax.data.augment import crop_box, draw_crop
from pix2pix_jax.data.image_files import decode_pair
from pix2pix_jax.data.palettes import Palette, class_map
from pix2pix_jax.data.pixels import (
    convert_channels,
    image_to_float,
    image_to_uint8,
    resize_image,
    uint8_to_float,
)

# The arrays of one pair by name: `input` and `target` [h, w, c], or `photo` and `classes`. A batch
# has the same names, and one axis more in front.
Example = dict[str, np.ndarray]


def image_channels(data: Data) -> dict[str, int]:
    """The number of channels of the images of an example, by name."""
    return {"input": data.input_channels, "target": data.target_channels}


def decode_record(record: dict) -> tuple[Image.Image, Image.Image]:
    """A and B of a record, decoded, at their own size and in their own channels."""
    return decode_pair(record["files"], [record["name"].decode()] * len(record["files"]))


def decode_example(record: dict, data: Data, size: tuple[int, int]) -> Example:
    """Decodes and resizes both images of a pair.

    Args:
      record: of `open_split`.
      data: gives the direction, and the channels of the images.
      size: height and width of the result.

    Returns:
      `input` and `target` [h, w, c], uint8.
    """
    (height, width), (a, b) = size, decode_record(record)
    images = {"input": a, "target": b} if data.direction == "AtoB" else {"input": b, "target": a}
    return {
        name: image_to_uint8(resize_image(convert_channels(images[name], channels), (width, height)))
        for name, channels in image_channels(data).items()
    }


def training_example(record: dict, data: Data) -> Example:
    """Both images of a pair at load_size, uint8 [h, w, c], to be cropped (section 6.2)."""
    assert data.load_size is not None, "the config is not resolved"
    return decode_example(record, data, data.load_size)


def evaluation_example(record: dict, data: Data) -> Example:
    """Both images of a pair at image_size, [h, w, c] in [-1, 1]; nothing is random."""
    images = decode_example(record, data, data.image_size)
    return {name: uint8_to_float(image) for name, image in images.items()}


def labelled_example(
    record: dict, data: Data, palette: Palette, rng: np.random.Generator | None = None
) -> Example:
    """The photo of a pair, and the classes of its label map.

    Classes are read from the colours before the map is resized, so that no mixed colours arise.

    Args:
      record: of `open_split`; A is the photo, B the label map.
      data: gives the size of the result and the jitter.
      palette: the colours of the classes.
      rng: draws the jitter; None: both images are resized whole.

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
