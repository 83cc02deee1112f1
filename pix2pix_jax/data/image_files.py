"""Image files to pixels: the one place where bytes from strangers are decoded."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from pix2pix_jax.errors import UsageError

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# Of all that Pillow knows, since some start other programs.
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
MOST_BYTES = 1 << 31
MOST_PIXELS = 10**8  # of one image; a few kilobytes may hold a hundred times as many
Image.MAX_IMAGE_PIXELS = None  # whose limits warn first, and in other words


def read_bytes(path: Path, name: str) -> bytes:
    """A file of an image; raises UsageError, by its name, where no image could be so large."""
    if (size := path.stat().st_size) > MOST_BYTES:
        raise UsageError(f"{name}: has {size:,} bytes, as no image has; remove it")
    return path.read_bytes()


def decode(data: bytes, name: str) -> Image.Image:
    """Decodes an image file, upright by its EXIF orientation, to 8 bits a channel.

    Of 16-bit grey, 65535 is white, whatever the brightest pixel.

    Raises:
      UsageError: naming the file, when it is no image, not a whole one, or one whose white
        cannot be known (32-bit integers and floats).
    """
    with explain_decode_errors(data, name):
        image = open_header(data)
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"{image.width}x{image.height} is more than {MOST_PIXELS:,} pixels")
        depth = bits_per_channel(image, data) if image.format == "TIFF" else 8
        negative = depth > 8 and image.tag_v2.get(262) == 0
        image.load()
        image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "F"):
        raise UsageError(
            f"{name}: has 32 bits a pixel ({image.mode}); scale it to 8 or 16 bits, black to white"
        )
    if negative or (depth > 8 and depth not in (16, 32)):
        what = "has 0 for white" if negative else "has neither 8 nor 16 bits a channel"
        raise UsageError(f"{name}: {what}; save it with 8 or 16 bits, black to white")
    if image.mode.startswith("I;16"):
        deep = np.asarray(image).astype(np.float64) / 257
        image = Image.fromarray(np.clip(deep.round(), 0, 255).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image


@contextmanager
def explain_decode_errors(data: bytes, name: str) -> Iterator[None]:
    """Raises UsageError, naming the file, for whatever a decoder raises for broken bytes."""
    try:
        yield
    except Exception as error:
        reason = re.sub(r" <_io.BytesIO object at \w+>", "", str(error)) if data else "it is empty"
        raise UsageError(
            f"{name}: cannot be read as an image ({reason}); mend or remove it"
        ) from error


def bits_per_channel(first: Image.Image, data: bytes) -> int:
    """Bits a channel of an undecoded file, of which Pillow tells only those of grey."""
    if first.format == "PNG":
        return data[24]
    if first.format == "TIFF":
        return max(first.tag_v2.get(258, (1,)))
    return 8


def open_header(data: bytes) -> Image.Image:
    """An image of which nothing has been decoded yet; raises OSError where it is none."""
    return Image.open(io.BytesIO(data), formats=FORMATS)


def convert_channels(image: Image.Image, channels: int) -> Image.Image:
    """The image as grey (1), RGB (3) or RGBA (4); what was transparent becomes white.

    Raises:
      UsageError: it cannot have so many.
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
    """The same of pixels [h, w, c] in [-1, 1], of which nothing is rounded."""
    if values.shape[-1] == 4 and channels != 4:
        alpha = (values[..., 3:] + 1) / 2
        values = alpha * values[..., :3] + 1 - alpha
    if channels == 1 and values.shape[-1] == 3:
        return values @ np.float32([[0.299], [0.587], [0.114]])
    if channels != 1 and values.shape[-1] == 1:
        values = np.repeat(values, 3, -1)
    if channels == 4 and values.shape[-1] == 3:
        values = np.concatenate([values, np.ones_like(values[..., :1])], -1)
    return values


def resize(
    image: Image.Image,
    size: tuple[int, int],
    box: tuple[float, ...] | None = None,
    resampling: Image.Resampling = Image.Resampling.BICUBIC,
) -> Image.Image:
    """A box of the image, or all of it, at a new (width, height), each channel on its own."""
    bands = [band.resize(size, resampling, box) for band in image.split()]
    return Image.merge(image.mode, bands)  # resized whole, RGBA would lose colours to its alpha


def split_pair(files: list[bytes], names: list[str]) -> tuple[Image.Image, Image.Image]:
    """A and B of a record: the halves of one side-by-side image, or two images.

    Args:
      files: the bytes of one file, or of A and B.
      names: what to call each of them in an error.

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


def to_pixels(image: Image.Image) -> np.ndarray:
    """Pixels [h, w, c], uint8."""
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def as_float(pixels: np.ndarray) -> np.ndarray:
    """0..255 as [-1, 1], float32; of NumPy or of JAX, to the bit: only the last product rounds."""
    return (2 * pixels.astype(np.float32) - 255) * np.float32(1 / 255)


def to_float(image: Image.Image) -> np.ndarray:
    """Pixels [h, w, c] in [-1, 1], float32."""
    return as_float(to_pixels(image))


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """[-1, 1] to 0..255, rounded: the inverse of `to_float`."""
    return np.clip(np.round((np.asarray(pixels, np.float32) + 1) * 127.5), 0, 255).astype(np.uint8)


def to_image(pixels: np.ndarray) -> Image.Image:
    """Pixels [h, w, c] in [-1, 1] as an image; c is 1, 3 or 4."""
    pixels = to_uint8(pixels)
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def encode_png(image: Image.Image) -> bytes:
    """The bytes of a file, made for speed more than for size."""
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()
