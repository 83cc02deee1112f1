"""Fits images of any size to the generator: pads them, cuts them into tiles, or resizes them."""

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from pix2pix_jax.data.images.large_image import ImageValues
from pix2pix_jax.data.images.pixels import resize_image
from pix2pix_jax.inference.translator import BATCH_SIZE

OVERLAP = 4  # neighbouring tiles share at least 1 / OVERLAP of their side length


def pad_centered(
    image: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, tuple[slice, slice]]:
    """Pads an image equally on all sides by mirroring it at its edges.

    Args:
      image: [h, w, c].
      height, width: size of the padded image in pixels, at least h and w.

    Returns:
      The padded image [height, width, c], and the slices (rows, columns) that cut `image` out.
    """
    h, w, _ = image.shape
    top, left = (height - h) // 2, (width - w) // 2
    margins = [(top, height - top - h), (left, width - left - w), (0, 0)]
    window = slice(top, top + h), slice(left, left + w)
    return np.pad(image, margins, "reflect"), window


def resize_array(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes an image [h, w, c] in [-1, 1] as in training, channel by channel.

    Returns:
      [height, width, c], clipped to [-1, 1] because the filter overshoots at edges.
    """
    channels = (Image.fromarray(channel) for channel in np.moveaxis(image, -1, 0))
    resized = [np.asarray(resize_image(channel, (width, height))) for channel in channels]
    return np.clip(np.stack(resized, -1), -1, 1)


def translate_tiles(
    translate: Callable[[np.ndarray], np.ndarray], image: ImageValues, side: int
) -> Iterator[np.ndarray]:
    """Translates an image tile by tile and blends the tiles where they overlap.

    Only the rows of a few tiles are in memory at a time.

    Args:
      translate: translates tiles, [n, side, side, c] to [n, side, side, channels].
      image: [h, w, c] in [-1, 1].

    Yields:
      Strips [n, w, channels] in [-1, 1] of the translation, from the top to the bottom.
    """
    h, w = image.shape[:2]
    height, width = max(side, h), max(side, w)  # the size of the padded image
    top, left = (height - h) // 2, (width - w) // 2
    # Only an image that is lower than a tile is padded above. Such an image is one strip, so
    # `window` fits every strip.
    window = slice(top, top + h), slice(left, left + w)
    corners = [(y, x) for y in tile_starts(height, side) for x in tile_starts(width, side)]
    blender = _RowBlender(side, width)
    rows: dict[int, np.ndarray] = {}  # the rows of the tiles of a batch, by their first row
    for first in range(0, len(corners), BATCH_SIZE):
        batch = corners[first : first + BATCH_SIZE]
        # Later tiles start at this row or below, so the rows above are final.
        if (strip := blender.pop_rows(batch[0][0])) is not None:
            yield strip[window]
        tops = {y for y, _ in batch}
        # A row of tiles may lie in several batches, and its pixels are read only once.
        rows = {y: rows[y] if y in rows else _read_rows(image, y, side, width) for y in tops}
        outputs = translate(np.stack([rows[y][:, x : x + side] for y, x in batch]))
        for (y, x), output in zip(batch, outputs, strict=True):
            blender.add(y, x, output)  # output [side, side, channels]
    strip = blender.pop_rows(height)
    assert strip is not None  # An image has at least one tile.
    yield strip[window]


def _read_rows(image: ImageValues, top: int, side: int, width: int) -> np.ndarray:
    """Reads the rows of the tiles at `top`: [side, width, c], padded where the image is smaller."""
    rows = np.asarray(image[top : top + side])
    return pad_centered(rows, side, width)[0]


class _RowBlender:
    """Adds up overlapping tiles, and returns the rows that no further tile changes."""

    def __init__(self, side: int, width: int):
        """Starts without rows, for tiles of `side` pixels and images of `width` pixels."""
        ramp = blend_ramp(side)
        self._weight = (ramp[:, None] * ramp[None])[..., None]  # [side, side, 1]
        self._side, self._width, self._top = side, width, 0
        self._total: np.ndarray | None = None  # rows from self._top on, [n, width, channels]
        self._total_weight = np.zeros((0, width, 1), np.float32)

    def add(self, top: int, left: int, tile: np.ndarray) -> None:
        """Adds a tile [side, side, channels]; `top` and `left` are its corner in the image."""
        self._extend(top + self._side - self._top, tile.shape[-1])
        assert self._total is not None
        rows = slice(top - self._top, top - self._top + self._side)
        columns = slice(left, left + self._side)
        self._total[rows, columns] += self._weight * tile
        self._total_weight[rows, columns] += self._weight

    def _extend(self, num_rows: int, channels: int) -> None:
        """Adds empty rows, so that there are at least `num_rows`."""
        missing = num_rows - len(self._total_weight)
        if self._total is None:
            self._total = np.zeros((0, self._width, channels), np.float32)
        if missing > 0:
            empty = np.zeros((missing, self._width, channels), np.float32)
            self._total = np.concatenate([self._total, empty])
            self._total_weight = np.concatenate([self._total_weight, empty[..., :1]])

    def pop_rows(self, row: int) -> np.ndarray | None:
        """Removes the rows above `row`: [n, width, channels]; None if there are no such rows."""
        count = row - self._top
        if count <= 0 or self._total is None:
            return None
        blended = self._total[:count] / self._total_weight[:count]
        self._total, self._total_weight = self._total[count:], self._total_weight[count:]
        self._top = row
        return blended


def tile_starts(length: int, side: int) -> list[int]:
    """The first pixel of each tile along one axis; the tiles are evenly spaced.

    Args:
      length: length of the axis in pixels, at least `side`.
      side: side of a tile in pixels; neighbouring tiles share at least side // OVERLAP pixels.
    """
    count = 1 + -(-(length - side) // (side - side // OVERLAP))
    return [round(n * (length - side) / max(1, count - 1)) for n in range(count)]


def blend_ramp(side: int) -> np.ndarray:
    """The blending weights [side] along one axis of a tile, float32.

    They rise from both edges to 1 over the shared part of the tile.
    """
    edge = np.arange(side) + 0.5
    return np.minimum(1, np.minimum(edge, side - edge) / max(1, side // OVERLAP)).astype(np.float32)
