"""Unpacks untrusted zip files, with the same limits as for tarballs."""

import lzma
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pix2pix_jax.data.archives.limits import ByteCount
from pix2pix_jax.errors import UsageError

# Errors that zipfile raises for broken zip files, besides BadZipFile: ValueError, struct.error and
# OverflowError come from damaged headers, and RuntimeError from damaged flags of encryption.
BROKEN_ZIP = (ValueError, struct.error, OverflowError, RuntimeError)
BROKEN_ZIP += (zlib.error, lzma.LZMAError, EOFError)
ENCRYPTED = 1  # a bit of ZipInfo.flag_bits


def unpack_zip(source: Path, root: Path) -> list[Path]:
    """Unpacks a zip file to `root`.

    Returns:
      The path that each file was written to; files of the same name have the same path.

    Raises:
      UsageError: the zip file is encrypted or compressed by an unknown method, unpacks to far more
        than its own size, contains links or files that would be written outside the folder, or
        contains only NumPy arrays.
      OSError: the disk has too little free space, or a file cannot be written.
      BadZipFile: the zip file is broken.
    """
    count, free = ByteCount.start(source), shutil.disk_usage(root).free
    with _errors_of_zipfile(source):
        archive = zipfile.ZipFile(source)
    with archive:
        members = archive.infolist()
        if members and all(member.filename.endswith(".npy") for member in members):
            raise UsageError(
                f"{source}: contains NumPy arrays, but pairs are read from image files",
                "save each array as a PNG or TIFF file and give the folder with these files",
            )
        # zipfile writes at most the size in the header, so checking the headers is enough.
        targets = [_check_member(member, count, free, root) for member in members]
        files = []
        for member, target in zip(members, targets, strict=True):
            if member.is_dir() or member.filename.endswith("\\"):
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with _errors_of_zipfile(source), archive.open(member) as file, target.open("wb") as out:
                shutil.copyfileobj(file, out, 1 << 20)
            files.append(target)
    return files


@contextmanager
def _errors_of_zipfile(source: Path) -> Iterator[None]:
    """Turns the exceptions of zipfile in a `with` block into BadZipFile or UsageError."""
    try:
        yield
    except NotImplementedError as error:
        raise UsageError(
            f"{source}: uses a compression that this program cannot unpack ({error})",
            "unpack it yourself and give the folder with its content",
        ) from error
    except BROKEN_ZIP as error:
        raise zipfile.BadZipFile(str(error)) from error


def _check_member(member: zipfile.ZipInfo, count: ByteCount, free: int, root: Path) -> Path:
    """Counts the size of a member, and returns the path to write the member to."""
    # Some Windows programs write backslashes between folders.
    parts = member.filename.replace("\\", "/").split("/")
    if member.filename.startswith(("/", "\\")) or ".." in parts or parts[0].endswith(":"):
        raise UsageError(
            f"{count.source}: contains {member.filename}, which would be written outside the "
            "folder of this archive",
            "if you trust the archive, unpack it yourself and give the folder",
        )
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise count.wrong_kind_error(member.filename)
    if member.flag_bits & ENCRYPTED:
        raise UsageError(
            f"{count.source}: is encrypted",
            "unpack it yourself and give the folder with its content",
        )
    count.add_member(member.file_size, free, root.parent)
    return root.joinpath(*parts)
