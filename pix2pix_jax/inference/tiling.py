"""Fits images of any size to the generator: pads them, cuts them into tiles, or resizes them."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from pix2pix_jax.config.resolve import generator_depth
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.images.pixels import resize_image
from pix2pix_jax.inference.translator import BATCH_SIZE

OVERLAP = 4  # neighbouring tiles share at least 1 / OVERLAP of their side length


def side_multiple(config: Config) -> int:
    """The number that must divide both sides of an input; each level of a U-Net halves the sides.

    Args:
      config: the config of the run.
    """
    return 2 ** generator_depth(config)


def round_up(side: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is at least `side`."""
    return -(-side // multiple) * multiple


def pad_centered(
    image: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, tuple[slice, slice]]:
    """Pads an image equally on all sides by mirroring it at its edges.

    Args:
      image: [h, w, c].
      height: height of the padded image in pixels, at least h.
      width: width of the padded image in pixels, at least w.

    Returns:
      The padded image [height, width, c], and the slices (rows, columns) that cut `image` out.
    """
    h, w, _ = image.shape
    top, left = (height - h) // 2, (width - w) // 2
    margins = [(top, height - top - h), (left, width - left - w), (0, 0)]
    window = slice(top, top + h), slice(left, left + w)
    return np.pad(image, margins, "reflect"), window


def resize_array(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes an image as in training, channel by channel.

    Args:
      image: [h, w, c] in [-1, 1].
      height: new height in pixels.
      width: new width in pixels.

    Returns:
      [height, width, c], clipped to [-1, 1] because the filter overshoots at edges.
    """
    channels = (Image.fromarray(channel) for channel in np.moveaxis(image, -1, 0))
    resized = [np.asarray(resize_image(channel, (width, height))) for channel in channels]
    return np.clip(np.stack(resized, -1), -1, 1)


def translate_tiles(
    translate: Callable[[np.ndarray], np.ndarray], image: np.ndarray, side: int
) -> np.ndarray:
    """Translates an image tile by tile and blends the tiles where they overlap.

    Args:
      translate: translates tiles, [n, side, side, c] to [n, side, side, channels].
      image: [h, w, c] in [-1, 1].
      side: side of a tile in pixels.

    Returns:
      [h, w, channels] in [-1, 1].
    """
    height, width = (max(side, length) for length in image.shape[:2])
    padded, window = pad_centered(image, height, width)  # [height, width, c]
    tiles = [
        (slice(top, top + side), slice(left, left + side))
        for top in tile_starts(height, side)
        for left in tile_starts(width, side)
    ]
    ramp = blend_ramp(side)
    weight = (ramp[:, None] * ramp[None])[..., None]  # [side, side, 1]
    total, total_weight = None, np.zeros((height, width, 1), np.float32)
    # Overlapping tiles need more memory than the image, so they are cut and blended in batches.
    for first in range(0, len(tiles), BATCH_SIZE):
        batch = tiles[first : first + BATCH_SIZE]
        outputs = translate(np.stack([padded[tile] for tile in batch]))  # [n, side, side, channels]
        if total is None:
            total = np.zeros((height, width, outputs.shape[-1]), np.float32)
        for tile, output in zip(batch, outputs, strict=True):
            total[tile] += weight * output
            total_weight[tile] += weight
    assert total is not None  # An image has at least one tile.
    return (total / total_weight)[window]


def tile_starts(length: int, side: int) -> list[int]:
    """The first pixel of each tile along one axis; the tiles are evenly spaced.

    Args:
      length: length of the axis in pixels, at least `side`.
      side: side of a tile in pixels; neighbouring tiles share at least side // OVERLAP pixels.
    """
    count = 1 + -(-(length - side) // (side - side // OVERLAP))
    return [round(n * (length - side) / max(1, count - 1)) for n in range(count)]


def blend_ramp(side: int) -> np.ndarray:
    """The blending weights along one axis of a tile.

    Args:
      side: side of a tile in pixels.

    Returns:
      [side], float32: weights rise from both edges to 1 over the shared part of the tile.
    """
    edge = np.arange(side) + 0.5
    return np.minimum(1, np.minimum(edge, side - edge) / max(1, side // OVERLAP)).astype(np.float32)
