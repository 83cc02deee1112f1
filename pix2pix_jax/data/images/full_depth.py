"""Reads and writes images of 8 or 16 bits a channel, and .npy files; keeps all 16 bits.

`translate` uses this module. Training uses `image_files.py`, which reads 8 bits a channel.
"""

import io
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from pix2pix_jax.data.images.image_files import (
    bits_per_channel,
    decode_image,
    encode_png,
    explain_decode_errors,
    open_image,
    read_bytes,
)
from pix2pix_jax.data.images.pixels import (
    PILLOW_MODES,
    convert_array_channels,
    convert_channels,
    float_to_image,
    image_to_float,
)
from pix2pix_jax.errors import UsageError

ORIENTATION = 0x0112  # a tag of EXIF
TURN_UPRIGHT = {  # functions that turn an array [h, w, ...] upright, by EXIF orientation
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: x.swapaxes(0, 1)[:, ::-1],
    7: lambda x: x.swapaxes(0, 1)[::-1, ::-1],
    8: lambda x: x.swapaxes(0, 1)[::-1],
}
PLANAR_CONFIGURATION, EXTRA_SAMPLES = 284, 338  # tags of TIFF files
INTERLEAVED, PLAIN_ALPHA = 1, (2,)  # the values of these two tags that can be read
ALPHA_NOTE = "the alpha channel is not translated; transparent parts count as white, as in training"
DARK_NOTE = (
    "no value is below 0, so no pixel is darker than grey; if 0 is black, scale the values so that "
    "-1 is black and 1 is white"
)
WHITE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
# This module raises UsageError for errors of OpenCV, so OpenCV must not print them, too. The log
# level applies to the whole process, so it is set once, before any image is decoded.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class FilePixels(NamedTuple):
    """The pixels of a file, and their type, so that the translation can be written in that type."""

    values: np.ndarray  # [h, w, c] in [-1, 1], float32
    dtype: np.dtype  # the type in the file: uint8, uint16, or the float type of an array
    notes: tuple[str, ...] = ()  # facts that may surprise the user
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
    image = decode_image(data, str(path))
    header = open_image(data, str(path))
    if bits_per_channel(header, data) == 16:
        pixels = _decode_16_bits(header, data, str(path))  # [h, w, c]
        dtype, transparent = pixels.dtype, pixels.shape[-1] == 4 and pixels[..., 3].min() < 65535
        values = convert_array_channels(_integers_to_float(pixels), channels)
    else:
        dtype, transparent = np.dtype(np.uint8), _has_transparent_pixels(image)
        values = image_to_float(convert_channels(image, channels))
    with explain_decode_errors(data, str(path)):
        frames = getattr(header, "n_frames", 1)
    notes = [f"only the first of {frames} frames is translated"] if frames > 1 else []
    if transparent and channels != 4:
        notes.append(ALPHA_NOTE)
    return FilePixels(values, dtype, tuple(notes))


def _decode_16_bits(header: Image.Image, data: bytes, name: str) -> np.ndarray:
    """Decodes a 16-bit PNG or TIFF, and turns it upright.

    OpenCV decodes the file, because Pillow decodes 16 bits only for grey images.

    Args:
      header: the result of `open_image`.
      data: the bytes of the file.
      name: the name by which the user knows the file.

    Returns:
      [h, w, c], uint16; in colour images, red is the first channel.

    Raises:
      UsageError: the file cannot be read with all of its 16 bits.
    """
    if isinstance(header, TiffImageFile):
        if header.tag_v2.get(EXTRA_SAMPLES, PLAIN_ALPHA) != PLAIN_ALPHA:
            raise UsageError(
                f"{name}: has an extra channel that is not a plain alpha channel; save the image "
                "as a 16-bit PNG"
            )
        if header.tag_v2.get(PLANAR_CONFIGURATION, 1) != INTERLEAVED:
            raise UsageError(
                f"{name}: stores each channel in a plane of its own; save the image as a 16-bit PNG"
            )
    if header.mode.startswith("I;16") and "transparency" in header.info:
        raise UsageError(
            f"{name}: marks one grey level as transparent, which is not supported for 16-bit "
            "images; save the image with an alpha channel"
        )
    with explain_decode_errors(data, name):
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        orientation = header.getexif().get(ORIENTATION)
    if pixels is None or pixels.dtype != np.uint16:
        raise UsageError(
            f"{name}: cannot be read with all of its 16 bits; save the image again as a 16-bit PNG"
        )
    if header.format == "PNG" and orientation in TURN_UPRIGHT:  # OpenCV turns TIFF files itself.
        pixels = TURN_UPRIGHT[orientation](pixels)
    return _swap_red_blue(pixels[..., None] if pixels.ndim == 2 else pixels)


def _has_transparent_pixels(image: Image.Image) -> bool:
    if not image.has_transparency_data:
        return False
    alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    return bool(alpha.min() < 255)


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
    notes = (DARK_NOTE,) if floats and array.min() >= 0 else ()
    if values.shape[-1] == 4 != channels and values[..., 3].min() < 1:
        notes += (ALPHA_NOTE,)
    if values.shape[-1] != channels:
        if values.shape[-1] not in PILLOW_MODES or channels not in PILLOW_MODES:
            raise UsageError(
                f"{path}: has {values.shape[-1]} channels, but the run was trained on {channels}; "
                f"give an array with {channels} channels"
            )
        values = convert_array_channels(values, channels)
    return FilePixels(values, array.dtype, notes, is_npy=True)


def encode_pixels(values: np.ndarray, dtype: np.dtype, suffix: str) -> bytes:
    """Encodes an image as the bytes of a PNG or .npy file.

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
        return cv2.imencode(".png", _swap_red_blue(_float_to_integers(values, dtype)))[1].tobytes()
    return encode_png(float_to_image(values))


def _integers_to_float(pixels: np.ndarray) -> np.ndarray:
    """Scales uint8 or uint16 to float32, from -1 for black to 1 for white."""
    return pixels.astype(np.float32) / (WHITE[pixels.dtype] / 2) - 1


def _float_to_integers(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Scales [-1, 1] to uint8 or uint16, rounded: the inverse of `_integers_to_float`."""
    white = WHITE[dtype]
    return np.clip(np.round((values + 1) * (white / 2)), 0, white).astype(dtype)


def _swap_red_blue(pixels: np.ndarray) -> np.ndarray:
    """Swaps red and blue in [h, w, c], because OpenCV stores blue first."""
    return pixels if pixels.shape[-1] == 1 else pixels[..., [2, 1, 0, 3][: pixels.shape[-1]]]
