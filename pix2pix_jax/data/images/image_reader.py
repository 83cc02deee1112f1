"""Reads the image files that users give, for training, evaluation, translation and the demo.

This module chooses the decoder of each file, then converts its colours and collects notes. A record
contains the bytes of a file if `decode_image`, the decoder of records, gives the same pixels as
`read_image`. Otherwise the record contains the pixels of `read_image` as PNG.
"""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from pix2pix_jax.data.images.decoded_image import (
    ALPHA_NOTE,
    DecodedImage,
    describe_frames,
    normalize_bands,
    to_8_bits,
)
from pix2pix_jax.data.images.deep_files import (
    encode_deep_png,
    is_deep_ppm,
    read_deep_png,
    read_deep_ppm,
)
from pix2pix_jax.data.images.image_files import (
    IMAGE_FORMATS,
    bits_per_channel,
    decode_image,
    encode_png,
    explain_decode_errors,
    open_image,
    read_bytes,
)
from pix2pix_jax.data.images.limits import DEFAULT_LIMIT, PixelLimit
from pix2pix_jax.data.images.png_chunks import describe_colours, drop_texts, mark_no_alpha
from pix2pix_jax.data.images.profiles import convert_cmyk, convert_to_srgb, is_adobe_rgb_in_exif
from pix2pix_jax.data.images.signatures import BIG_ENDIAN_BIGTIFF, TIFF_STARTS
from pix2pix_jax.data.images.tiff_files import read_large_tiff, read_tiff, start_with_image
from pix2pix_jax.data.images.tiff_pages import count_copies, count_pages, open_tiff
from pix2pix_jax.errors import UsageError

# Cameras that write Adobe RGB without a profile say so in EXIF only.
ADOBE_RGB_NOTE = {
    "Adobe RGB": "the colours are Adobe RGB, but the file has no colour profile, so they are not "
    "converted to sRGB; save the images with their profile"
}


def read_image(data: bytes, name: str, limit: PixelLimit = DEFAULT_LIMIT) -> DecodedImage:
    """Reads an image file.

    Raises:
      UsageError: the file is not an image, is incomplete, has too many pixels, or has bands or
        types of numbers that cannot be converted to 1, 3 or 4 channels.
    """
    full = start_with_image(data)
    image = _read_pixels(full, name, limit)
    if image.pixels.shape[-1] >= 3 and (colours := describe_colours(data)):
        chunk = colours.rpartition(" ")[2]
        note = {chunk: f"the colours are not sRGB ({colours}), and are not converted to sRGB"}
        image = replace(image, notes=image.notes | note)
    image = _convert_colours_and_bands(image)
    keeps_bytes = image.keeps_bytes and full is data
    return replace(image, notes=image.notes | _describe_frames(full), keeps_bytes=keeps_bytes)


def _read_pixels(data: bytes, name: str, limit: PixelLimit) -> DecodedImage:
    """Reads the pixels of a file as they are stored, with the decoder for this kind of file."""
    if image := read_tiff(data, name, limit):
        return image
    header = open_image(data, name, limit)
    if header.format == "PNG" and bits_per_channel(header, data) == 16:
        return read_deep_png(header, data, name)
    if is_deep_ppm(header):
        return read_deep_ppm(header, data, name)
    return _read_8_bits(data, name, limit)


def read_file(path: Path, limit: PixelLimit) -> DecodedImage:
    """Reads an image file; a TIFF file of more than MAX_PIXELS pixels does not fill the memory.

    Raises:
      UsageError: as in `read_image`, or there is no room for a temporary file.
      OSError: the operating system refuses to read the file.
    """
    if image := read_large_tiff(path, str(path), limit):
        return _convert_colours_and_bands(image)
    return read_image(read_bytes(path, str(path)), str(path), limit)


def _convert_colours_and_bands(image: DecodedImage) -> DecodedImage:
    """Undoes multiplication by alpha, converts colours to sRGB, and adds the notes about bands."""
    # A mapped file is not changed as a whole; LargeImage completes the parts.
    if not isinstance(image.pixels, np.memmap):
        image = normalize_bands(image)
    image = convert_to_srgb(image)
    return replace(image, notes=image.notes | _describe_bands(image))


def _read_8_bits(data: bytes, name: str, limit: PixelLimit) -> DecodedImage:
    """Reads an image file of 8 bits a channel with Pillow."""
    image = decode_image(data, name, limit)
    profile = image.info.get("icc_profile")
    if image.mode == "CMYK":
        return _read_cmyk(image, profile)
    has_alpha = image.has_transparency_data
    is_grey = image.mode in ("1", "L", "LA")
    mode = ("LA" if is_grey else "RGBA") if has_alpha else ("L" if is_grey else "RGB")
    # `convert_channels` converts YCbCr and LAB directly, and not through RGB as below. Records of
    # such files need other bytes.
    keeps_bytes = image.mode not in ("YCbCr", "LAB")
    with explain_decode_errors(data, name):
        pixels = np.asarray(image.convert(mode))
    pixels = pixels.reshape(*pixels.shape[:2], -1)  # [h, w, c]
    # Pillow has converted LAB, so a profile of its colours is no longer true.
    profile = None if image.mode == "LAB" else profile
    is_adobe_rgb = mode.startswith("RGB") and profile is None and is_adobe_rgb_in_exif(image)
    notes = ADOBE_RGB_NOTE if is_adobe_rgb else {}
    return DecodedImage(pixels, has_alpha, notes, profile, keeps_bytes=keeps_bytes)


def _read_cmyk(image: Image.Image, profile: bytes | None) -> DecodedImage:
    """Converts a CMYK image to RGB, with its profile if it has one."""
    if converted := convert_cmyk(image, profile):
        notes = {"sRGB": "CMYK colours are converted to sRGB"}
        return DecodedImage(np.asarray(converted), notes=notes)
    notes = {"CMYK": "CMYK colours without a colour profile are only roughly right"}
    if profile:
        notes = {
            "CMYK profile": "CMYK colours are only roughly right, because the colour profile is "
            "damaged or is for another colour space than CMYK"
        }
    return DecodedImage(np.asarray(image.convert("RGB")), notes=notes, keeps_bytes=True)


def _describe_bands(image: DecodedImage) -> dict[str, str]:
    """The notes about alpha or a fourth band."""
    if image.has_alpha and image.pixels[..., -1].min() < np.iinfo(image.pixels.dtype).max:
        return ALPHA_NOTE
    if image.pixels.shape[-1] == 4 and not image.has_alpha:
        return {"bands": "the fourth band is dropped, because the run does not have 4 channels"}
    return {}


def _describe_frames(data: bytes) -> dict[str, str]:
    """The note about further frames or pages of a file whose first frame can be read."""
    tiff = open_tiff(io.BytesIO(data)) if data.startswith(TIFF_STARTS) else None
    if tiff and data.startswith(BIG_ENDIAN_BIGTIFF):
        return describe_frames(count_pages(tiff) - count_copies(tiff))
    try:
        image = Image.open(io.BytesIO(drop_texts(data)), formats=tuple(IMAGE_FORMATS))
        frames = getattr(image, "n_frames", 1)
    except UnidentifiedImageError:  # Only tifffile can read the file.
        frames = count_pages(tiff) if tiff else 1
    except Exception:  # Pillow raises many kinds of exceptions for a damaged frame.
        return {"frames": "only the first frame is used; another frame is damaged"}
    if frames > 1 and tiff:
        frames -= count_copies(tiff)
    return describe_frames(frames)


def record_bytes(data: bytes, image: DecodedImage) -> bytes:
    """The bytes of a file in a record: `decode_image` turns them into `to_8_bits(image)`.

    Returns:
      `data` if `decode_image` gives the same pixels; otherwise a PNG of 8 or 16 bits.
    """
    is_deep = image.pixels.dtype == np.uint16
    if image.keeps_bytes or (is_deep and _decodes_equally(data, image)):
        return data
    png = encode_integers(image.pixels)
    has_other_band = image.pixels.shape[-1] == 4 and not image.has_alpha
    return mark_no_alpha(png) if has_other_band else png


def _decodes_equally(data: bytes, image: DecodedImage) -> bool:
    """Decodes a file as records are decoded; True if this gives the same pixels as `image`."""
    wanted = to_8_bits(image)
    try:
        found = decode_image(data, "")
    except UsageError:
        return False
    return found.mode == wanted.mode and np.array_equal(np.asarray(found), np.asarray(wanted))


def encode_integers(pixels: np.ndarray) -> bytes:
    """Encodes pixels [h, w, c] as the bytes of a PNG; uint16 becomes 16 bits, uint8 8 bits."""
    if pixels.dtype == np.uint16:  # Pillow writes 16 bits only for grey images.
        return encode_deep_png(pixels)
    return encode_png(Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels))
