"""Image files and .npy files as arrays at their own depth, and back, for `translate`."""

import io
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from pix2pix_jax.data.image_files import (
    MODES,
    bits_per_channel,
    convert_array_channels,
    convert_channels,
    decode,
    encode_png,
    explain_decode_errors,
    open_header,
    read_bytes,
    to_float,
    to_image,
)
from pix2pix_jax.errors import UsageError

ORIENTATION = 0x0112  # tag of EXIF
TURN_UPRIGHT = {  # how to turn an array [h, w, ...], by its EXIF orientation
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: x.swapaxes(0, 1)[:, ::-1],
    7: lambda x: x.swapaxes(0, 1)[::-1, ::-1],
    8: lambda x: x.swapaxes(0, 1)[::-1],
}
PLANAR_CONFIGURATION, EXTRA_SAMPLES = 284, 338  # tags of TIFF files
INTERLEAVED, PLAIN_ALPHA = 1, (2,)  # values of these
ALPHA_NOTE = "its alpha is not translated; what is transparent counts as white, as in training"
DARK_NOTE = "no value is below 0; floats are taken to be in [-1, 1], black to white"
WHITE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
# OpenCV would print its own errors; this module raises UsageError for them.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class Pixels(NamedTuple):
    """The pixels of a file, and what is needed to write a translation in the same form."""

    values: np.ndarray  # [h, w, c] in [-1, 1], float32
    dtype: np.dtype  # of the file: uint8, uint16, or the float type of an array
    notes: tuple[str, ...] = ()  # facts that may surprise the user
    array: bool = False  # whether the file is a .npy


def read_pixels(path: Path, channels: int) -> Pixels:
    """Reads an image file, or an array.

    Args:
      path: an image of 8 or 16 bits a channel; or a .npy of [h, w] or [h, w, c] that is uint8,
        uint16, or floats in [-1, 1].
      channels: the channels to convert to.

    Raises:
      UsageError: naming the file, if it cannot be read or converted.
    """
    data = read_bytes(path, str(path))
    if path.suffix.lower() == ".npy":
        return _decode_array(data, path, channels)
    if channels not in MODES:
        raise UsageError(f"{path}: an image has 1, 3 or 4 channels, not {channels}; give a .npy")
    image, deep = decode(data, str(path)), None
    with explain_decode_errors(data, str(path)):
        header = open_header(data)
        frames = getattr(header, "n_frames", 1)
        if bits_per_channel(header, data) == 16:
            deep = _decode_16_bits(header, data)  # [h, w, c]
    if deep is None:
        dtype, transparent = np.dtype(np.uint8), _has_transparent_pixels(image)
        values = to_float(convert_channels(image, channels))
    else:
        dtype, transparent = deep.dtype, deep.shape[-1] == 4 and deep[..., 3].min() < 65535
        values = convert_array_channels(_integers_to_float(deep), channels)
    notes = [f"only the first of {frames} frames is translated"] if frames > 1 else []
    if transparent and channels != 4:
        notes.append(ALPHA_NOTE)
    return Pixels(values, dtype, tuple(notes))


def _decode_16_bits(header: Image.Image, data: bytes) -> np.ndarray:
    """The pixels of a 16-bit PNG or TIFF, upright: [h, w, c], uint16.

    Pillow decodes 16 bits of grey images only, so OpenCV does it.
    """
    if isinstance(header, TiffImageFile):
        extra = header.tag_v2.get(EXTRA_SAMPLES, PLAIN_ALPHA)
        if extra != PLAIN_ALPHA or header.tag_v2.get(PLANAR_CONFIGURATION, 1) != INTERLEAVED:
            raise ValueError("its channels are not as in a PNG; save it as one")
    if header.mode.startswith("I;16") and "transparency" in header.info:
        raise ValueError("one of its greys is transparent; save it with an alpha channel")
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise ValueError("not with its 16 bits; save it as PNG")
    orientation = header.getexif().get(ORIENTATION)
    if header.format == "PNG" and orientation in TURN_UPRIGHT:  # OpenCV turns TIFFs itself
        pixels = TURN_UPRIGHT[orientation](pixels)
    return _swap_red_blue(pixels[..., None] if pixels.ndim == 2 else pixels)


def _has_transparent_pixels(image: Image.Image) -> bool:
    if not image.has_transparency_data:
        return False
    alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    return bool(alpha.min() < 255)


def _decode_array(data: bytes, path: Path, channels: int) -> Pixels:
    """Decodes the bytes of a .npy file; UsageError if it is not an image."""
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # NumPy raises exceptions of many kinds for a broken header
        raise UsageError(f"{path}: cannot be read as an array ({error}); mend it") from error
    if not isinstance(array, np.ndarray) or array.ndim not in (2, 3) or 0 in array.shape:
        shape = getattr(array, "shape", "several arrays")
        raise UsageError(f"{path}: holds {shape}, not [h, w] or [h, w, c]; mend or remove it")
    floats = np.issubdtype(array.dtype, np.floating)
    if floats and not np.isfinite(array).all():
        raise UsageError(f"{path}: has values that are not finite; mend or remove it")
    if floats and np.abs(array).max() > 1:
        raise UsageError(f"{path}: has floats beyond [-1, 1], black to white; scale them")
    if not floats and array.dtype not in WHITE:
        raise UsageError(f"{path}: is of {array.dtype}; make it uint8, uint16 or float")
    values = array[..., None] if array.ndim == 2 else array
    values = values.astype(np.float32) if floats else _integers_to_float(values)  # [h, w, c]
    notes = (DARK_NOTE,) if floats and array.min() >= 0 else ()
    if values.shape[-1] == 4 != channels and values[..., 3].min() < 1:
        notes += (ALPHA_NOTE,)
    if values.shape[-1] == channels:
        return Pixels(values, array.dtype, notes, array=True)
    if values.shape[-1] not in MODES or channels not in MODES:
        raise UsageError(
            f"{path}: has {values.shape[-1]} channels; the run was trained on {channels}"
        )
    return Pixels(convert_array_channels(values, channels), array.dtype, notes, array=True)


def encode(values: np.ndarray, dtype: np.dtype, suffix: str) -> bytes:
    """The bytes of an image file or array.

    Args:
      values: [h, w, c] in [-1, 1].
      dtype: uint8, uint16 or a float type. A .npy has this type; a PNG has the bits of the
        integer type, or 8 bits.
      suffix: .npy or .png.
    """
    if suffix == ".npy":
        file = io.BytesIO()
        floats = np.issubdtype(dtype, np.floating)
        np.save(file, values.astype(dtype) if floats else _float_to_integers(values, dtype))
        return file.getvalue()
    if dtype == np.uint16:  # Pillow writes 16 bits of grey images only
        return cv2.imencode(".png", _swap_red_blue(_float_to_integers(values, dtype)))[1].tobytes()
    return encode_png(to_image(values))


def _integers_to_float(pixels: np.ndarray) -> np.ndarray:
    """Scales uint8 or uint16, black to white, to [-1, 1], float32."""
    return pixels.astype(np.float32) / (WHITE[pixels.dtype] / 2) - 1


def _float_to_integers(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Scales [-1, 1] to uint8 or uint16, rounded: the inverse of `_integers_to_float`."""
    white = WHITE[dtype]
    return np.clip(np.round((values + 1) * (white / 2)), 0, white).astype(dtype)


def _swap_red_blue(pixels: np.ndarray) -> np.ndarray:
    """Turns red, green, blue into OpenCV's blue, green, red, or back; [h, w, c]."""
    return pixels if pixels.shape[-1] == 1 else pixels[..., [2, 1, 0, 3][: pixels.shape[-1]]]
