"""Tarballs from strangers, unpacked into a folder of their own and nowhere else."""

import bz2
import errno
import gzip
import lzma
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pix2pix_jax.errors import UsageError

# By how a file begins.
PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open, b"]\0\0": lzma.open}
# Images are packed already: what unpacks to more was made to fill a disk.
MOST_TIMES, ALWAYS = 100, 1 << 30
BLOCK = 4096  # bytes that the smallest file takes


@contextmanager
def unpack(source: Path, scratch: Path) -> Iterator[Path]:
    """A directory as it is; a tarball as a directory that lasts for the `with` block.

    Raises:
      UsageError: a file that is no tarball, a broken one, one that writes outside itself, or one
        that is far larger than its size tells.
      OSError: more than the room that is left.
    """
    if source.is_dir():
        yield source
        return
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="unpacked-", dir=scratch) as root:
        try:
            _unpack(source, Path(root))
        except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
            if isinstance(error, OSError) and error.errno:  # no room, no permission
                raise
            raise UsageError(
                f"{source}: cannot be unpacked as a tarball ({error}); fetch it again, or give "
                "the directory that it holds"
            ) from error
        yield Path(root)


def _unpack(source: Path, root: Path) -> None:
    most = max(ALWAYS, MOST_TIMES * source.stat().st_size)
    taken, free = 0, shutil.disk_usage(root).free

    def allowed(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
        nonlocal taken
        if not (member.isreg() or member.isdir()):  # by chains of links one could get anywhere
            raise UsageError(
                f"{source}: holds {member.name}, which is neither a file nor a folder; if it is to "
                "be trusted, unpack it and give the directory"
            )
        taken += member.size + BLOCK
        _check(taken, most, source)
        if taken > free:
            raise OSError(
                errno.ENOSPC,
                f"needs more than the {free / 1e9:.1f} GB that are free in {root.parent}; make "
                "room, or give another --config.data.data_dir",
                str(source),
            )
        return tarfile.data_filter(member, path)

    with source.open("rb") as file:
        start = file.read(6)
    opened = next((PACKED[magic] for magic in PACKED if start.startswith(magic)), open)
    with opened(source, "rb") as file:
        bounded = _Bounded(file, most, source)
        with tarfile.open(fileobj=bounded, mode="r:") as archive:
            archive.extractall(root, filter=allowed)
        while bounded.read(1 << 20):  # to the checksum at its end
            pass


class _Bounded(NamedTuple):
    """What tarfile reads, which believes any size that it is told."""

    file: BinaryIO
    most: int
    source: Path

    def read(self, size: int) -> bytes:
        _check(self.file.tell() + size, self.most, self.source)
        return self.file.read(size)

    def seek(self, place: int) -> int:
        _check(place, self.most, self.source)
        return self.file.seek(place)

    def tell(self) -> int:
        _check(self.file.tell(), self.most, self.source)
        return self.file.tell()


def _check(size: int, most: int, source: Path) -> None:
    if size > most:
        raise UsageError(
            f"{source}: unpacks to more than {most / 1e9:.1f} GB, as no images do; if it is to be "
            "trusted, unpack it and give the directory"
        )
