"""Tells what a file is from its first bytes: the one table for images, archives and other files."""

import re
from pathlib import Path
from typing import NamedTuple

PNG_START = b"\x89PNG\r\n\x1a\n"
BIG_ENDIAN_BIGTIFF = b"MM\0+"  # Pillow does not read these files.
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", BIG_ENDIAN_BIGTIFF)  # of TIFF and BigTIFF files
# The first bytes of formats that are read; `is_readable` knows the others.
READABLE_STARTS = (PNG_START, b"\xff\xd8\xff", b"GIF87a", b"GIF89a", *TIFF_STARTS)
NUM_BYTES = 512  # the number of first bytes that are enough for every function here
CONVERT = "convert it to PNG or JPEG"
SCALE = "scale the values to 8 or 16 bits and save the image as PNG"
FRAME = "save a frame as an image"
LFS_FIX = "run `git lfs pull`"
NPY_FIX = "save the array as PNG, or rename the file to .npy for `pix2pix translate`"
AGAIN = "download the image again"
UNPACK = "unpack it"
SAVE_IMAGES = "save the images of the file as PNG"


class Signature(NamedTuple):
    """The first bytes of a kind of file that is not read as an image.

    Attributes:
      offset: the place of the bytes in the file.
      start: the bytes; in lower case for a text.
      kind: what the file is.
      fix: what the user can do if the file was meant as an image.
      is_image: whether these bytes suffice to count a file without a known suffix as an image.
        Short signatures do not.
    """

    offset: int
    start: bytes
    kind: str
    fix: str
    is_image: bool = False

    @property
    def is_placeholder(self) -> bool:
        """Whether such a file was probably downloaded in place of another file."""
        return self.fix in (LFS_FIX, AGAIN)


SIGNATURES = (
    *(
        Signature(4, b"ftyp" + brand, kind, CONVERT, is_image=True)
        for kind, brands in {
            "an AVIF image": (b"avif", b"avis"),
            "a HEIF image (HEIC)": (b"hei", b"hev", b"mif", b"msf1"),
        }.items()
        for brand in brands
    ),
    Signature(4, b"ftyp", "a video", FRAME),
    Signature(0, b"\x1aE\xdf\xa3", "a video", FRAME),
    Signature(8, b"AVI LIST", "a video", FRAME),
    Signature(0, b"\0\0\0\x0cjP  ", "a JPEG 2000 image", CONVERT, is_image=True),
    Signature(0, b"\xff\x4f\xff\x51", "a JPEG 2000 image", CONVERT, is_image=True),
    Signature(0, b"\0\0\0\x0cJXL ", "a JPEG XL image", CONVERT, is_image=True),
    Signature(0, b"\xff\x0a", "a JPEG XL image", CONVERT),
    Signature(0, b"8BPS", "a Photoshop document", CONVERT, is_image=True),
    Signature(0, b"gimp xcf", "a GIMP document", CONVERT, is_image=True),
    Signature(0, b"%PDF", "a PDF document", CONVERT),
    Signature(0, b"%!PS", "a PostScript document", CONVERT),
    Signature(0, b"v/1\x01", "an OpenEXR image", CONVERT, is_image=True),
    Signature(0, b"#?RADIANCE", "a Radiance HDR image", CONVERT, is_image=True),
    Signature(0, b"DDS ", "a DDS texture", CONVERT, is_image=True),
    Signature(0, b"\0\0\x01\0", "an icon", CONVERT),
    Signature(0, b"qoif", "a QOI image", CONVERT, is_image=True),
    Signature(0, b"P7\n", "a PAM image", CONVERT, is_image=True),
    Signature(0, b"PF\n", "a PFM image", SCALE, is_image=True),
    Signature(0, b"Pf\n", "a PFM image", SCALE, is_image=True),
    Signature(128, b"DICM", "a DICOM image", SCALE, is_image=True),
    Signature(0, b"SIMPLE  =", "a FITS image", SCALE, is_image=True),
    Signature(344, b"n+1\0", "a NIfTI image", SCALE, is_image=True),
    Signature(0, b"\x89HDF", "an HDF5 file", SAVE_IMAGES),
    Signature(0, b"MATLAB 5.0 MAT-file", "a MATLAB file", SAVE_IMAGES),
    Signature(0, b"PAR1", "a Parquet file", SAVE_IMAGES),
    Signature(0, b"SQLite format 3\0", "an SQLite database", SAVE_IMAGES),
    *(
        Signature(0, b"\x80" + bytes([protocol]), "a Python pickle", SAVE_IMAGES)
        for protocol in (2, 3, 4, 5)
    ),
    Signature(0, b"\x93NUMPY", "a NumPy array", NPY_FIX, is_image=True),
    Signature(0, b"PK\x03\x04", "a zip archive", UNPACK),
    Signature(0, b"\x1f\x8b", "compressed by gzip", UNPACK),
    Signature(0, b"7z\xbc\xaf'\x1c", "a 7z archive", UNPACK),
    Signature(0, b"Rar!\x1a\x07", "a RAR archive", UNPACK),
    Signature(0, b"\x28\xb5\x2f\xfd", "compressed by zstd", UNPACK),
    Signature(0, b"\x04\x22\x4d\x18", "compressed by lz4", UNPACK),
    Signature(0, b"version https://git-lfs", "a Git LFS pointer", LFS_FIX),
    Signature(0, b"<svg", "an SVG drawing", CONVERT),
    Signature(0, b"<?xml", "an XML or SVG document", CONVERT),
    Signature(0, b"<!doctype", "a web page", AGAIN),
    Signature(0, b"<html", "a web page", AGAIN),
    Signature(0, b"{", "a text file", AGAIN),
)


def read_start(path: Path) -> bytes:
    """The first NUM_BYTES bytes of a file; raises OSError if the file cannot be opened."""
    with path.open("rb") as file:
        return file.read(NUM_BYTES)


def is_readable(start: bytes) -> bool:
    """Whether the first bytes of a file are those of a format that is read."""
    is_webp = start[:4] == b"RIFF" and start[8:12] == b"WEBP"
    is_bmp = start[:2] == b"BM" and start[6:10] == bytes(4) and len(start) > 26
    is_netpbm = bool(re.match(rb"P[1-6]\s+(#|\d)", start))
    return start.startswith(READABLE_STARTS) or is_webp or is_bmp or is_netpbm


def find_signature(start: bytes) -> Signature | None:
    """What a file with these first bytes is; None if no signature matches."""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()  # without a byte order mark
    for signature in SIGNATURES:
        is_text = signature.start[:1] in b"<{"
        if start[signature.offset :].startswith(signature.start):
            return signature
        if is_text and text.startswith(signature.start):
            return signature
    return None


def describe_no_image(data: bytes) -> tuple[str, str] | None:
    """Describes a file that is not a readable image.

    Returns:
      The kind of the file, and what the user can do; None if the first bytes are not known.
    """
    if data and not data.strip(b"\0"):
        return "an empty copy: all bytes are zero", "copy the image again"
    signature = find_signature(data[:NUM_BYTES])
    if not signature:
        return None
    return f"{signature.kind}{', not the image' * signature.is_placeholder}", signature.fix
