"""Tells what a file is that cannot be read as an image, from its first bytes."""

CONVERT = "convert it to PNG or JPEG"
AGAIN = "download the image again"
# The place of the first bytes of a kind of file, these bytes, the kind, and what the user can do.
KINDS = (
    (4, b"ftypavi", "an AVIF image", CONVERT),
    *((4, b"ftyp" + brand, "a HEIF image (HEIC)", CONVERT) for brand in (b"hei", b"hev", b"mif")),
    (4, b"ftyp", "a video", "save a frame as an image"),
    (0, b"\x1aE\xdf\xa3", "a video", "save a frame as an image"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 image", CONVERT),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image", CONVERT),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL image", CONVERT),
    (0, b"\xff\x0a", "a JPEG XL image", CONVERT),
    (0, b"8BPS", "a Photoshop document", CONVERT),
    (0, b"%PDF", "a PDF document", CONVERT),
    (0, b"%!PS", "a PostScript document", CONVERT),
    (0, b"v/1\x01", "an OpenEXR image", CONVERT),
    (0, b"#?RADIANCE", "a Radiance HDR image", CONVERT),
    (0, b"DDS ", "a DDS texture", CONVERT),
    (0, b"\0\0\x01\0", "an icon", CONVERT),
    (0, b"qoif", "a QOI image", CONVERT),
    (0, b"P7\n", "a PAM image", CONVERT),
    (128, b"DICM", "a DICOM image", "scale its values to 8 or 16 bits and save it as PNG"),
    (0, b"SIMPLE  =", "a FITS image", "scale its values to 8 or 16 bits and save it as PNG"),
    (0, b"\x89HDF", "an HDF5 file", "save its images as PNG"),
    (0, b"\x93NUMPY", "an array of NumPy", "save it as PNG, or give translate a .npy name"),
    (0, b"PK\x03\x04", "a zip archive", "unpack it"),
    (0, b"\x1f\x8b", "compressed by gzip", "unpack it"),
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the image", "run `git lfs pull`"),
    (0, b"<svg", "an SVG drawing", CONVERT),
    (0, b"<?xml", "an XML or SVG document", CONVERT),
    (0, b"<!doctype", "a web page, not the image", AGAIN),
    (0, b"<html", "a web page, not the image", AGAIN),
    (0, b"{", "a text, not the image", AGAIN),
)


def describe_file(data: bytes) -> tuple[str, str] | None:
    """Describes a file that is not a readable image.

    Args:
      data: the bytes of the file.

    Returns:
      The kind of the file, and what the user can do; None if the first bytes are not known.
    """
    if data and not data.strip(b"\0"):
        return "nothing but zeros, as after a failed copy", "copy the image again"
    start = data[:256]
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()  # without a byte order mark
    for place, prefix, kind, fix in KINDS:
        if start[place:].startswith(prefix) or (prefix[:1] in b"<{" and text.startswith(prefix)):
            return kind, fix
    return None
