"""Image files as arrays at their own depth, and back: what `translate` reads and writes."""

import io
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

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

UPRIGHT = {  # by EXIF orientation, of [h, w, ...]
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: x.swapaxes(0, 1)[:, ::-1],
    7: lambda x: x.swapaxes(0, 1)[::-1, ::-1],
    8: lambda x: x.swapaxes(0, 1)[::-1],
}
ALPHA = "its alpha is not translated; what is transparent counts as white, as in training"
DARK = "no value is below 0; floats are taken to be in [-1, 1], black to white"
cv2.utils.logging.setLogLevel(
    cv2.utils.logging.LOG_LEVEL_SILENT
)  # what it cannot read is told by us
WHITE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}


class Pixels(NamedTuple):
    """An image."""

    values: np.ndarray  # [h, w, c] in [-1, 1], float32
    dtype: np.dtype  # of the file: uint8, uint16, or float of an array
    notes: tuple[str, ...] = ()  # what may surprise
    array: bool = False  # whether it came from a .npy


def read_pixels(path: Path, channels: int) -> Pixels:
    """An image file or array with so many channels.

    Arrays (.npy) are [h, w] or [h, w, c]: uint8, uint16, or floats in [-1, 1].

    Raises:
      UsageError: naming the file, when it cannot be read, or has other channels.
    """
    data = read_bytes(path, str(path))
    if path.suffix.lower() == ".npy":
        return _from_array(data, path, channels)
    if channels not in MODES:
        raise UsageError(f"{path}: an image has 1, 3 or 4 channels, not {channels}; give a .npy")
    image = decode(data, str(path))
    with explain_decode_errors(data, str(path)):
        first = open_header(data)
        frames, deep = getattr(first, "n_frames", 1), bits_per_channel(first, data) == 16
        pixels = _read_16_bits(first, data) if deep else None  # [h, w, c]
    if deep:
        transparent = pixels.shape[-1] == 4 and pixels[..., 3].min() < 65535
        values = convert_array_channels(_integers_to_float(pixels), channels)
    else:
        transparent = _is_transparent(image)
        values = to_float(convert_channels(image, channels))
    notes = [f"only the first of {frames} frames is translated"] if frames > 1 else []
    if transparent and channels != 4:
        notes.append(ALPHA)
    return Pixels(values, np.dtype(np.uint16 if deep else np.uint8), tuple(notes))


def _read_16_bits(first: Image.Image, data: bytes) -> np.ndarray:
    """The 16 bits of a PNG or TIFF, which Pillow has for grey alone: [h, w, c], upright."""
    tags = first.tag_v2 if first.format == "TIFF" else {}
    # What OpenCV takes for colours and a plain alpha, interleaved.
    if tags.get(338, (2,)) != (2,) or tags.get(284, 1) != 1:
        raise ValueError("its channels are not as in a PNG; save it as one")
    if first.mode.startswith("I;16") and "transparency" in first.info:
        raise ValueError("one of its greys is transparent; save it with an alpha channel")
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise ValueError("not with its 16 bits; save it as PNG")
    if first.format == "PNG":  # TIFFs are turned by OpenCV
        pixels = UPRIGHT.get(first.getexif().get(0x0112), lambda x: x)(pixels)
    return _swap_red_blue(pixels[..., None] if pixels.ndim == 2 else pixels)


def _is_transparent(image: Image.Image) -> bool:
    """Whether any of it is."""
    if not image.has_transparency_data:
        return False
    return image.convert("RGBA").getchannel("A").getextrema()[0] < 255


def _from_array(data: bytes, path: Path, channels: int) -> Pixels:
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # of a broken header, many kinds
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
    notes = (DARK,) if floats and array.min() >= 0 else ()
    if values.shape[-1] == 4 != channels and values[..., 3].min() < 1:
        notes += (ALPHA,)
    if values.shape[-1] == channels:
        return Pixels(values, array.dtype, notes, array=True)
    if values.shape[-1] not in MODES or channels not in MODES:
        raise UsageError(
            f"{path}: has {values.shape[-1]} channels; the run was trained on {channels}"
        )
    return Pixels(convert_array_channels(values, channels), array.dtype, notes, array=True)


def _integers_to_float(pixels: np.ndarray) -> np.ndarray:
    """Integers, black to white, as floats in [-1, 1]."""
    return pixels.astype(np.float32) / (WHITE[pixels.dtype] / 2) - 1


def encode(values: np.ndarray, dtype: np.dtype, suffix: str) -> bytes:
    """The bytes of a file.

    Args:
      values: [h, w, c] in [-1, 1].
      dtype: of a .npy; a PNG has as many bits, and 8 for floats.
      suffix: .npy or .png.
    """
    if suffix == ".npy":
        file = io.BytesIO()
        floats = np.issubdtype(dtype, np.floating)
        np.save(file, values.astype(dtype) if floats else _float_to_integers(values, dtype))
        return file.getvalue()
    if dtype == np.uint16:  # which Pillow has for grey alone
        return cv2.imencode(".png", _swap_red_blue(_float_to_integers(values, dtype)))[1].tobytes()
    return encode_png(to_image(values))


def _float_to_integers(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """[-1, 1] to black to white, rounded: the inverse of `_integers_to_float`."""
    white = WHITE[dtype]
    return np.clip(np.round((values + 1) * (white / 2)), 0, white).astype(dtype)


def _swap_red_blue(pixels: np.ndarray) -> np.ndarray:
    """Red, green, blue to OpenCV's blue, green, red, or back."""
    return pixels if pixels.shape[-1] == 1 else pixels[..., [2, 1, 0, 3][: pixels.shape[-1]]]
