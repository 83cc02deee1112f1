"""Tells what a file is that was given in place of a folder or an archive, and what to do."""

from pathlib import Path

from pix2pix_jax.data.layout.inventory import image_kind

FOLDER = "give a folder with its content"
# What files with these first bytes are, and the fix.
KINDS = {
    b"7z\xbc\xaf'\x1c": ("is a 7z archive", f"unpack it and {FOLDER}"),
    b"Rar!\x1a\x07": ("is a RAR archive", f"unpack it and {FOLDER}"),
    b"\x28\xb5\x2f\xfd": ("is compressed by zstd", f"unpack it and {FOLDER}"),
    b"\x04\x22\x4d\x18": ("is compressed by lz4", f"unpack it and {FOLDER}"),
    b"\x93NUMPY": (
        "is an array of NumPy, but pairs are read from image files",
        "save the images as PNG or TIFF files and give their folder",
    ),
    b"\x89HDF": (
        "is an HDF5 file, but pairs are read from image files",
        "save the images as PNG or TIFF files and give their folder",
    ),
}


def describe_file(source: Path) -> tuple[str, str]:
    """What a file is that is not an archive, and the fix; two empty texts if nothing is known."""
    with source.open("rb") as file:
        start = file.read(512)
    if not start:
        return "is an empty file", "download the file again, or give a folder with pairs"
    for first, description in KINDS.items():
        if start.startswith(first):
            return description
    if start.lstrip()[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "is a web page and not an archive", "download the file again, perhaps after a login"
    if image_kind(source):
        return "is a single image", "give the folder with the pairs as data.source"
    if source.suffix.lower() in (".csv", ".txt", ".json", ".jsonl", ".yaml"):
        return "is a list or a text and not an archive", "give the folder with the pairs"
    return "", ""
