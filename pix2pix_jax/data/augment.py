"""Random jitter (section 6.2): every image is cropped at random; half of the crops are mirrored."""

from typing import NamedTuple

import jax
import numpy as np
from jax import Array
from PIL import Image

from pix2pix_jax.config.resolve import load_size
from pix2pix_jax.config.schema import Data
from pix2pix_jax.data.images.pixels import ResizeBox, uint8_to_float


class Crop(NamedTuple):
    """The position of a random crop, and whether the crop is mirrored."""

    top: int  # in pixels
    left: int  # in pixels
    mirror: bool  # whether the crop is mirrored left to right


def draw_crop(data: Data, rng: np.random.Generator) -> Crop:
    """Draws a random crop; half of all crops are mirrored if data.flip is True."""
    top, left = (
        int(rng.integers(load - size + 1))
        for load, size in zip(load_size(data), data.image_size, strict=True)
    )
    return Crop(top, left, data.flip and rng.random() < 0.5)


def crop_image(image: np.ndarray, crop: Crop, data: Data) -> np.ndarray:
    """Crops an image [load height, load width, c] to [height, width, c] on the host."""
    height, width = data.image_size
    image = image[crop.top : crop.top + height, crop.left : crop.left + width]
    return image[:, ::-1] if crop.mirror else image


def crop_box(crop: Crop, data: Data, image: Image.Image) -> ResizeBox:
    """The box of a crop in an image that is not resized to load_size.

    Resizing this box to image_size resizes and crops the image in one step.

    Returns:
      Left, top, right and bottom in pixels of the image; they may be fractions.
    """
    (height, width), (load_height, load_width) = data.image_size, load_size(data)
    return (
        crop.left / load_width * image.width,
        crop.top / load_height * image.height,
        (crop.left + width) / load_width * image.width,
        (crop.top + height) / load_height * image.height,
    )


def crop_batch(pairs: dict[str, Array], crops: dict[str, Array], data: Data) -> dict[str, Array]:
    """Crops the images of a batch from the resident pairs, on the training device.

    Args:
      pairs: the pairs of `load_resident_pairs`, `input` and `target` [pairs, load height,
        load width, c], uint8.
      crops: a batch of `make_crop_batches`.

    Returns:
      A batch as from `make_image_batches`: `input` and `target` [b, h, w, c], uint8; and
      `index` [b].
    """
    crop_each = jax.vmap(lambda images, crop: _crop_resident_image(images, crop, data), (None, 0))
    images = {name: crop_each(images, crops) for name, images in pairs.items()}
    return images | {"index": crops["index"]}


def scale_batch(batch: dict[str, Array]) -> dict[str, Array]:
    """Scales the images of a batch to [-1, 1], on the device.

    Args:
      batch: `input` and `target` [b, h, w, c], either uint8, or float32 that is already scaled; and
        `index` [b], int32.

    Returns:
      `input` and `target` as float32, and `index`.
    """
    return {
        name: uint8_to_float(array) if array.dtype == np.uint8 else array
        for name, array in batch.items()
    }


def _crop_resident_image(images: Array, crop: dict[str, Array], data: Data) -> Array:
    """Crops image number crop["pair"] as `crop_image` does, but on the device."""
    height, width = data.image_size
    image = jax.lax.dynamic_slice(
        images[crop["pair"]], (crop["top"], crop["left"], 0), (height, width, images.shape[-1])
    )
    return jax.numpy.where(crop["mirror"], image[:, ::-1], image)
