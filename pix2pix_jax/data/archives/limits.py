"""Limits what untrusted archives may write, so that they cannot fill the disk."""

import errno
from dataclasses import dataclass
from pathlib import Path

from pix2pix_jax.errors import UsageError

# Images are compressed already, so an archive of images hardly grows. An archive is refused if it
# unpacks to more than MAX_RATIO times its size and to more than ALWAYS_ALLOWED bytes.
MAX_RATIO = 100
ALWAYS_ALLOWED = 1 << 30  # bytes
BLOCK = 4096  # bytes that even an empty file may occupy on disk


@dataclass
class ByteCount:
    """Counts the bytes that an archive unpacks to, up to a limit."""

    source: Path  # the archive
    limit: int  # in bytes
    total: int = 0  # in bytes

    @classmethod
    def start(cls, source: Path) -> "ByteCount":
        """A new count. The size of the archive determines its limit."""
        return cls(source, max(ALWAYS_ALLOWED, MAX_RATIO * source.stat().st_size))

    def add(self, size: int) -> None:
        """Adds `size` bytes to the total; raises UsageError if the total exceeds the limit."""
        self.total += size
        if self.total > self.limit:
            raise UsageError(
                f"{self.source}: unpacks to more than {self.limit / 1e9:.1f} GB, which is too much "
                "for images",
                "if you trust this file, unpack it yourself and give the folder",
            )

    def add_member(self, size: int, free: int, folder: Path) -> None:
        """Adds an unpacked file of `size` bytes, and the block that even an empty file occupies.

        Args:
          size: in bytes.
          free: the number of free bytes on the disk before the archive is unpacked.
          folder: the folder in which archives are unpacked.

        Raises:
          UsageError: the total exceeds the limit.
          OSError: the total exceeds the free space of the disk.
        """
        self.add(size + BLOCK)
        if self.total > free:
            raise OSError(
                errno.ENOSPC,
                f"needs more than the {free / 1e9:.1f} GB that are free in data.data_dir, {folder}",
                str(self.source),
            )

    def wrong_kind_error(self, member: str) -> UsageError:
        """The error for a member that is neither a file nor a folder."""
        return UsageError(
            f"{self.source}: contains {member}, which is neither a file nor a folder",
            "if you trust the archive, unpack it yourself and give the folder",
        )
