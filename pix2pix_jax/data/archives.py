"""Unpacks untrusted tarballs: they cannot write outside their folder, and cannot fill the disk."""

import bz2
import errno
import gzip
import io
import lzma
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pix2pix_jax.errors import UsageError

# Maps the first bytes of a compressed file to the function that opens the file.
DECOMPRESSORS = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
    b"]\0\0": lzma.open,
}
# Images are compressed already, so a tarball of images hardly grows. A tarball is refused if it
# unpacks to more than MAX_RATIO times its size and to more than ALWAYS_ALLOWED bytes.
MAX_RATIO = 100
ALWAYS_ALLOWED = 1 << 30  # bytes
BLOCK = 4096  # bytes that even an empty file may occupy on disk
# Errors of a broken tarball; gzip and bz2 also raise an OSError without a number.
BROKEN = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)


@contextmanager
def unpack(source: Path, scratch: Path) -> Iterator[Path]:
    """Unpacks a tarball to a temporary folder for a `with` block; a folder is used directly.

    Args:
      source: a folder or a tarball, which may be compressed by gzip, bzip2 or xz.
      scratch: the folder to unpack the tarball in; created if it does not exist.

    Yields:
      The folder `source`, or the temporary folder with the content of the tarball.

    Raises:
      UsageError: the file is not a tarball, is broken, unpacks to far more than its own size, or
        contains links or files that would be written outside the folder.
      OSError: the disk has too little free space, or the file cannot be read.
    """
    if source.is_dir():
        yield source
        return
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="unpacked-", dir=scratch) as root:
        try:
            _unpack_tarball(source, Path(root))
        except (*BROKEN, OSError) as error:
            if isinstance(error, OSError) and error.errno:  # The tarball is not the cause.
                raise
            raise UsageError(
                f"{source}: cannot be unpacked as a tarball ({error}); download the file again, "
                "or give a folder with its content"
            ) from error
        yield Path(root)


def _unpack_tarball(source: Path, root: Path) -> None:
    limit = max(ALWAYS_ALLOWED, MAX_RATIO * source.stat().st_size)
    member_check = _MemberCheck(_ByteCount(source, limit), shutil.disk_usage(root).free)
    with source.open("rb") as file:
        start = file.read(6)
    decompress = next((DECOMPRESSORS[m] for m in DECOMPRESSORS if start.startswith(m)), open)
    with decompress(source, "rb") as file:
        stream = _CountingReader(file, _ByteCount(source, limit))
        with tarfile.open(fileobj=stream, mode="r|") as archive:  # reads forward only
            archive.extractall(root, filter=member_check)
        while stream.read(1 << 20):  # The checksum is at the end, so the whole file is read.
            pass


@dataclass
class _ByteCount:
    """Counts the bytes that a tarball unpacks to, up to a limit."""

    source: Path  # the tarball
    limit: int  # in bytes
    total: int = 0  # in bytes

    def add(self, size: int) -> None:
        """Adds `size` bytes to the total; raises UsageError if the total exceeds the limit."""
        self.total += size
        if self.total > self.limit:
            raise UsageError(
                f"{self.source}: unpacks to more than {self.limit / 1e9:.1f} GB, which is too much "
                "for images; if you trust this file, unpack it yourself and give the folder"
            )


class _CountingReader(io.RawIOBase):
    """A file that counts the bytes that are read from it.

    A header can be gigabytes long, and tarfile reads each header into memory as a whole. So the
    limit must also hold while a header is read.
    """

    def __init__(self, file: BinaryIO, count: _ByteCount):
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

    count: _ByteCount
    free: int  # free bytes on the disk

    def __call__(self, member: tarfile.TarInfo, root: str) -> tarfile.TarInfo:
        source = self.count.source
        # The filter of tarfile allows links to places inside the folder, but a chain of such links
        # could lead out of the folder.
        if not (member.isreg() or member.isdir()):
            raise UsageError(
                f"{source}: contains {member.name}, which is neither a file nor a folder; if you "
                "trust the tarball, unpack it yourself and give the folder"
            )
        # The size in the header counts, because a sparse file has few bytes in the tarball. BLOCK
        # counts, because even an empty file occupies space on the disk.
        self.count.add(member.size + BLOCK)
        if self.count.total > self.free:
            raise OSError(
                errno.ENOSPC,
                f"needs more than the {self.free / 1e9:.1f} GB that are free in data.data_dir, "
                f"{Path(root).parent}",
                str(source),
            )
        return tarfile.data_filter(member, root)
