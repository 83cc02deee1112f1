"""Reads TIFF files that Pillow reads wrongly.

These files have colours of 16 bits, separate planes, extra bands that are not alpha, or a
compression that Pillow does not know.

Tifffile decodes these files, and Pillow decodes all other TIFF files.
"""

import io
import shutil
import struct
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError

from pix2pix_jax.data.images.decoded_image import DecodedImage, describe_frames
from pix2pix_jax.data.images.image_files import explain_decode_errors
from pix2pix_jax.data.images.limits import DEFAULT_LIMIT, MAX_PIXELS, PixelLimit
from pix2pix_jax.data.images.signatures import TIFF_STARTS
from pix2pix_jax.data.images.tiff_pages import (
    check_page,
    count_copies,
    count_pages,
    describe_kind,
    has_direct_values,
    image_page,
    is_known_to_pillow,
    make_image,
    needs_tifffile,
    open_tiff,
)
from pix2pix_jax.errors import UsageError


def read_tiff(data: bytes, name: str, limit: PixelLimit = DEFAULT_LIMIT) -> DecodedImage | None:
    """Reads a TIFF file that Pillow reads wrongly, upright.

    Returns:
      The image; None if the file is not a TIFF file, or if Pillow reads it correctly.

    Raises:
      UsageError: the file has a number of bands or bits that cannot be converted, or is incomplete.
    """
    file = open_tiff(io.BytesIO(data)) if data.startswith(TIFF_STARTS) else None
    page = file and image_page(file)
    if page is None:
        return None
    check_page(page, name, limit)
    if not needs_tifffile(page):
        _check_pillow_reads(page, data, name)
        return None
    with explain_decode_errors(data, name):
        pixels = page.asarray(maxworkers=1)
    return make_image(page, pixels)


def _check_pillow_reads(page: tifffile.TiffPage, data: bytes, name: str) -> None:
    """Raises UsageError if Pillow cannot read a page of a file that is not damaged."""
    is_known = is_known_to_pillow(page)
    if is_known:
        try:
            Image.open(io.BytesIO(data), formats=("TIFF",))
        except UnidentifiedImageError:
            is_known = False
        except Exception:  # Pillow raises many kinds of exceptions for a damaged file.
            return
    if not is_known:
        raise UsageError(
            f"{name}: is a TIFF file of a kind that is not read ({describe_kind(page)})",
            "save the image as PNG, or as TIFF with grey or RGB values of 8 or 16 bits",
        )


def start_with_image(data: bytes) -> bytes:
    """Makes the page in full size the first page of a TIFF file that begins with a thumbnail.

    Returns:
      The bytes with another offset of the first page; `data` itself if there is nothing to change.
    """
    file = open_tiff(io.BytesIO(data)) if data.startswith(TIFF_STARTS) else None
    page = file and image_page(file)
    if file is None or page is None or page.offset == file.pages.first.offset:
        return data
    start, kind = (8, "Q") if file.is_bigtiff else (4, "I")
    offset = struct.pack(file.byteorder + kind, page.offset)
    return data[:start] + offset + data[start + len(offset) :]


def read_large_tiff(path: Path, name: str, limit: PixelLimit) -> DecodedImage | None:
    """Reads a TIFF file of more than MAX_PIXELS pixels strip by strip, without filling the memory.

    The pixels stay in the file, or are decompressed into a temporary file.

    Returns:
      The image; None if the file is not TIFF, has fewer pixels, or can only be read by Pillow.

    Raises:
      UsageError: as in `read_tiff`, or there is no room for a temporary file.
      OSError: the operating system refuses to read the file.
    """
    with path.open("rb") as file:
        start = file.read(4)
    if start not in TIFF_STARTS:
        return None
    if (opened := open_tiff(path)) is None:
        return None
    with opened:
        page = image_page(opened)
        if page is None or page.imagewidth * page.imagelength <= MAX_PIXELS:
            return None
        check_page(page, name, limit)
        if not has_direct_values(page):
            return None
        if not page.is_memmappable:
            _check_room(page.nbytes, name)
        with explain_decode_errors(start, name):
            if page.is_memmappable:
                dtype = np.dtype(page.dtype).newbyteorder(opened.byteorder)
                pixels = np.memmap(path, dtype, "r", page.dataoffsets[0], page.shape)
            else:
                pixels = page.asarray(out="memmap", maxworkers=1)
        notes = describe_frames(count_pages(opened) - count_copies(opened))
        return replace(make_image(page, pixels), notes=notes)


def _check_room(size: int, name: str) -> None:
    """Raises UsageError if a temporary file of `size` bytes does not fit on its disk.

    A full disk would kill the process, because the file is mapped into memory.
    """
    folder = tempfile.gettempdir()
    if shutil.disk_usage(folder).free < size:
        raise UsageError(
            f"{name}: is decompressed into a temporary file of {size / 2**30:,.1f} GiB, but "
            f"{folder} has less room",
            "make room there, or set TMPDIR to a folder on another disk",
        )
