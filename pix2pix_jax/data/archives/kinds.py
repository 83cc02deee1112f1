"""Explains why a file cannot be used as data.source, and what the user can do."""

from pathlib import Path

from pix2pix_jax.data.images.signatures import UNPACK, find_signature, is_readable, read_start

ARRAYS = ("a NumPy array", "an HDF5 file")
WEB_PAGES = (b"<!doctype", b"<html")


def describe_no_archive(source: Path) -> tuple[str, str]:
    """The problem with a file that is not an archive, and the fix; ("", "") if both are unknown."""
    start = read_start(source)
    if not start:
        return "is an empty file", "download the file again, or give a folder with pairs"
    found = find_signature(start)
    if found and found.kind in ARRAYS:
        return (
            f"is {found.kind}, but pairs are read from image files",
            "save the images as PNG or TIFF files and give the folder with these files",
        )
    # Zip and gzip are unpacked, so such a file is a broken archive.
    if found and found.fix == UNPACK and found.start not in (b"PK\x03\x04", b"\x1f\x8b"):
        return f"is {found.kind}", "unpack it and give a folder with its content"
    if found and found.start in WEB_PAGES:
        return "is a web page and not an archive", "download the file again, perhaps after a login"
    if found and found.start == b"<?xml":
        return "is an XML document and not an archive", "download the file again"
    if is_readable(start) or (found and found.is_image):
        return "is a single image", "give the folder with the pairs as data.source"
    if source.suffix.lower() in (".csv", ".txt", ".json", ".jsonl", ".yaml"):
        return "is a text file and not an archive", "give the folder with the pairs as data.source"
    return "", ""
