"""Folders in cloud storage buckets, gs://BUCKET/DIR, and their local copies.

A run renames checkpoints, appends to logs and maps records into memory. A bucket allows none of
these operations, so a command works on a local copy of the folder. The command downloads the files
first, and uploads changed files later.
"""

import base64
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import fsspec

from pix2pix_jax.errors import DISK_ERRORS, UsageError, reason_of
from pix2pix_jax.runtime.storage.files import atomic_file

TIMEOUT_SECONDS = 120  # the time after which a request without an answer fails
# Hidden files (locks, leases, records) and files that are still being written stay local.
NOT_UPLOADED = re.compile(r"(^|/)\.|orbax-checkpoint-tmp|/incomplete\.")
# The fix if a bucket cannot be reached.
FIX_ADDRESS = "correct the address, get access to the bucket, or restore the network"


class LocalVersion(NamedTuple):
    """The version of a file on this machine; it changes whenever the file is written."""

    modified_ns: int  # time of the last write, in nanoseconds
    size: int  # bytes


@dataclass(frozen=True)
class BucketFile:
    """A file in a bucket.

    Attributes:
      size: in bytes.
      version: a text that changes whenever the file is written.
      md5: the MD5 hash in base64; None if the bucket does not know the hash, for example because
        the file was composed of parts.
    """

    size: int
    version: str
    md5: str | None

    @classmethod
    def from_info(cls, info: dict[str, Any]) -> "BucketFile":
        """Makes a BucketFile from the information that fsspec gives about a file."""
        version = info["generation"] if "generation" in info else info["created"]
        return cls(info["size"], str(version), info.get("md5Hash"))


class Bucket:
    """A folder inside a cloud storage bucket. A file is named by its path in the folder.

    Every method raises UsageError if the bucket cannot be reached.

    Args:
      address: gs://BUCKET/DIR.

    Raises:
      UsageError: the library for this kind of bucket is not installed.
    """

    def __init__(self, address: str):
        self.address = address
        try:
            # Other machines write to the bucket, so listings must not be cached.
            self._filesystem, self._root = fsspec.url_to_fs(
                address, use_listings_cache=False, requests_timeout=_request_timeout(address)
            )
        except ImportError as error:
            raise UsageError(
                f"{address}: the packages for buckets are not installed",
                "run pip install 'pix2pix_jax[gcs]'",
            ) from error

    def __str__(self) -> str:
        return self.address

    def _object(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _explain_errors(self, fix: str = FIX_ADDRESS) -> Iterator[None]:
        """Raises UsageError for an error of the network inside the `with` block.

        Put only calls of the file system into the block. Such a call may raise an exception of any
        type, because the exceptions of gcsfs, aiohttp, requests and google.auth have no common base
        class.

        Args:
          fix: the end of the message; it tells the user what to do.

        Raises:
          UsageError: the bucket cannot be reached.
          OSError: the disk of this machine failed during a transfer.
        """
        try:
            yield
        except Exception as error:
            if isinstance(error, OSError) and error.errno in DISK_ERRORS:
                raise
            raise UsageError(
                f"{self.address}: cannot be reached ({reason_of(error)})", fix
            ) from error

    def list_files(self) -> dict[str, BucketFile]:
        """All files of the folder by name, except hidden files and unfinished files."""
        with self._explain_errors():
            infos = self._filesystem.find(self._root, detail=True)
        named = {path.removeprefix(self._root).lstrip("/"): info for path, info in infos.items()}
        return {
            name: BucketFile.from_info(info)
            for name, info in named.items()
            if name and not name.endswith("/") and not NOT_UPLOADED.search(name)
        }

    def read_file(self, name: str) -> bytes | None:
        """The content of a file; None if there is no such file."""
        with self._explain_errors(), suppress(FileNotFoundError):
            return self._filesystem.cat_file(self._object(name))
        return None

    def write_file(self, name: str, content: bytes) -> None:
        """Writes or replaces a file."""
        with self._explain_errors():
            self._filesystem.pipe_file(self._object(name), content)

    def remove_file(self, name: str) -> None:
        """Removes a file, unless somebody has removed it already."""
        with self._explain_errors(), suppress(FileNotFoundError):
            self._filesystem.rm_file(self._object(name))

    def download_file(self, folder: Path, name: str) -> bool:
        """Downloads a file into a folder.

        Returns:
          True if the file was downloaded; False if the bucket does not have the file any more.

        Raises:
          UsageError: the bucket cannot be reached, or the name points outside the folder.
          OSError: the file cannot be written on this machine.
        """
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise UsageError(
                f"{self.address}: holds {name}, which lies outside the folder",
                f"remove {name} from the bucket",
            )
        try:
            with atomic_file(path) as partial:
                with self._explain_errors():
                    self._filesystem.get_file(self._object(name), str(partial))
                with partial.open("rb") as file:
                    # The file will be recorded as downloaded, so it must survive a power cut.
                    os.fsync(file.fileno())
        except UsageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return False
            raise
        return True

    def upload_file(self, folder: Path, name: str) -> tuple[LocalVersion, str] | None:
        """Uploads a file of a folder.

        Returns:
          The local version of the uploaded file, and the version in the bucket; None if the file
          changed during the upload.

        Raises:
          UsageError: the bucket cannot be reached, or the upload damaged the file.
          OSError: the file cannot be read on this machine.
        """
        version = local_version(folder / name)
        fix = f"run the same command again to upload the files that are still in {folder}"
        with self._explain_errors(fix):
            self._filesystem.put_file(str(folder / name), self._object(name))
            (info,) = self._filesystem.find(self._object(name), detail=True).values()
        file = BucketFile.from_info(info)
        if self.has_same_content(folder, name, file):
            return version, file.version
        if local_version(folder / name) == version:
            raise UsageError(
                f"{self.address}: {name} was damaged by the upload",
                f"run the same command again to upload the file from {folder}",
            )
        return None

    def has_same_content(self, folder: Path, name: str, file: BucketFile) -> bool:
        """Whether a file of a folder equals a file of the bucket, by size and MD5 hash."""
        path = folder / name
        if not path.exists() or path.stat().st_size != file.size:
            return False
        with path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "md5").digest()
        if file.md5 is not None:
            return base64.b64encode(digest).decode() == file.md5
        content = self.read_file(name)
        return content is not None and digest == hashlib.md5(content).digest()


def local_version(path: Path) -> LocalVersion:
    """The version of a file on this machine."""
    status = path.stat()
    return LocalVersion(status.st_mtime_ns, status.st_size)


def local_files(folder: Path) -> dict[str, LocalVersion]:
    """The versions of all files of a folder that belong in the bucket, by path in the folder.

    Another thread may remove files at the same time. Files that vanish are left out.
    """
    versions = {}
    for subfolder, _, names in os.walk(folder):
        for path in (Path(subfolder, name) for name in names):
            with suppress(FileNotFoundError):
                versions[str(path.relative_to(folder))] = local_version(path)
    return {name: version for name, version in versions.items() if not NOT_UPLOADED.search(name)}


def _request_timeout(address: str) -> Any:
    """The timeout for requests, as gcsfs expects it; None for other file systems."""
    if not address.startswith("gs://"):
        return None
    from aiohttp import ClientTimeout  # installed with the extra "gcs"

    return ClientTimeout(sock_connect=TIMEOUT_SECONDS, sock_read=TIMEOUT_SECONDS)
