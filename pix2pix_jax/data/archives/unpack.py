"""Unpacks untrusted archives: they cannot write outside their folder, and cannot fill the disk."""

import bz2
import errno
import gzip
import io
import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pix2pix_jax.data.archives.kinds import describe_no_archive
from pix2pix_jax.data.archives.limits import ByteCount
from pix2pix_jax.data.archives.zip_files import unpack_zip
from pix2pix_jax.errors import DISK_ERRORS, UsageError

# Maps the first bytes of a compressed file to the function that opens the file.
DECOMPRESSORS = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
    b"]\0\0": lzma.open,
}
ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
# Errors of a broken archive. gzip and bz2 also raise an OSError without a number.
BROKEN = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError)


@contextmanager
def unpack(source: Path, scratch: Path) -> Iterator[Path]:
    """Unpacks an archive to a temporary folder for a `with` block; a folder is used directly.

    Args:
      source: a folder, a zip file, or a tarball, which may be compressed by gzip, bzip2 or xz.
      scratch: the folder to unpack the archive in; created if it does not exist.

    Yields:
      The folder `source`, or the temporary folder with the content of the archive.

    Raises:
      UsageError: the file is not an archive, is broken, unpacks to far more than its own size, or
        contains links or files that would be written outside the folder.
      OSError: the disk has too little free space, or the file cannot be read.
    """
    if source.is_dir():
        yield source
        return
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="unpacked-", dir=scratch) as root:
        try:
            _unpack_archive(source, Path(root))
        except (*BROKEN, OSError) as error:
            if isinstance(error, OSError) and not _is_broken(error, root):
                raise
            what, fix = describe_no_archive(source)
            reason = str(error)
            if isinstance(error, OSError) and error.filename:
                reason = f"{error.strerror}: {str(error.filename).removeprefix(f'{root}/')}"
            raise UsageError(
                f"{source}: {what or f'cannot be unpacked as a tarball or zip file ({reason})'}",
                fix or "download the file again, or give a folder with its content",
            ) from error
        yield Path(root)


def _is_broken(error: OSError, root: str) -> bool:
    """Whether the content of an archive caused an error, and not the disk or the permissions.

    gzip and bz2 raise an OSError without a number. For a damaged zip file, zipfile may seek to a
    negative position (EINVAL). An archive may contain names that are too long, or a file and a
    folder of the same name.
    """
    is_inside = str(error.filename or "").startswith(root)
    return error.errno in (None, errno.EINVAL) or (is_inside and error.errno not in DISK_ERRORS)


def _unpack_archive(source: Path, root: Path) -> None:
    with source.open("rb") as file:
        start = file.read(6)
    if start.startswith(ZIP_STARTS):
        unpack_zip(source, root)
        return
    member_check = _MemberCheck(ByteCount.start(source), shutil.disk_usage(root).free)
    decompress = next((DECOMPRESSORS[m] for m in DECOMPRESSORS if start.startswith(m)), open)
    with decompress(source, "rb") as file:
        stream = _CountingReader(file, ByteCount.start(source))
        with tarfile.open(fileobj=stream, mode="r|") as archive:  # reads forward only
            archive.extractall(root, filter=member_check)
        while stream.read(1 << 20):  # Reading to the end checks the checksum.
            pass


class _CountingReader(io.RawIOBase):
    """A file that counts the bytes that are read from it.

    A header can be gigabytes long, and tarfile reads each header into memory as a whole. So the
    limit must also hold while a header is read.
    """

    def __init__(self, file: BinaryIO, count: ByteCount):
        super().__init__()
        self.file, self.count = file, count

    def read(self, size: int = -1) -> bytes:
        """Reads at most `size` bytes; raises UsageError if all reads together exceed the limit."""
        data = self.file.read(size)
        self.count.add(len(data))
        return data


@dataclass
class _MemberCheck:
    """The filter that tarfile calls before it writes a member; only files and folders pass."""

    count: ByteCount
    free: int  # free bytes on the disk

    def __call__(self, member: tarfile.TarInfo, root: str) -> tarfile.TarInfo:
        # The filter of tarfile allows links to places inside the folder, but a chain of such links
        # could lead out of the folder.
        if not (member.isreg() or member.isdir()):
            raise self.count.wrong_kind_error(member.name)
        # The size in the header counts, because a sparse file has few bytes in the tarball.
        self.count.add_member(member.size, self.free, Path(root).parent)
        return tarfile.data_filter(member, root)
