"""Converts the channels, the size and the value range of images and arrays."""

from typing import Any

import numpy as np
from PIL import Image

from pix2pix_jax.config.schema import Data
from pix2pix_jax.errors import UsageError

PILLOW_MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # Pillow's mode by the number of channels
# The number that is white, by the type of the pixels.
WHITE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
# The part of an image to resize: left, top, right and bottom in pixels, which may be fractions.
ResizeBox = tuple[float, float, float, float]


def check_channels(data: Data) -> None:
    """Raises UsageError if images of pairs cannot have the channels of a config."""
    for name in ("input_channels", "target_channels"):
        channels = getattr(data, name)
        if channels not in PILLOW_MODES:
            raise UsageError(
                f"data.{name}: images have 1, 3 or 4 channels, not {channels}", "give 1, 3 or 4"
            )


def half_columns(width: int, name: str = "the image") -> tuple[slice, slice]:
    """The columns of A and of B in an image that shows them side by side.

    The middle column of an odd width is in neither.

    Raises:
      UsageError: the image is too narrow for two halves; the message names the file.
    """
    if width < 2:
        raise UsageError(
            f"{name}: is only {width} pixel wide, so it cannot show A and B side by side",
            "remove the file, or give A and B in two folders, A/ and B/",
        )
    return slice(0, width // 2), slice(width - width // 2, width)


def convert_channels(image: Image.Image, channels: int) -> Image.Image:
    """Converts an image to grey (1), RGB (3) or RGBA (4); transparent parts become white.

    The mode RGBX is for images whose fourth band is not alpha. The fourth band stays as it is if
    `channels` is 4, and is left out otherwise.

    Raises:
      UsageError: an image file cannot have this number of channels.
    """
    if channels not in PILLOW_MODES:
        raise UsageError(
            "data.input_channels, data.target_channels: image files have 1, 3 or 4 channels, not "
            f"{channels}",
            f"set the field that is {channels} to 1, 3 or 4",
        )
    if image.mode == "LAB" and channels == 1:  # Pillow converts LAB only to colours.
        image = image.convert("RGB")
    if channels != 4 and image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if channels == 4 and image.mode == "RGBX":
        return Image.merge("RGBA", image.split())
    return image.convert(PILLOW_MODES[channels])


def convert_array_channels(values: np.ndarray, channels: int) -> np.ndarray:
    """Converts an array as `convert_channels` converts an image, without rounding to 8 bits.

    Args:
      values: [h, w, c] in [-1, 1], float32; c is 1, 3 or 4.
      channels: 1, 3 or 4.
    """
    if values.shape[-1] == 4 and channels != 4:
        alpha = (values[..., 3:] + 1) / 2
        values = alpha * values[..., :3] + 1 - alpha
    if channels == 1 and values.shape[-1] == 3:
        return values @ np.array([[0.299], [0.587], [0.114]], np.float32)
    if channels != 1 and values.shape[-1] == 1:
        values = np.repeat(values, 3, -1)
    if channels == 4 and values.shape[-1] == 3:
        values = np.concatenate([values, np.ones_like(values[..., :1])], -1)
    return values


def resize_image(
    image: Image.Image,
    size: tuple[int, int],
    box: ResizeBox | None = None,
    resampling: Image.Resampling = Image.Resampling.BICUBIC,
) -> Image.Image:
    """Resizes each channel of an image of any mode, or of a part of the image.

    Args:
      image: the image.
      size: the new width and height, in the order of Pillow.
      box: the part of the image to resize; None: the whole image.
      resampling: the filter.
    """
    # Resized as a whole, an RGBA image would lose the colours of its transparent parts.
    bands = [band.resize(size, resampling, box) for band in image.split()]
    return Image.merge(image.mode, bands)


def image_to_uint8(image: Image.Image) -> np.ndarray:
    """Converts an image to an array [h, w, c], uint8."""
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def image_to_float(image: Image.Image) -> np.ndarray:
    """Converts an image to an array [h, w, c] in [-1, 1], float32."""
    return uint8_to_float(image_to_uint8(image))


def uint8_to_float(pixels: Any) -> Any:
    """Scales uint8 of NumPy or JAX to [-1, 1], float32.

    NumPy and JAX give the same bits, because only the last product is rounded.
    """
    return (2 * pixels.astype(np.float32) - 255) * np.float32(1 / 255)


def integers_to_float(pixels: np.ndarray) -> np.ndarray:
    """Scales uint8 or uint16 to float32, from -1 for black to 1 for white."""
    return pixels.astype(np.float32) / (WHITE[pixels.dtype] / 2) - 1


def float_to_integers(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Scales [-1, 1] to uint8 or uint16, rounded: the inverse of `integers_to_float`."""
    white = WHITE[dtype]
    return np.clip(np.round((values + 1) * (white / 2)), 0, white).astype(dtype)


def float_to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Scales [-1, 1] to 0..255, uint8, rounded and clipped: the inverse of `uint8_to_float`."""
    return np.clip(np.round((np.asarray(pixels, np.float32) + 1) * 127.5), 0, 255).astype(np.uint8)


def float_to_image(pixels: np.ndarray) -> Image.Image:
    """Converts an array [h, w, c] in [-1, 1] to an image; c is 1, 3 or 4."""
    pixels = float_to_uint8(pixels)
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
