"""Tells what a file is that was given in place of a folder or an archive, and what to do."""

from pathlib import Path

from pix2pix_jax.data.images.signatures import UNPACK, find_signature, is_readable, read_start

ARRAYS = ("an array of NumPy", "an HDF5 file")
WEB_PAGES = (b"<!doctype", b"<html", b"<?xml")


def describe_no_archive(source: Path) -> tuple[str, str]:
    """What a file is that is not an archive, and the fix; two empty texts if nothing is known."""
    start = read_start(source)
    if not start:
        return "is an empty file", "download the file again, or give a folder with pairs"
    found = find_signature(start)
    if found and found.kind in ARRAYS:
        return (
            f"is {found.kind}, but pairs are read from image files",
            "save the images as PNG or TIFF files and give their folder",
        )
    # Zip and gzip are unpacked, so such a file is a broken archive.
    if found and found.fix == UNPACK and found.start not in (b"PK\x03\x04", b"\x1f\x8b"):
        return f"is {found.kind}", "unpack it and give a folder with its content"
    if found and found.start in WEB_PAGES:
        return "is a web page and not an archive", "download the file again, perhaps after a login"
    if is_readable(start) or (found and found.is_image):
        return "is a single image", "give the folder with the pairs as data.source"
    if source.suffix.lower() in (".csv", ".txt", ".json", ".jsonl", ".yaml"):
        return "is a list or a text and not an archive", "give the folder with the pairs"
    return "", ""
