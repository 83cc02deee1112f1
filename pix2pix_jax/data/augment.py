"""Random jitter (section 6.2): every image is cropped at random, and every second one mirrored."""

from typing import NamedTuple

import jax
import numpy as np
from jax import Array
from PIL import Image

from pix2pix_jax.config.schema import Data
from pix2pix_jax.data.pixels import ResizeBox, uint8_to_float


class Crop(NamedTuple):
    """Where an image of load_size is cropped to image_size, and whether it is then mirrored."""

    top: int  # in pixels
    left: int
    mirror: bool | int


def draw_crop(data: Data, rng: np.random.Generator) -> Crop:
    """Draws a crop at random; images are mirrored only if data.flip is set."""
    assert data.load_size is not None, "the config is not resolved"
    top, left = (
        int(rng.integers(load - size + 1))
        for load, size in zip(data.load_size, data.image_size, strict=True)
    )
    return Crop(top, left, data.flip and rng.random() < 0.5)


def crop_image(image: np.ndarray, crop: Crop, data: Data) -> np.ndarray:
    """Crops an image of load_size, on the host.

    Args:
      image: [load height, load width, c].
      crop: where to crop, and whether to mirror.
      data: gives the size of the result.

    Returns:
      [height, width, c].
    """
    height, width = data.image_size
    image = image[crop.top : crop.top + height, crop.left : crop.left + width]
    return image[:, ::-1] if crop.mirror else image


def crop_box(crop: Crop, data: Data, image: Image.Image) -> ResizeBox:
    """The box of a crop in the pixels of an image of any size.

    With the box an image is cropped and resized at once.
    """
    assert data.load_size is not None, "the config is not resolved"
    (height, width), (load_height, load_width) = data.image_size, data.load_size
    return (
        crop.left / load_width * image.width,
        crop.top / load_height * image.height,
        (crop.left + width) / load_width * image.width,
        (crop.top + height) / load_height * image.height,
    )


def crop_batch(pairs: dict[str, Array], batch: dict[str, Array], data: Data) -> dict[str, Array]:
    """Makes the images of a batch, on the device that trains on them.

    Args:
      pairs: `input` and `target` [pairs, load height, load width, c], uint8, of
        `load_resident_pairs`; empty if the batch has its own images.
      batch: of `make_crop_batches`, to crop from `pairs`; or of `make_image_batches`, whose images
        may also be floats already.
      data: gives the size of the result.

    Returns:
      `input` and `target` [b, h, w, c] in [-1, 1], float32; and `index` [b].
    """
    if pairs:
        crop_each = jax.vmap(lambda images, crop: _crop_pair(images, crop, data), (None, 0))
        images = {name: crop_each(images, batch) for name, images in pairs.items()}
        batch = images | {"index": batch["index"]}
    return {
        name: uint8_to_float(array) if array.dtype == np.uint8 else array
        for name, array in batch.items()
    }


def _crop_pair(images: Array, crop: dict[str, Array], data: Data) -> Array:
    """`crop_image` as a program for the device, of image number crop["pair"]."""
    height, width = data.image_size
    image = jax.lax.dynamic_slice(
        images[crop["pair"]], (crop["top"], crop["left"], 0), (height, width, images.shape[-1])
    )
    return jax.numpy.where(crop["mirror"], image[:, ::-1], image)
