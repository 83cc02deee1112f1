"""Reads TIFF files that Pillow reads wrongly.

These files have colours of 16 bits, separate planes, or extra bands that are not alpha.

Tifffile decodes these files, and Pillow decodes all other TIFF files.
"""

import io
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import tifffile

from pix2pix_jax.data.images.decoded_image import DecodedImage, describe_frames
from pix2pix_jax.data.images.image_files import explain_decode_errors
from pix2pix_jax.data.images.limits import DEFAULT_LIMIT, MAX_PIXELS, PixelLimit
from pix2pix_jax.data.images.signatures import TIFF_STARTS
from pix2pix_jax.data.images.tiff_pages import (
    check_page,
    count_copies,
    count_pages,
    first_page,
    has_direct_values,
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
    page = file and first_page(file)
    if page is None:
        return None
    check_page(page, name, limit)
    if not needs_tifffile(page):
        return None
    with explain_decode_errors(data, name):
        pixels = page.asarray(maxworkers=1)
    return make_image(page, pixels)


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
        page = first_page(opened)
        if page is None or page.imagewidth * page.imagelength <= MAX_PIXELS:
            return None
        check_page(page, name, limit)
        if not has_direct_values(page):
            return None
        if not page.is_memmappable:
            _check_room(page.nbytes, name)
        with explain_decode_errors(start, name):
            if page.is_memmappable:
                pixels = tifffile.memmap(path, page=0, mode="r")
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
