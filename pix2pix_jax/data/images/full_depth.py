"""Reads images for `translate` as floats, with all of their 16 bits, and writes translations.

An image file has the pixels of `image_reader.read_image`, so that training and `translate` see the
same image. This module also reads and writes .npy files.
"""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pix2pix_jax.data.images.deep_files import encode_deep_png
from pix2pix_jax.data.images.file_image import FileImage, to_8_bits
from pix2pix_jax.data.images.image_files import encode_png, read_bytes
from pix2pix_jax.data.images.image_reader import read_image
from pix2pix_jax.data.images.pixels import (
    PILLOW_MODES,
    convert_array_channels,
    convert_channels,
    float_to_image,
    image_to_float,
)
from pix2pix_jax.data.images.png_chunks import mark_srgb
from pix2pix_jax.errors import UsageError

ALPHA_NOTE = {"alpha": "transparent parts count as white, as in training"}
DARK_NOTE = {
    "dark": "no value is below 0, so no pixel is darker than grey; if 0 is black, scale the values "
    "so that -1 is black and 1 is white"
}
WHITE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}


class FilePixels(NamedTuple):
    """The pixels of a file, and their type, so that the translation can be written in that type."""

    values: np.ndarray  # [h, w, c] in [-1, 1], float32
    dtype: np.dtype  # the type in the file: uint8, uint16, or the float type of an array
    notes: dict[str, str]  # facts that may surprise the user, by the key of their kind
    is_npy: bool = False  # whether the file is a .npy file


def read_pixels(path: Path, channels: int) -> FilePixels:
    """Reads the pixels of an image file or of a .npy file.

    Args:
      path: an image of 8 or 16 bits a channel, or a .npy file with an array [h, w] or [h, w, c] of
        uint8, uint16, or floats in [-1, 1].
      channels: the number of channels of the result.

    Raises:
      UsageError: the file cannot be read or converted; the message names the file.
      OSError: the operating system refuses to read the file.
    """
    data = read_bytes(path, str(path))
    if path.suffix.lower() == ".npy":
        return _decode_npy(data, path, channels)
    if channels not in PILLOW_MODES:
        raise UsageError(
            f"{path}: an image file cannot have the {channels} channels of this run; give a .npy "
            f"file with {channels} channels"
        )
    image = read_image(data, str(path))
    return FilePixels(_to_float(image, channels), image.pixels.dtype, image.notes_for(channels))


def _to_float(image: FileImage, channels: int) -> np.ndarray:
    """Converts an image to [h, w, channels] in [-1, 1]; 8 bits become what training sees."""
    if image.pixels.dtype == np.uint8:
        return image_to_float(convert_channels(to_8_bits(image), channels))
    pixels = image.pixels
    if pixels.shape[-1] == 4 != channels and not image.has_alpha:
        pixels = pixels[..., :3]
    return convert_array_channels(_integers_to_float(pixels), channels)


def _decode_npy(data: bytes, path: Path, channels: int) -> FilePixels:
    """Decodes the bytes of a .npy file; raises UsageError if the array is not an image."""
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # NumPy raises many kinds of exceptions for a broken header.
        raise UsageError(
            f"{path}: cannot be read as an array of numbers; write the file again with "
            "numpy.save, or remove the file"
        ) from error
    if not isinstance(array, np.ndarray):
        raise UsageError(f"{path}: contains several arrays; save each array in its own .npy file")
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise UsageError(
            f"{path}: the array has the shape {array.shape}; give [height, width] or [height, "
            "width, channels], without empty axes"
        )
    floats = np.issubdtype(array.dtype, np.floating)
    if floats and not np.isfinite(array).all():
        raise UsageError(
            f"{path}: has values that are infinite or NaN; correct these values or remove the file"
        )
    if floats and np.abs(array).max() > 1:
        raise UsageError(
            f"{path}: has values outside [-1, 1]; scale them so that -1 is black and 1 is white"
        )
    if not floats and array.dtype not in WHITE:
        raise UsageError(
            f"{path}: the array has the type {array.dtype}; convert it to uint8, uint16 or floats"
        )
    values = array[..., None] if array.ndim == 2 else array
    values = values.astype(np.float32) if floats else _integers_to_float(values)  # [h, w, c]
    notes = DARK_NOTE if floats and array.min() >= 0 else {}
    if values.shape[-1] == 4 != channels and values[..., 3].min() < 1:
        notes = notes | ALPHA_NOTE
    if values.shape[-1] != channels:
        if values.shape[-1] not in PILLOW_MODES or channels not in PILLOW_MODES:
            raise UsageError(
                f"{path}: has {values.shape[-1]} channels, but the run was trained on {channels}; "
                f"give an array with {channels} channels"
            )
        values = convert_array_channels(values, channels)
    return FilePixels(values, array.dtype, notes, is_npy=True)


def encode_pixels(values: np.ndarray, dtype: np.dtype, suffix: str) -> bytes:
    """Encodes an image as the bytes of an sRGB PNG or of a .npy file.

    Args:
      values: [h, w, c] in [-1, 1].
      dtype: uint8, uint16 or a float type. A .npy file gets this type. A PNG gets 16 bits a
        channel for uint16, else 8 bits.
      suffix: .npy or .png.
    """
    if suffix == ".npy":
        file = io.BytesIO()
        floats = np.issubdtype(dtype, np.floating)
        np.save(file, values.astype(dtype) if floats else _float_to_integers(values, dtype))
        return file.getvalue()
    if dtype == np.uint16:  # Pillow writes 16 bits only for grey images.
        return mark_srgb(encode_deep_png(_float_to_integers(values, dtype)))
    return mark_srgb(encode_png(float_to_image(values)))


def _integers_to_float(pixels: np.ndarray) -> np.ndarray:
    """Scales uint8 or uint16 to float32, from -1 for black to 1 for white."""
    return pixels.astype(np.float32) / (WHITE[pixels.dtype] / 2) - 1


def _float_to_integers(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Scales [-1, 1] to uint8 or uint16, rounded: the inverse of `_integers_to_float`."""
    white = WHITE[dtype]
    return np.clip(np.round((values + 1) * (white / 2)), 0, white).astype(dtype)
