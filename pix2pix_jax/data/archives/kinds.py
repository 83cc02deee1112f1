"""Explains why a file cannot be used as data.source, and what the user can do."""

import bz2
import gzip
import lzma
import re
import zlib
from pathlib import Path

from pix2pix_jax.data.images.signatures import (
    LFS_FIX,
    NPY_FIX,
    NUM_BYTES,
    UNPACK,
    Signature,
    find_signature,
    is_readable,
    read_start,
)

# Maps the first bytes of a compressed file to the name of the compression and the function that
# opens the file.
DECOMPRESSORS = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ": ("xz", lzma.open),
    b"]\0\0": ("lzma", lzma.open),
}
ARCHIVE_NAME = re.compile(r"\.(zip|tar|tgz|tbz2?|txz|gz|bz2|xz|7z|rar|zst)$", re.IGNORECASE)
TAR_MAGIC = slice(257, 262), b"ustar"  # the place of these bytes in a tarball, and the bytes
CONTROL_BYTES = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")  # bytes that no text contains
GIVE_FOLDER = "give the folder with the pairs as data.source"


def describe_no_archive(source: Path) -> tuple[str, str]:
    """The problem with a file that is not an archive, and the fix; ("", "") if both are unknown."""
    start = read_start(source)
    if not start:
        return "is an empty file", "download the file again, or give a folder with pairs"
    for magic, (name, decompress) in DECOMPRESSORS.items():
        if start.startswith(magic):
            try:
                with decompress(source, "rb") as file:
                    what, _ = _describe_start(file.read(NUM_BYTES), source)
            except (OSError, EOFError, zlib.error, lzma.LZMAError):
                return "", ""
            if not what:
                return "", ""
            return f"is compressed by {name}, and its content {what}", GIVE_FOLDER
    if source.suffix.lower() in (".tfrecord", ".tfrecords"):
        return _describe_no_images("is a TFRecord file")
    return _describe_start(start, source)


def _describe_start(start: bytes, source: Path) -> tuple[str, str]:
    """Describes a file by its first bytes, like `describe_no_archive`."""
    place, magic = TAR_MAGIC
    found = find_signature(start)
    if start[place] == magic or (found and found.start == b"PK\x03\x04"):
        return "", ""  # This file is a broken archive.
    again = "download the file again" if ARCHIVE_NAME.search(source.name) else GIVE_FOLDER
    if found and found.is_placeholder:
        return f"is {found.kind} and not an archive", _fix_of_placeholder(found, again)
    if found and found.fix == UNPACK:
        return f"is {found.kind}", "unpack it and give a folder with its content"
    if found and found.start == b"<?xml":
        return "is an XML document and not an archive", again
    if is_readable(start) or (found and found.is_image and found.fix != NPY_FIX):
        return "is a single image", GIVE_FOLDER
    if found:
        return _describe_no_images(f"is {found.kind}")
    if not CONTROL_BYTES.search(start):
        return "is a text file and not an archive", again
    return "", ""


def _fix_of_placeholder(found: Signature, again: str) -> str:
    """What to do about a file that was downloaded in place of an archive."""
    if found.fix == LFS_FIX:
        return f"{LFS_FIX}, then run the same command again"
    if found.start == b"{":
        return again
    return "download the file again, perhaps after a login"


def _describe_no_images(what: str) -> tuple[str, str]:
    return (
        f"{what}, but pairs are read from image files",
        "save the images as PNG or TIFF files and give the folder with these files",
    )
