"""Reads images for `translate` as floats, with all of their 16 bits, and encodes translations.

An image file has the pixels of `image_reader.read_image`, so that training and `translate` see the
same image. This module also decodes and encodes .npy files.
"""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pix2pix_jax.data.images.decoded_image import ALPHA_NOTE, to_float
from pix2pix_jax.data.images.image_files import read_bytes
from pix2pix_jax.data.images.image_reader import encode_integers, read_file
from pix2pix_jax.data.images.large_image import ImageValues, LargeImage
from pix2pix_jax.data.images.limits import DEFAULT_LIMIT, MAX_PIXELS, PixelLimit
from pix2pix_jax.data.images.pixels import (
    PILLOW_MODES,
    WHITE,
    convert_array_channels,
    float_to_integers,
    float_to_uint8,
    integers_to_float,
)
from pix2pix_jax.data.images.png_chunks import mark_srgb
from pix2pix_jax.errors import UsageError

DARK_NOTE = {
    "dark": "all values are 0 or more, so no pixel is darker than middle grey; if 0 means black, "
    "scale the values so that -1 is black and 1 is white"
}


class FilePixels(NamedTuple):
    """The pixels of a file, and the type in which the translation is written."""

    values: ImageValues  # [h, w, c] in [-1, 1], float32
    dtype: np.dtype  # the type in the file: uint8, uint16, or the float type of an array
    notes: dict[str, str]  # facts that the user may not expect, by kind
    is_npy: bool = False  # whether the file is a .npy file


def read_input_pixels(path: Path, channels: int, limit: PixelLimit = DEFAULT_LIMIT) -> FilePixels:
    """Reads the pixels of an image file or of a .npy file.

    Args:
      path: an image of 8 or 16 bits a channel, or a .npy file with an array [h, w] or [h, w, c] of
        uint8, uint16, or floats in [-1, 1].
      channels: the number of channels of the result.

    Returns:
      The pixels. The values of an image of more than MAX_PIXELS pixels are a LargeImage.

    Raises:
      UsageError: the file cannot be read or converted; the message names the file.
      OSError: the operating system refuses to read the file.
    """
    if path.suffix.lower() == ".npy":
        return _decode_npy(read_bytes(path, str(path)), path, channels)
    if channels not in PILLOW_MODES:
        raise UsageError(
            f"{path}: an image file cannot have the {channels} channels of this run",
            f"give a .npy file with {channels} channels",
        )
    image = read_file(path, limit)
    is_large = image.pixels.shape[0] * image.pixels.shape[1] > MAX_PIXELS
    values = LargeImage(image, channels) if is_large else to_float(image, channels)
    dtype = image.pixels.dtype.newbyteorder("=")
    return FilePixels(values, dtype, image.notes_for(channels))


def _decode_npy(data: bytes, path: Path, channels: int) -> FilePixels:
    """Decodes the bytes of a .npy file; raises UsageError if the array is not an image."""
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # NumPy raises many kinds of exceptions for a broken header.
        raise UsageError(
            f"{path}: cannot be read as an array of numbers",
            "write the file again with numpy.save, or remove the file",
        ) from error
    if not isinstance(array, np.ndarray):
        raise UsageError(f"{path}: contains several arrays", "save each array in its own .npy file")
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise UsageError(
            f"{path}: the array has the shape {array.shape}, which is not that of an image",
            "give [height, width] or [height, width, channels], without empty axes",
        )
    floats = np.issubdtype(array.dtype, np.floating)
    if floats and not np.isfinite(array).all():
        raise UsageError(
            f"{path}: has values that are infinite or NaN",
            "correct these values or remove the file",
        )
    if floats and np.abs(array).max() > 1:
        raise UsageError(
            f"{path}: has values outside [-1, 1]",
            "scale the values so that -1 is black and 1 is white",
        )
    if not floats and array.dtype not in WHITE:
        raise UsageError(
            f"{path}: the array has the type {array.dtype}, which cannot be read",
            "convert the array to uint8, uint16 or a float type",
        )
    values = array[..., None] if array.ndim == 2 else array
    values = values.astype(np.float32) if floats else integers_to_float(values)  # [h, w, c]
    notes = DARK_NOTE if floats and array.min() >= 0 else {}
    if values.shape[-1] == 4 != channels and values[..., 3].min() < 1:
        notes = notes | ALPHA_NOTE
    if values.shape[-1] != channels:
        if values.shape[-1] not in PILLOW_MODES or channels not in PILLOW_MODES:
            raise UsageError(
                f"{path}: has {values.shape[-1]} channels, but the run was trained on {channels}",
                f"give an array with {channels} channels",
            )
        values = convert_array_channels(values, channels)
    return FilePixels(values, array.dtype, notes, is_npy=True)


def encode_pixels(values: ImageValues, dtype: np.dtype, suffix: str) -> bytes:
    """Encodes an image as the bytes of an sRGB PNG or of a .npy file.

    Args:
      values: [h, w, c] in [-1, 1].
      dtype: uint8, uint16 or a float type. A .npy file gets this type. A PNG gets 16 bits a channel
        for uint16, else 8 bits. The integers of a LargeImage are written to a PNG unchanged.
      suffix: .npy or .png.
    """
    if suffix == ".npy":
        file = io.BytesIO()
        floats = np.issubdtype(dtype, np.floating)
        values = np.asarray(values)
        np.save(file, values.astype(dtype) if floats else float_to_integers(values, dtype))
        return file.getvalue()
    if isinstance(values, LargeImage):
        pixels = values.image.pixels
    elif dtype == np.uint16:
        pixels = float_to_integers(values, dtype)
    else:
        pixels = float_to_uint8(values)
    return mark_srgb(encode_integers(pixels))
