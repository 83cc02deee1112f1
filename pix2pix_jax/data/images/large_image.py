"""Images that are too large for floats in memory: they become floats part by part."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pix2pix_jax.data.images.decoded_image import DecodedImage, normalize_bands, to_float


@dataclass(frozen=True)
class LargeImage:
    """An image whose pixels become floats when a part is used.

    It can be used like an array [h, w, channels] in [-1, 1]: slices give a part, and
    `numpy.asarray` gives the floats of the part.

    Attributes:
      image: the pixels as integers; they may lie in a file that is mapped into memory.
      channels: the number of channels, 1, 3 or 4.
    """

    image: DecodedImage
    channels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height and width in pixels, and the number of channels."""
        height, width = self.image.pixels.shape[:2]
        return height, width, self.channels

    def __getitem__(self, part: Any) -> "LargeImage":
        """A part of the image, given by a slice of rows, or by slices of rows and columns."""
        return replace(self, image=replace(self.image, pixels=self.image.pixels[part]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        values = to_float(normalize_bands(self.image), self.channels)
        return values if dtype is None else values.astype(dtype)


# The pixels of an image in [-1, 1]: an array, or an image that becomes floats part by part.
ImageValues = np.ndarray | LargeImage
