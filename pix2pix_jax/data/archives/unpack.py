"""Unpacks untrusted archives: they cannot write outside their folder, and cannot fill the disk."""

import errno
import io
import lzma
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pix2pix_jax.data.archives.kinds import DECOMPRESSORS, describe_no_archive
from pix2pix_jax.data.archives.limits import ByteCount
from pix2pix_jax.data.archives.zip_files import unpack_zip
from pix2pix_jax.data.layout.walk import is_special
from pix2pix_jax.errors import DISK_ERRORS, UsageError, make_printable
from pix2pix_jax.runtime.console import name_some, say

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
        contains symbolic links or files that would be written outside the folder.
      OSError: the disk has too little free space, or the file cannot be read.
    """
    if source.is_dir():
        yield source
        return
    if is_special(source):
        raise UsageError(
            f"{source}: is a pipe, socket or device", "give a folder, tarball or zip file"
        )
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="unpacked-", dir=scratch) as root:
        try:
            files = _unpack_archive(source, Path(root))
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
        _report_repeated(source, files, Path(root))
        yield Path(root)


def _is_broken(error: OSError, root: str) -> bool:
    """Whether the content of an archive caused an error, and not the disk or the permissions.

    gzip and bz2 raise an OSError without a number. For a damaged zip file, zipfile may seek to a
    negative position (EINVAL). An archive may contain names that are too long, or a file and a
    folder of the same name.
    """
    is_inside = str(error.filename or "").startswith(root)
    return error.errno in (None, errno.EINVAL) or (is_inside and error.errno not in DISK_ERRORS)


def _report_repeated(source: Path, files: list[Path], root: Path) -> None:
    """Prints a line if several files of an archive have the same name.

    Args:
      source: the archive.
      files: the paths that its files were written to; a later file has replaced an earlier one.
      root: the folder that the archive was unpacked in.
    """
    counts = Counter(os.path.relpath(path, root) for path in files)
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        say(
            make_printable(
                f"{source}: contains more than one file named {name_some(repeated)}; the last file "
                "of each name is used; to use the others, too, give them other names"
            )
        )


def _unpack_archive(source: Path, root: Path) -> list[Path]:
    """Unpacks an archive to `root`; returns the path of each of its files."""
    with source.open("rb") as file:
        start = file.read(6)
    if start.startswith(ZIP_STARTS):
        return unpack_zip(source, root)
    member_check = _MemberCheck(ByteCount.start(source), shutil.disk_usage(root).free)
    openers = [opener for magic, (_, opener) in DECOMPRESSORS.items() if start.startswith(magic)]
    decompress = openers[0] if openers else open
    with decompress(source, "rb") as file:
        stream = _CountingReader(file, ByteCount.start(source))
        with tarfile.open(fileobj=stream, mode="r|") as archive:  # reads forward only
            archive.extractall(root, filter=member_check)
        while stream.read(1 << 20):  # Reading to the end checks the checksum.
            pass
    return member_check.files


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
    """The filter that tarfile calls before it writes a member; only files and folders pass.

    Attributes:
      count: the bytes of all members.
      free: the number of free bytes on the disk before the archive is unpacked.
      files: the paths that files are written to.
    """

    count: ByteCount
    free: int
    files: list[Path] = field(default_factory=list)

    def __call__(self, member: tarfile.TarInfo, root: str) -> tarfile.TarInfo | None:
        if member.islnk():
            self._copy_linked(member, Path(root))
            return None
        # The filter of tarfile allows links to places inside the folder, but a chain of such links
        # could lead out of the folder.
        if not (member.isreg() or member.isdir()):
            raise self.count.wrong_kind_error(member.name)
        # The size in the header counts, because a sparse file has few bytes in the tarball.
        self.count.add_member(member.size, self.free, Path(root).parent)
        checked = tarfile.data_filter(member, root)
        if member.isreg():
            self.files.append(Path(root, checked.name))
        return checked

    def _copy_linked(self, member: tarfile.TarInfo, root: Path) -> None:
        """Writes a hard link as a copy of its file, because not every disk offers hard links.

        tar writes a hard link for each further name of a file that has several names.

        Raises:
          UsageError: the file is not in the archive before the link.
          FilterError: the link or the file is outside the folder.
          OSError: the disk has too little free space.
        """
        linked = member.linkname.lstrip("/")  # as the names of members are written
        checked = tarfile.data_filter(member.replace(linkname=linked, deep=False), str(root))
        file, copy = root / linked, root / checked.name
        if not file.is_file():
            raise UsageError(
                f"{self.count.source}: contains {member.name}, a hard link to {member.linkname}, "
                "but this file does not come before the link",
                "make the archive again with `tar --hard-dereference`, or give the folder",
            )
        if copy.exists() and copy.samefile(file):
            return
        self.count.add_member(file.stat().st_size, self.free, root.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
        self.files.append(copy)
