"""Opens the pages of TIFF files, and finds pages that Pillow decodes wrongly."""

import io
import logging
from pathlib import Path

import numpy as np
import tifffile
from PIL.TiffImagePlugin import COMPRESSION_INFO
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC, PLANARCONFIG, PREDICTOR, SAMPLEFORMAT

from pix2pix_jax.data.images.decoded_image import DecodedImage
from pix2pix_jax.data.images.image_files import (
    FLOATS,
    INTEGERS,
    ORIENTATION,
    UPRIGHT,
    check_value_type,
    turn_upright,
)
from pix2pix_jax.data.images.limits import PixelLimit
from pix2pix_jax.data.images.pixels import WHITE
from pix2pix_jax.errors import UsageError

ICC_PROFILE = 34675  # a tag of TIFF files
# The compressions that Pillow knows. Pillow may have been built without WebP.
PILLOW_COMPRESSIONS = set(COMPRESSION_INFO) - {COMPRESSION.WEBP}
# The compressions whose predictor Pillow undoes. Tifffile ignores the predictor of JPEG files, too.
PREDICTOR_COMPRESSIONS = PILLOW_COMPRESSIONS & {
    COMPRESSION.LZW,
    COMPRESSION.ADOBE_DEFLATE,
    COMPRESSION.DEFLATE,
    COMPRESSION.LZMA,
    COMPRESSION.ZSTD,
    COMPRESSION.OJPEG,
    COMPRESSION.JPEG,
}
# The number of bands that show colours.
COLOUR_BANDS: dict[int, int] = {
    PHOTOMETRIC.MINISWHITE: 1,
    PHOTOMETRIC.MINISBLACK: 1,
    PHOTOMETRIC.PALETTE: 1,
    PHOTOMETRIC.RGB: 3,
    PHOTOMETRIC.YCBCR: 3,
    PHOTOMETRIC.CIELAB: 3,
    PHOTOMETRIC.SEPARATED: 4,  # CMYK
}
# Pixels of these kinds are grey or RGB values.
DIRECT_COLOURS = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB)
MAX_OPENED_PAGES = 50  # at most this number of pages is checked for smaller copies
# Tifffile logs warnings about odd files, but every problem becomes a UsageError here.
logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)


def make_image(page: tifffile.TiffPage, pixels: np.ndarray) -> DecodedImage:
    """Makes the image of a page from its pixels as they are stored."""
    if page.axes == "SYX":
        pixels = np.moveaxis(pixels, 0, -1)
    pixels = pixels.reshape(*pixels.shape[:2], -1)  # [h, w, c]
    has_alpha = _has_alpha(page)
    is_multiplied = has_alpha and page.extrasamples[-1:] == (EXTRASAMPLE.ASSOCALPHA,)
    orientation, profile = page.tags.get(ORIENTATION), page.tags.get(ICC_PROFILE)
    return DecodedImage(
        turn_upright(pixels, orientation.value if orientation else UPRIGHT),
        has_alpha,
        is_multiplied=is_multiplied,
        profile=bytes(profile.value) if profile else None,
    )


def open_tiff(file: Path | io.BytesIO) -> tifffile.TiffFile | None:
    """Opens a TIFF file; None if tifffile cannot open it."""
    try:
        return tifffile.TiffFile(file)
    # For broken files, tifffile raises many kinds of exceptions. Pillow then names the reason.
    except Exception:
        return None


def image_page(file: tifffile.TiffFile) -> tifffile.TiffPage | None:
    """The page of a TIFF file that shows the image; None if it is damaged or not an image.

    This is the first page. If the first page is a thumbnail, this is the page in full size.
    """
    try:
        page = file.pages.first
        if page.is_reduced:
            page = _full_page(file, page)
    except Exception:  # tifffile raises many kinds of exceptions for broken files.
        return None
    if not isinstance(page, tifffile.TiffPage) or page.axes not in ("YX", "YXS", "SYX"):
        return None
    if page.compression == COMPRESSION.NONE:
        # Other programs ignore the predictor of uncompressed pages, and no program applies it.
        page.predictor = PREDICTOR.NONE
    # In a damaged file, a number may be missing or be several numbers.
    numbers = (page.imagewidth, page.imagelength, page.samplesperpixel, page.photometric)
    return page if all(isinstance(number, int) for number in numbers) else None


def _full_page(file: tifffile.TiffFile, thumbnail: tifffile.TiffPage) -> tifffile.TiffPage:
    """The page in full size of a file that begins with a thumbnail; the thumbnail without one."""
    further = [file.pages[index].aspage() for index in range(1, _count_opened(file))]
    parts = [page.aspage() for page in thumbnail.pages or ()]
    full = (page for page in [*further, *parts] if not (page.is_reduced or page.is_mask))
    return next(full, thumbnail)


def _count_opened(file: tifffile.TiffFile) -> int:
    """The number of pages to look at. In a damaged file, the pages may form a circle."""
    return min(len(file.pages), MAX_OPENED_PAGES)


def count_pages(file: tifffile.TiffFile) -> int:
    """The number of pages of a TIFF file; 1 if the further pages are damaged."""
    try:
        return len(file.pages)
    except Exception:  # tifffile raises many kinds of exceptions for broken files.
        return 1


def count_copies(file: tifffile.TiffFile) -> int:
    """The number of pages of a TIFF file that are smaller copies or masks of other pages."""
    try:
        pages = [file.pages[index].aspage() for index in range(_count_opened(file))]
    except Exception:  # tifffile raises many kinds of exceptions for broken files.
        return 0
    return sum(bool(page.is_reduced or page.is_mask) for page in pages)


def check_page(page: tifffile.TiffPage, name: str, limit: PixelLimit) -> None:
    """Raises UsageError if a page is too large, or cannot become an image of 1, 3 or 4 channels.

    Pages of other colours are left to Pillow, which checks them itself.
    """
    if page.photometric in COLOUR_BANDS:
        _check_numbers(page, name)
        _check_bands(page, name)
        limit.check(page.imagewidth, page.imagelength, name)


def _check_numbers(page: tifffile.TiffPage, name: str) -> None:
    """Raises UsageError if the numbers of a page cannot be scaled from black to white."""
    kinds: dict[int, str] = {SAMPLEFORMAT.INT: INTEGERS, SAMPLEFORMAT.IEEEFP: FLOATS}
    bits = _bits(page)
    kind = kinds.get(page.sampleformat, INTEGERS if bits > 16 else None)
    check_value_type(kind, bits, page.photometric == PHOTOMETRIC.MINISWHITE, name)


def _bits(page: tifffile.TiffPage) -> int:
    """The number of bits a channel; the largest number if the channels differ."""
    bits = page.bitspersample
    return max(bits) if isinstance(bits, tuple | bytes) else bits


def _check_bands(page: tifffile.TiffPage, name: str) -> None:
    """Raises UsageError if the bands of a page cannot be converted to 1, 3 or 4 channels."""
    bands, colours = page.samplesperpixel, COLOUR_BANDS[page.photometric]
    if bands == colours:
        return
    can_hold: dict[int, bool] = {
        PHOTOMETRIC.MINISBLACK: bands in (3, 4) or (bands == 2 and _has_alpha(page)),
        PHOTOMETRIC.MINISWHITE: bands == 2 and _has_alpha(page),
        PHOTOMETRIC.PALETTE: bands == 2 and _has_alpha(page),
        PHOTOMETRIC.RGB: bands == 4,
    }
    if not can_hold.get(page.photometric, False):
        raise UsageError(
            f"{name}: has {bands} bands, and it is unclear which of them are the colours",
            "save the bands that you need as an image of 1 band (grey), 3 bands (red, green and "
            "blue) or 4 bands",
        )


def has_direct_values(page: tifffile.TiffPage) -> bool:
    """Whether tifffile gives the grey or RGB values of a page, from 0 to 255 or 65535.

    Tifffile does not scale the values of pages with fewer bits.
    """
    return page.photometric in DIRECT_COLOURS and page.dtype in WHITE and _bits(page) in (8, 16)


def needs_tifffile(page: tifffile.TiffPage) -> bool:
    """Whether Pillow cannot read a page, or would lose bits, bands or the order of planes."""
    if not has_direct_values(page):
        return False
    has_planes = page.planarconfig == PLANARCONFIG.SEPARATE and page.samplesperpixel > 1
    extra = page.samplesperpixel - COLOUR_BANDS[page.photometric]
    if not is_known_to_pillow(page):
        return True
    pillow_reads_bands = _bits(page) <= 8 and (extra == 0 or (extra == 1 and _has_alpha(page)))
    return not pillow_reads_bands or (has_planes and extra > 0)


def is_known_to_pillow(page: tifffile.TiffPage) -> bool:
    """Whether Pillow knows the byte order, the compression and the predictor of a page."""
    if page.parent.is_bigtiff and page.parent.byteorder == ">":
        return False
    has_predictor = page.predictor != PREDICTOR.NONE
    return page.compression in (PREDICTOR_COMPRESSIONS if has_predictor else PILLOW_COMPRESSIONS)


def describe_kind(page: tifffile.TiffPage) -> str:
    """The kind of a page, for the user: its colours, bits, compression and byte order."""
    enums = page.photometric, page.compression
    colours, compression = (getattr(value, "name", f"number {value}") for value in enums)
    kind = f"{colours}, {_bits(page)} bits a channel, compression {compression}"
    if page.predictor != PREDICTOR.NONE:
        kind += " with a predictor"
    return f"{kind}, big-endian" if page.parent.byteorder == ">" else kind


def _has_alpha(page: tifffile.TiffPage) -> bool:
    """Whether the last band of a page is alpha.

    If an RGB file has a fourth band and no tag about it, the band is alpha for most programs.
    """
    if page.extrasamples:
        return page.extrasamples[-1] != EXTRASAMPLE.UNSPECIFIED
    return page.photometric == PHOTOMETRIC.RGB and page.samplesperpixel == 4
