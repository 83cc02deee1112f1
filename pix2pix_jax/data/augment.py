"""Random jitter: where an image is cut, and whether it is mirrored (section 6.2)."""

import jax
import numpy as np
from PIL import Image

from pix2pix_jax.config.schema import Data
from pix2pix_jax.data.image_files import as_float

Example = dict[str, np.ndarray]
Box = tuple[float, ...]  # left, top, right, bottom in parts of an image's width and height
WHOLE = (0.0, 0.0, 1.0, 1.0)


def crop_batch(pairs: dict, batch: dict, data: Data) -> dict:
    """Images of a batch [b, h, w, c] in [-1, 1], cut from resident pairs if there are any.

    Args:
      pairs: of `load_resident_pairs`; empty: the batch has its images.
      batch: of `train_choices` or `train_batches`.
    """
    if pairs:
        cut = jax.vmap(lambda images, choice: crop(images[choice["pair"]], choice, data), (None, 0))
        batch = {name: cut(images, batch) for name, images in pairs.items()} | {
            "index": batch["index"]
        }
    of_bytes = {name: values for name, values in batch.items() if values.dtype == np.uint8}
    return batch | {name: as_float(values) for name, values in of_bytes.items()}


def crop(image: np.ndarray, choice: Example, data: Data) -> np.ndarray:
    """The part of an image [h, w, c] that a choice says, mirrored if it says so."""
    (height, width), (top, left) = data.image_size, (choice["top"], choice["left"])
    if isinstance(image, np.ndarray):
        image = image[top : top + height, left : left + width]
        return image[:, ::-1] if choice["mirror"] else image
    image = jax.lax.dynamic_slice(image, (top, left, 0), (height, width, image.shape[-1]))
    return jax.numpy.where(choice["mirror"], image[:, ::-1], image)


def draw_jitter(data: Data, rng: np.random.Generator) -> tuple[int, int, bool]:
    """Where to cut an image of load_size, from top and left, and whether to mirror it."""
    top, left = (
        int(rng.integers(load - size + 1))
        for load, size in zip(data.load_size, data.image_size, strict=True)
    )
    return top, left, data.flip and rng.random() < 0.5


def jitter_box(data: Data, top: int, left: int, mirror: bool) -> tuple[Box, bool]:
    """The same of an image of any size."""
    height, width = data.image_size
    box = left, top, left + width, top + height
    return tuple(x / side for x, side in zip(box, data.load_size[::-1] * 2, strict=True)), mirror


def size_for_pillow(data: Data) -> tuple[int, int]:
    """Width and height, as Pillow has it."""
    return data.image_size[::-1]


def box_in_pixels(box: Box, image: Image.Image) -> tuple[float, ...]:
    """The box in the pixels of a file, so that it is cropped and resized in one."""
    return tuple(x * side for x, side in zip(box, image.size * 2, strict=True))
