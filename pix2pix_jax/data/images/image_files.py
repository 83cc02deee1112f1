"""Opens untrusted image files, and decodes the files of records to 8 bits a channel.

`image_reader.py` reads the files of users: that module also decodes images of 16 bits, and files
that Pillow reads wrongly.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from pix2pix_jax.data.images.limits import DEFAULT_LIMIT, PixelLimit
from pix2pix_jax.data.images.pixels import half_columns
from pix2pix_jax.data.images.png_chunks import drop_texts, is_marked_no_alpha
from pix2pix_jax.data.images.signatures import describe_no_image
from pix2pix_jax.errors import UsageError

# The formats that can be read: the name of each format in Pillow, and the suffixes of its files.
# Pillow knows more formats, but some of its decoders start other programs.
IMAGE_FORMATS = {
    "PNG": {".png", ".apng"},
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp"},
    "WEBP": {".webp"},
    "TIFF": {".tif", ".tiff"},
    "BMP": {".bmp"},
    "GIF": {".gif"},
    "PPM": {".ppm", ".pgm", ".pbm", ".pnm"},
}
SUFFIXES = set[str]().union(*IMAGE_FORMATS.values())
MAX_BYTES = 1 << 31  # the size of the largest image file
# MAX_PIXELS replaces Pillow's own limit, which only prints a warning up to twice the limit.
# Pillow's limit applies to the whole process, so it is removed once, before any image is opened.
Image.MAX_IMAGE_PIXELS = None
# Pillow refuses PNG files whose colour profile has more than a megabyte. Profiles of printers are
# that large.
PngImagePlugin.MAX_TEXT_CHUNK = 1 << 26
BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262  # tags of TIFF files
WHITE_IS_ZERO = 0  # a value of PHOTOMETRIC
ORIENTATION, UPRIGHT = 274, 1  # a tag of TIFF and EXIF, and its value for an upright image
FLOATS, INTEGERS = "floats", "signed or 32-bit integers"  # pixels for which no white is known
SIDEWAYS = (5, 6, 7, 8)  # values of ORIENTATION that swap rows and columns


def read_bytes(path: Path, name: str) -> bytes:
    """Reads the bytes of an image file.

    Raises:
      UsageError: the file is larger than MAX_BYTES.
      OSError: the operating system refuses to read the file.
    """
    if (size := path.stat().st_size) > MAX_BYTES:
        raise UsageError(
            f"{name}: has {size:,} bytes, but an image may have at most {MAX_BYTES:,}",
            "scale the image down or remove it",
        )
    return path.read_bytes()


def decode_image(data: bytes, name: str, limit: PixelLimit = DEFAULT_LIMIT) -> Image.Image:
    """Decodes an image file to 8 bits a channel, upright according to its EXIF orientation.

    In a 16-bit grey image, 65535 counts as white, even if no pixel is that bright.

    Raises:
      UsageError: the file is not an image, is incomplete, has too many pixels, or has values that
        cannot be scaled to 8 bits.
    """
    image = open_image(data, name, limit)
    _check_image_values(image, data, name)
    with explain_decode_errors(data, name):
        image.load()
        image = ImageOps.exif_transpose(image)
    if image.mode == "RGBA" and is_marked_no_alpha(data):
        image = Image.merge("RGBX", image.split())
    if image.mode.startswith("I;16"):
        levels = np.asarray(image).astype(np.float64) / 257
        image = Image.fromarray(np.clip(levels.round(), 0, 255).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode == "La":  # Grey values multiplied by alpha; Pillow converts them only to LA.
        image = image.convert("LA")
    return image


def decode_pair(files: list[bytes], names: list[str]) -> tuple[Image.Image, Image.Image]:
    """Decodes A and B: the halves of one side-by-side image, or two images.

    Raises:
      UsageError: a file cannot be used; the message names the file.
    """
    images = [decode_image(data, name) for data, name in zip(files, names, strict=True)]
    if len(images) == 2:
        return images[0], images[1]
    width, height = images[0].size
    a, b = half_columns(width, names[0])
    return images[0].crop((a.start, 0, a.stop, height)), images[0].crop(
        (b.start, 0, b.stop, height)
    )


def open_image(data: bytes, name: str, limit: PixelLimit = DEFAULT_LIMIT) -> ImageFile:
    """Opens an image file without decoding its pixels.

    Raises:
      UsageError: the file is not an image, or has too many pixels.
    """
    with explain_decode_errors(data, name):
        image = Image.open(io.BytesIO(drop_texts(data)), formats=tuple(IMAGE_FORMATS))
    limit.check(image.width, image.height, name)
    return image


def bits_per_channel(image: Image.Image, data: bytes) -> int:
    """The number of bits in each channel of an image file.

    The number is read from the file, because Pillow's modes differ for 8 and 16 bits only if the
    image is grey.
    """
    if image.format == "PNG":
        return data[24]
    if isinstance(image, TiffImageFile):
        return max(image.tag_v2.get(BITS_PER_SAMPLE, (1,)))
    return 8


def _check_image_values(image: Image.Image, data: bytes, name: str) -> None:
    """Raises UsageError if the values of an image file cannot be scaled to 8 bits."""
    kind = {"F": FLOATS, "I": INTEGERS}.get(image.mode)
    bits = bits_per_channel(image, data)
    is_tiff = isinstance(image, TiffImageFile)
    check_value_type(kind, bits, is_tiff and image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO, name)


def check_value_type(kind: str | None, bits: int, white_is_zero: bool, name: str) -> None:
    """Raises UsageError if numbers cannot be scaled from black to white.

    For floats, signed integers and 32-bit integers, no value is known to be white. A TIFF file may
    also store white as 0, or have neither 8 nor 16 bits a channel.

    Args:
      kind: FLOATS or INTEGERS; None for unsigned integers of 8 or 16 bits.
      bits: the number of bits a channel.
      white_is_zero: whether 0 is white.
    """
    if kind:
        raise UsageError(
            f"{name}: the pixels are {kind}, so white is unknown",
            "scale them to unsigned integers of 8 or 16 bits, with 0 for black and the largest "
            "number for white",
        )
    if bits > 8 and white_is_zero:
        raise UsageError(
            f"{name}: stores white as 0 and black as the largest number",
            "save the image with black as 0",
        )
    if bits > 8 and bits != 16:
        raise UsageError(
            f"{name}: has {bits} bits a channel", "save the image with 8 or 16 bits a channel"
        )


def turn_upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turns pixels [h, w, c] upright; EXIF orientations other than 1 to 8 change nothing."""
    if orientation in SIDEWAYS:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


@contextmanager
def explain_decode_errors(data: bytes, name: str) -> Iterator[None]:
    """Turns every exception of a decoder into a UsageError that names the file.

    The `with` block may call only decoders (Pillow, OpenCV, tifffile), because a bug of ours must
    keep its traceback.
    """
    try:
        yield
    # For broken bytes, Pillow has raised OSError, SyntaxError, TypeError, ValueError and
    # DecompressionBombError, and OpenCV cv2.error. No decoder documents its exceptions.
    except Exception as error:
        if isinstance(error, UnidentifiedImageError) and (found := describe_no_image(data)):
            kind, fix = found
            raise UsageError(f"{name}: is {kind}", fix) from error
        reason = re.sub(r" <_io.BytesIO object at \w+>", "", str(error))
        if not data:
            reason = "the file is empty"
        raise UsageError(
            f"{name}: cannot be read as an image ({reason})", "repair or remove the file"
        ) from error


def encode_png(image: Image.Image) -> bytes:
    """Encodes an image as the bytes of a PNG, with little compression so that writing is fast."""
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()
