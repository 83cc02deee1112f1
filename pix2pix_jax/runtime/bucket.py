"""Workdirs and data in a bucket: a folder of this machine stands for gs://BUCKET/FOLDER.

Checkpoints are renamed, logs grow and records are mapped into memory, and objects of a bucket can
do none of these. So what is there is fetched first, and what is new is sent while it comes.
"""

import base64
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import fsspec

from pix2pix_jax.errors import UsageError, reason_of
from pix2pix_jax.runtime.files import atomic_file

SILENCE = 120  # seconds
NOT_SENT = re.compile(r"(^|/)\.|orbax-checkpoint-tmp|/incomplete\.")  # half written, or locks


class Bucket(NamedTuple):
    """A folder in one."""

    place: str
    files: fsspec.AbstractFileSystem
    root: str


State = tuple[int, int]  # of a file here: when it was changed, in ns, and its size in bytes
Known = dict[str, dict[str, Any]]  # what a bucket tells of its files, by their place in the folder


def download_folder(address: str, folder: Path, prefix: str, last: str) -> None:
    """Downloads the complete subfolders whose path begins with `prefix`.

    Args:
      address: of the folder in the bucket.
      folder: its local copy.
      prefix: of paths in it.
      last: name of the file that `upload_folder` uploads last; a subfolder without it is
        incomplete and is skipped.

    Raises:
      UsageError: the bucket cannot be reached.
    """
    bucket = open_bucket(address)
    known = {name: info for name, info in list_files(bucket).items() if name.startswith(prefix)}
    complete = {PurePath(name).parent for name in known if PurePath(name).name == last}
    for name in sorted(known, key=lambda name: (PurePath(name).name == last, name)):
        if PurePath(name).parent in complete and not is_same_file(
            bucket, folder, name, known[name]
        ):
            download_file(bucket, folder, name)


def upload_folder(address: str, folder: Path, prefix: str, last: str) -> None:
    """Uploads the files whose path begins with `prefix` and that the bucket lacks.

    A prepared dataset never changes under the same name, so files that are there already are
    not compared. Args and Raises are those of `download_folder`.
    """
    bucket = open_bucket(address)
    known = list_files(bucket)
    new = [name for name in local_files(folder) if name.startswith(prefix) and name not in known]
    for name in sorted(new, key=lambda name: (PurePath(name).name == last, name)):
        upload_file(bucket, folder, name)


def open_bucket(address: str) -> Bucket:
    """The folder of a bucket at an address, gs://BUCKET/DIR.

    Raises:
      UsageError: the library for this kind of bucket is not installed.
    """
    try:
        # Other machines write to the bucket, so listings must not be cached.
        files, root = fsspec.url_to_fs(
            address, use_listings_cache=False, requests_timeout=_silence(address)
        )
    except ImportError as error:
        raise UsageError(f"{address}: needs pip install -e '.[gcs]'") from error
    return Bucket(address, files, root)


def _silence(place: str) -> Any:
    """What ends a request that nobody answers."""
    if not place.startswith("gs://"):
        return None
    from aiohttp import ClientTimeout

    return ClientTimeout(sock_connect=SILENCE, sock_read=SILENCE)


@contextmanager
def explain_bucket_errors(
    bucket: Bucket, mend: str = "mend the address or the access to it"
) -> Iterator[None]:
    """Raises UsageError for whatever the network and its libraries raise."""
    try:
        yield
    except (UsageError, BlockingIOError):
        raise
    except Exception as error:
        raise UsageError(
            f"{bucket.place}: cannot be reached ({reason_of(error)}); {mend}"
        ) from error


def list_files(bucket: Bucket) -> Known:
    """All files of a bucket's folder, but for those that were not meant to be sent."""
    with explain_bucket_errors(bucket):
        found = bucket.files.find(bucket.root, detail=True)
    return {
        name: info
        for path, info in found.items()
        if (name := path.removeprefix(bucket.root).lstrip("/"))
        and not (name.endswith("/") or NOT_SENT.search(name))
    }


def download_file(bucket: Bucket, folder: Path, name: str) -> bool:
    """Makes a file of the folder what it is in the bucket; False where it is there no more."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{bucket.place}: holds {name}, which lies outside of it; remove it")
    with explain_bucket_errors(bucket):
        try:
            with atomic_file(path) as partial:
                bucket.files.get_file(f"{bucket.root}/{name}", str(partial))
                with partial.open("rb") as file:
                    os.fsync(file.fileno())  # as what is recorded is not fetched again
        except FileNotFoundError:
            return False
    return True


def upload_file(bucket: Bucket, folder: Path, name: str) -> tuple[State, str] | None:
    """Makes a file of the bucket what it is in the folder.

    Returns:
      What it was here, and its version there; None where it has changed meanwhile.

    Raises:
      UsageError: the bucket cannot be reached, or has something else now.
    """
    place, state = f"{bucket.root}/{name}", file_state(folder / name)
    with explain_bucket_errors(
        bucket, f"what is not there yet is in {folder}; any command on it sends it"
    ):
        bucket.files.put_file(str(folder / name), place)
        (info,) = bucket.files.find(place, detail=True).values()
    if is_same_file(bucket, folder, name, info):
        return state, version_of(info)
    if file_state(folder / name) == state:
        raise UsageError(
            f"{bucket.place}: {name} is not there as it was sent; it is in {folder}, and any "
            "command on it sends it again"
        )
    return None


def version_of(info: dict[str, Any]) -> str:
    """What changes with every writing of a file in a bucket."""
    return str(info["generation"] if "generation" in info else info["created"])


def is_same_file(bucket: Bucket, folder: Path, name: str, info: dict[str, Any]) -> bool:
    """Whether a file of the folder is what the bucket has."""
    path = folder / name
    if not path.exists() or path.stat().st_size != info["size"]:
        return False
    with path.open("rb") as file:
        digest = base64.b64encode(hashlib.file_digest(file, "md5").digest()).decode()
    if "md5Hash" in info:
        return digest == info["md5Hash"]
    with explain_bucket_errors(bucket):  # of one that was put together from parts, say
        content = bucket.files.cat_file(f"{bucket.root}/{name}")
    return digest == base64.b64encode(hashlib.md5(content).digest()).decode()


def file_state(path: Path) -> State:
    """What changes with every writing of a file here."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def local_files(folder: Path) -> dict[str, State]:
    """All files that are whole, by their place in a folder; others may be removing some."""
    states = {}
    for directory, _, names in os.walk(folder):
        for path in (Path(directory, name) for name in names):
            with suppress(FileNotFoundError):
                states[str(path.relative_to(folder))] = file_state(path)
    return {place: state for place, state in states.items() if not NOT_SENT.search(place)}
