"""Image files to pixels: the one place where image files from strangers are decoded."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from pix2pix_jax.errors import UsageError

MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # Pillow's modes by the number of channels
PixelBox = tuple[float, float, float, float]  # left, top, right, bottom in pixels of an image
# Pillow knows more formats, but some of its decoders start other programs.
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
MAX_BYTES = 1 << 31  # of a file
MAX_PIXELS = 10**8  # of an image: a file of a few kilobytes can hold a hundred times more
Image.MAX_IMAGE_PIXELS = None  # MAX_PIXELS replaces Pillow's own limit, which warns first
# Tags of TIFF files.
BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262
WHITE_IS_ZERO = 0  # a value of PHOTOMETRIC


def read_bytes(path: Path, name: str) -> bytes:
    """Reads an image file.

    Args:
      path: the file.
      name: the name by which the user knows the file.

    Raises:
      UsageError: the file is larger than any image.
    """
    if (size := path.stat().st_size) > MAX_BYTES:
        raise UsageError(f"{name}: has {size:,} bytes, as no image has; remove it")
    return path.read_bytes()


def decode(data: bytes, name: str) -> Image.Image:
    """Decodes an image file to 8 bits a channel, upright by its EXIF orientation.

    In 16-bit grey, 65535 is white, whatever the brightest pixel is.

    Args:
      data: the bytes of the file.
      name: the name by which the user knows the file.

    Raises:
      UsageError: the file is not an image, or not a whole one, or its white is not known (32-bit
        integers and floats).
    """
    with explain_decode_errors(data, name):
        image = open_header(data)
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width}x{image.height} is more than {MAX_PIXELS:,} pixels")
        is_tiff = isinstance(image, TiffImageFile)
        depth = bits_per_channel(image, data) if is_tiff else 8
        negative = is_tiff and depth > 8 and image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO
        image.load()
        image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "F"):
        raise UsageError(
            f"{name}: has 32 bits a pixel ({image.mode}); scale it to 8 or 16 bits, black to white"
        )
    if negative or (depth > 8 and depth not in (16, 32)):
        fault = "has 0 for white" if negative else "has neither 8 nor 16 bits a channel"
        raise UsageError(f"{name}: {fault}; save it with 8 or 16 bits, black to white")
    if image.mode.startswith("I;16"):
        levels = np.asarray(image).astype(np.float64) / 257
        image = Image.fromarray(np.clip(levels.round(), 0, 255).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image


@contextmanager
def explain_decode_errors(data: bytes, name: str) -> Iterator[None]:
    """Turns every exception of a decoder into a UsageError that names the file.

    Decoders raise exceptions of any kind for broken bytes.

    Args:
      data: the bytes of the file.
      name: the name by which the user knows the file.
    """
    try:
        yield
    except Exception as error:
        reason = re.sub(r" <_io.BytesIO object at \w+>", "", str(error)) if data else "it is empty"
        raise UsageError(
            f"{name}: cannot be read as an image ({reason}); mend or remove it"
        ) from error


def bits_per_channel(image: Image.Image, data: bytes) -> int:
    """The bits a channel of an undecoded file; Pillow's modes tell them for grey only."""
    if image.format == "PNG":
        return data[24]
    if isinstance(image, TiffImageFile):
        return max(image.tag_v2.get(BITS_PER_SAMPLE, (1,)))
    return 8


def open_header(data: bytes) -> Image.Image:
    """Opens an image without decoding its pixels; raises OSError if the bytes are not an image."""
    return Image.open(io.BytesIO(data), formats=FORMATS)


def convert_channels(image: Image.Image, channels: int) -> Image.Image:
    """Converts an image to grey (1), RGB (3) or RGBA (4); transparent parts become white.

    Raises:
      UsageError: an image file cannot have this number of channels.
    """
    if channels not in MODES:
        raise UsageError(
            f"data.input_channels, data.target_channels: image files have 1, 3 or 4, not {channels}"
        )
    if channels != 4 and image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(MODES[channels])


def convert_array_channels(values: np.ndarray, channels: int) -> np.ndarray:
    """`convert_channels` of an array, without rounding to 8 bits.

    Args:
      values: [h, w, c] in [-1, 1], float32; c is 1, 3 or 4.
      channels: 1, 3 or 4.

    Returns:
      [h, w, channels].
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


def resize(
    image: Image.Image,
    size: tuple[int, int],
    box: PixelBox | None = None,
    resampling: Image.Resampling = Image.Resampling.BICUBIC,
) -> Image.Image:
    """Resizes an image, or a box of it, each channel on its own.

    Args:
      image: of any mode.
      size: the new width and height, in the order of Pillow.
      box: the part of the image to resize; None: the whole image.
      resampling: the filter.
    """
    # Resized as a whole, an RGBA image would lose the colours of its transparent parts.
    bands = [band.resize(size, resampling, box) for band in image.split()]
    return Image.merge(image.mode, bands)


def split_pair(files: list[bytes], names: list[str]) -> tuple[Image.Image, Image.Image]:
    """A and B of a record: the halves of one side-by-side image, or two images.

    Args:
      files: the bytes of one file, or of A and B.
      names: the name by which the user knows each file.

    Raises:
      UsageError: naming the file that cannot be used.
    """
    images = [decode(data, name) for data, name in zip(files, names, strict=True)]
    if len(images) == 2:
        return images[0], images[1]
    width, height = images[0].size
    if width < 2:
        raise UsageError(
            f"{names[0]}: is {width} pixel wide, so it cannot hold A and B side by side"
        )
    half = width // 2
    return images[0].crop((0, 0, half, height)), images[0].crop((width - half, 0, width, height))


def image_to_uint8(image: Image.Image) -> np.ndarray:
    """An image as an array [h, w, c], uint8."""
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def uint8_to_float(pixels: Any) -> Any:
    """Scales 0..255 to [-1, 1], float32.

    NumPy and JAX give the same bits, since only the last product is rounded.

    Args:
      pixels: an array of NumPy or JAX, uint8.
    """
    return (2 * pixels.astype(np.float32) - 255) * np.float32(1 / 255)


def to_float(image: Image.Image) -> np.ndarray:
    """An image as an array [h, w, c] in [-1, 1], float32."""
    return uint8_to_float(image_to_uint8(image))


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Scales [-1, 1] to 0..255, rounded: the inverse of `uint8_to_float`."""
    return np.clip(np.round((np.asarray(pixels, np.float32) + 1) * 127.5), 0, 255).astype(np.uint8)


def to_image(pixels: np.ndarray) -> Image.Image:
    """An array [h, w, c] in [-1, 1] as an image; c is 1, 3 or 4."""
    pixels = to_uint8(pixels)
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def encode_png(image: Image.Image) -> bytes:
    """The bytes of a PNG file, compressed little so that writing is fast."""
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()
