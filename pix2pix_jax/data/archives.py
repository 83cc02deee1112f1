"""Unpacking tarballs from strangers: nothing is written outside, and no tarball fills the disk."""

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

# How to open a compressed file, by its first bytes.
DECOMPRESSORS = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
    b"]\0\0": lzma.open,
}
# Images are compressed already. A tarball that unpacks to more than both limits, a hundred times
# its size and a gigabyte, was made to fill a disk.
MAX_RATIO = 100
ALWAYS_ALLOWED = 1 << 30  # bytes
BLOCK = 4096  # bytes on disk of the smallest file
BROKEN = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)  # not a whole tarball


@contextmanager
def unpack(source: Path, scratch: Path) -> Iterator[Path]:
    """Unpacks a tarball for the `with` block; a directory is used as it is.

    Args:
      source: a directory or a tarball, which may be compressed by gzip, bzip2 or xz.
      scratch: where the tarball is unpacked; created if it does not exist.

    Yields:
      The directory, or that with the content of the tarball.

    Raises:
      UsageError: the file is not a tarball, is broken, holds links, has files that would be
        written outside, or unpacks to far more than its own size.
      OSError: the disk has too little room.
    """
    if source.is_dir():
        yield source
        return
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="unpacked-", dir=scratch) as root:
        try:
            _unpack_tarball(source, Path(root))
        except (*BROKEN, OSError) as error:
            if isinstance(error, OSError) and error.errno:  # of the disk, not of the tarball
                raise
            raise UsageError(
                f"{source}: cannot be unpacked as a tarball ({error}); fetch it again, or give "
                "the directory that it holds"
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
        while stream.read(1 << 20):  # to the end of the file, where its checksum is
            pass


@dataclass
class _ByteCount:
    """Counts the bytes that a tarball unpacks to, up to a limit."""

    source: Path
    limit: int
    total: int = 0

    def add(self, size: int) -> None:
        """Adds to the total; raises UsageError if it exceeds the limit."""
        self.total += size
        if self.total > self.limit:
            raise UsageError(
                f"{self.source}: unpacks to more than {self.limit / 1e9:.1f} GB, as no images do; "
                "if you trust it, unpack it and give the directory"
            )


class _CountingReader(io.RawIOBase):
    """A file to read, whose bytes are counted.

    tarfile keeps whole headers in memory, so a header of gigabytes must stop while it is read.
    """

    def __init__(self, file: BinaryIO, count: _ByteCount):
        super().__init__()
        self.file, self.count = file, count

    def read(self, size: int = -1) -> bytes:
        """The next bytes of the file."""
        data = self.file.read(size)
        self.count.add(len(data))
        return data


@dataclass
class _MemberCheck:
    """The filter of tarfile that decides what is written: files and folders that have room."""

    count: _ByteCount
    free: int  # bytes on the disk

    def __call__(self, member: tarfile.TarInfo, root: str) -> tarfile.TarInfo:
        source = self.count.source
        # tarfile's own filter lets links pass that stay inside; chains of links could get out.
        if not (member.isreg() or member.isdir()):
            raise UsageError(
                f"{source}: holds {member.name}, which is neither a file nor a folder; if you "
                "trust it, unpack it and give the directory"
            )
        # What a sparse file takes is in its header alone, and empty files take room, too.
        self.count.add(member.size + BLOCK)
        if self.count.total > self.free:
            raise OSError(
                errno.ENOSPC,
                f"needs more than the {self.free / 1e9:.1f} GB that are free in "
                f"{Path(root).parent}; make room, or give another --config.data.data_dir",
                str(source),
            )
        return tarfile.data_filter(member, root)
