"""Reads TIFF files that Pillow reads wrongly: 16 bits in colour, planes, and bands without a name.

Tifffile decodes these files. Pillow decodes all other TIFF files as well as any other library.
"""

import io
import logging

import numpy as np
import tifffile
from PIL.TiffImagePlugin import COMPRESSION_INFO
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC, PLANARCONFIG, SAMPLEFORMAT

from pix2pix_jax.data.images.file_image import FileImage
from pix2pix_jax.data.images.image_files import (
    check_num_pixels,
    check_white,
    explain_decode_errors,
    turn_upright,
)
from pix2pix_jax.errors import UsageError

PREFIXES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the first bytes of TIFF and BigTIFF files
ORIENTATION, NO_TURN = 274, 1  # a tag of TIFF files, and its value for an upright image
ICC_PROFILE = 34675  # a tag of TIFF files
# The compressions that Pillow knows. Pillow may have been built without WebP.
PILLOW_COMPRESSIONS = set(COMPRESSION_INFO) - {COMPRESSION.WEBP}
# The number of bands that show colours.
COLOUR_BANDS = {
    PHOTOMETRIC.MINISWHITE: 1,
    PHOTOMETRIC.MINISBLACK: 1,
    PHOTOMETRIC.PALETTE: 1,
    PHOTOMETRIC.RGB: 3,
    PHOTOMETRIC.YCBCR: 3,
    PHOTOMETRIC.CIELAB: 3,
    PHOTOMETRIC.SEPARATED: 4,  # CMYK
}
# Tifffile logs warnings about odd files, but every problem becomes a UsageError here.
logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)


def read_tiff(data: bytes, name: str) -> FileImage | None:
    """Reads a TIFF file that Pillow reads wrongly, upright.

    Args:
      data: the bytes of any image file.
      name: the name by which the user knows the file.

    Returns:
      The image; None if the file is no TIFF, or if Pillow reads it as it should.

    Raises:
      UsageError: the file has other numbers of bands or bits than an image, or is incomplete.
    """
    page = open_page(data)
    if page is None or page.photometric not in COLOUR_BANDS:
        return None
    _check_numbers(page, name)
    _check_bands(page, name)
    check_num_pixels(page.imagewidth, page.imagelength, name)
    if not _needs_tifffile(page):
        return None
    with explain_decode_errors(data, name):
        pixels = page.asarray(maxworkers=1)
    if page.axes == "SYX":
        pixels = np.moveaxis(pixels, 0, -1)
    pixels = pixels.reshape(*pixels.shape[:2], -1)  # [h, w, c]
    has_alpha = _has_alpha(page)
    if has_alpha and page.extrasamples[-1:] == (EXTRASAMPLE.ASSOCALPHA,):
        pixels = _divide_by_alpha(pixels)
    orientation = page.tags.get(ORIENTATION)
    pixels = turn_upright(pixels, orientation.value if orientation else NO_TURN)
    profile = page.tags.get(ICC_PROFILE)
    return FileImage(pixels, has_alpha, profile=bytes(profile.value) if profile else None)


def open_page(data: bytes) -> tifffile.TiffPage | None:
    """Opens the first page of a TIFF file; None if the file is no TIFF or tifffile cannot open it.

    Args:
      data: the bytes of any image file.
    """
    if not data.startswith(PREFIXES):
        return None
    try:
        page = tifffile.TiffFile(io.BytesIO(data)).pages.first
    # For broken files, tifffile raises many kinds of exceptions. Pillow then names the reason.
    except Exception:
        return None
    return page if isinstance(page, tifffile.TiffPage) and page.ndim in (2, 3) else None


def count_pages(data: bytes) -> int | None:
    """The number of images in a TIFF file, without smaller copies and masks of other images.

    Args:
      data: the bytes of any image file.

    Returns:
      The number; None if the file is no TIFF or a page is damaged.
    """
    if not data.startswith(PREFIXES):
        return None
    try:
        pages = tifffile.TiffFile(io.BytesIO(data)).pages
        return sum(not (page.is_reduced or page.is_mask) for page in pages) if len(pages) > 1 else 1
    except Exception:  # As in `open_page`.
        return None


def _check_numbers(page: tifffile.TiffPage, name: str) -> None:
    """Raises UsageError if the numbers of a page cannot be scaled from black to white."""
    kind = {
        SAMPLEFORMAT.INT: "signed or 32-bit integers",
        SAMPLEFORMAT.IEEEFP: "floats",
    }.get(page.sampleformat)
    bits = _bits(page)
    if bits > 16:
        kind = kind or "signed or 32-bit integers"
    check_white(kind, bits, page.photometric == PHOTOMETRIC.MINISWHITE, name)


def _bits(page: tifffile.TiffPage) -> int:
    """The number of bits a channel; the largest number if the channels differ."""
    bits = page.bitspersample
    return max(bits) if isinstance(bits, tuple) else bits


def _check_bands(page: tifffile.TiffPage, name: str) -> None:
    """Raises UsageError if a page has bands that no image of 1, 3 or 4 channels can hold."""
    bands, colours = page.samplesperpixel, COLOUR_BANDS[page.photometric]
    if bands == colours:
        return
    can_hold = {
        PHOTOMETRIC.MINISBLACK: bands in (3, 4) or (bands == 2 and _has_alpha(page)),
        PHOTOMETRIC.MINISWHITE: bands == 2 and _has_alpha(page),
        PHOTOMETRIC.PALETTE: bands == 2 and _has_alpha(page),
        PHOTOMETRIC.RGB: bands == 4,
    }
    if not can_hold.get(page.photometric, False):
        raise UsageError(
            f"{name}: has {bands} bands, but an image has 1, 3 or 4; save the bands that you need "
            "as an image of 1, 3 or 4 bands"
        )


def _needs_tifffile(page: tifffile.TiffPage) -> bool:
    """Whether Pillow would read a page in 8 bits, drop a band, or mix up its planes."""
    if page.photometric not in (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB):
        return False
    has_planes = page.planarconfig == PLANARCONFIG.SEPARATE and page.samplesperpixel > 1
    extra = page.samplesperpixel - COLOUR_BANDS[page.photometric]
    if page.compression not in PILLOW_COMPRESSIONS:
        return True
    is_plain = _bits(page) <= 8 and (extra == 0 or (extra == 1 and _has_alpha(page)))
    return not is_plain or (has_planes and extra > 0)


def _has_alpha(page: tifffile.TiffPage) -> bool:
    """Whether the last band of a page is alpha.

    If an RGB file has a fourth band and no tag about it, the band is alpha for most programs.
    """
    if page.extrasamples:
        return page.extrasamples[-1] != EXTRASAMPLE.UNSPECIFIED
    return page.photometric == PHOTOMETRIC.RGB and page.samplesperpixel == 4


def _divide_by_alpha(pixels: np.ndarray) -> np.ndarray:
    """Restores the colours [h, w, c] of a file that stores colours multiplied by alpha."""
    white = np.iinfo(pixels.dtype).max
    alpha = np.maximum(pixels[..., -1:], 1).astype(np.float32)
    colours = np.clip(np.round(pixels[..., :-1] * (white / alpha)), 0, white)
    return np.concatenate([colours.astype(pixels.dtype), pixels[..., -1:]], -1)
