"""Images of any size for a network of one size: padded, cut into tiles, or scaled."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from pix2pix_jax.data.image_files import resize
from pix2pix_jax.inference.translator import BATCH_SIZE

OVERLAP = 4  # the part of a tile's side that it shares with its neighbour is one of so many


def pad_centered(
    image: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, tuple[slice, slice]]:
    """An image in the middle of a larger one, mirrored at its edges; and where it lies.

    Args:
      image: [h, w, c].
      height, width: of the larger one.
    """
    h, w, _ = image.shape
    before = (height - h) // 2, (width - w) // 2
    widths = [
        (b, to - b - side) for b, to, side in zip(before, (height, width), (h, w), strict=True)
    ]
    place = slice(before[0], before[0] + h), slice(before[1], before[1] + w)
    return np.pad(image, [*widths, (0, 0)], "reflect"), place


def resize_array(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """An image [h, w, c] at another size, each channel by itself, as training scales it."""
    channels = (Image.fromarray(channel) for channel in np.moveaxis(image, -1, 0))
    channels = [np.asarray(resize(channel, (width, height))) for channel in channels]
    return np.clip(np.stack(channels, -1), -1, 1)


def round_up(side: int, multiple: int) -> int:
    """The next multiple."""
    return -(-side // multiple) * multiple


def translate_tiles(
    translate: Callable[[np.ndarray], np.ndarray], image: np.ndarray, side: int
) -> np.ndarray:
    """Translates an image tile by tile, and blends them where they overlap.

    Args:
      translate: of tiles, [n, side, side, c].
      image: [h, w, c].
      side: of a tile.
    """
    large, place = pad_centered(image, *(max(side, n) for n in image.shape[:2]))
    corners = [
        (top, left)
        for top in tile_starts(large.shape[0], side)
        for left in tile_starts(large.shape[1], side)
    ]
    weight = blend_ramp(side)
    weight = (weight[:, None] * weight[None])[..., None]
    total, weights = 0, np.zeros((*large.shape[:2], 1), np.float32)
    for first in range(0, len(corners), BATCH_SIZE):  # all at once, they would be larger than it
        places = [
            (slice(top, top + side), slice(left, left + side))
            for top, left in corners[first : first + BATCH_SIZE]
        ]
        outputs = translate(np.stack([large[where] for where in places]))  # [n, side, side, c]
        if first == 0:
            total = np.zeros((*large.shape[:2], outputs.shape[-1]), np.float32)
        for where, output in zip(places, outputs, strict=True):
            total[where] += weight * output
            weights[where] += weight
    return (total / weights)[place]


def tile_starts(length: int, side: int) -> list[int]:
    """Where tiles begin, evenly, so that neighbours share a part of their sides."""
    count = 1 + -(-(length - side) // (side - side // OVERLAP))
    return [round(n * (length - side) / max(1, count - 1)) for n in range(count)]


def blend_ramp(side: int) -> np.ndarray:
    """How much a tile counts: rising from its edge over what it shares, then 1."""
    edge = np.arange(side) + 0.5
    return np.minimum(1, np.minimum(edge, side - edge) / max(1, side // OVERLAP)).astype(np.float32)
