"""Workdirs and data in a bucket: a folder of this machine stands for gs://BUCKET/FOLDER.

Checkpoints are renamed, logs grow and records are mapped into memory, and objects of a bucket can
do none of these. So what is there is fetched first, and what is new is sent while it comes.
"""

import base64
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import fsspec

from pix2pix_jax.config import UsageError, reason_of
from pix2pix_jax.files import MIRRORS, whole

NOT_SENT = re.compile(r"(^|/)\.|orbax-checkpoint-tmp|/incomplete\.")  # half written, or locks


class Bucket(NamedTuple):
    """A folder in one."""

    place: str
    files: fsspec.AbstractFileSystem
    root: str


Sent = dict[str, tuple[int, int]]  # of files: when they were changed, and how many bytes they have


def fetch(folder: Path, prefix: str, last: str) -> None:
    """Fetches what begins with `prefix` in a folder that stands for one in a bucket.

    Args:
      folder: one that stands for itself is left alone.
      prefix: of names.
      last: the file that `send` sends last to a folder; those without it are not whole.

    Raises:
      UsageError: the bucket cannot be reached.
    """
    if bucket := bucket_of(folder):
        known = {name: info for name, info in listed(bucket).items() if name.startswith(prefix)}
        folders = {PurePath(name).parent for name in known if PurePath(name).name == last}
        wanted = {name: known[name] for name in known if PurePath(name).parent in folders}
        fetch_these(bucket, folder, wanted)


def send(folder: Path, prefix: str, last: str) -> None:
    """Sends what begins with `prefix` in such a folder and is not there; as in `fetch`."""
    if bucket := bucket_of(folder):
        sent = {name: _state(folder / name) for name in listed(bucket) if (folder / name).exists()}
        send_new(bucket, folder, sent, prefix, last)


def bucket_of(folder: Path) -> Bucket | None:
    """What a folder stands for; None where that is itself."""
    if not folder.is_relative_to(MIRRORS) or len(folder.relative_to(MIRRORS).parts) < 2:
        return None
    place = "://".join(str(folder.relative_to(MIRRORS)).split("/", 1))
    try:
        files, root = fsspec.url_to_fs(place, use_listings_cache=False)  # others write there, too
    except ImportError as error:
        raise UsageError(f"{place}: needs pip install -e '.[gcs]'") from error
    except ValueError as error:
        raise UsageError(f"{place}: {error}; give gs://BUCKET/FOLDER") from error
    return Bucket(place, files, root)


@contextmanager
def reached(bucket: Bucket, mend: str = "mend the address or the access to it") -> Iterator[None]:
    """Raises UsageError for whatever the network and its libraries raise."""
    try:
        yield
    except (UsageError, BlockingIOError):
        raise
    except Exception as error:
        raise UsageError(
            f"{bucket.place}: cannot be reached ({reason_of(error)}); {mend}"
        ) from error


def listed(bucket: Bucket) -> dict[str, dict[str, Any]]:
    """What is known of the files in a bucket's folder, by their place there."""
    with reached(bucket):
        found = bucket.files.find(bucket.root, detail=True)
    return {
        name: info
        for path, info in found.items()
        if (name := path.removeprefix(bucket.root).lstrip("/"))
        and not (name.endswith("/") or NOT_SENT.search(name))
    }


def fetch_these(bucket: Bucket, folder: Path, known: dict[str, dict[str, Any]]) -> list[str]:
    """Makes these files of the folder what they are in the bucket; returns those that are gone."""
    gone = []
    for name, info in known.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise UsageError(f"{bucket.place}: holds {name}, which lies outside of it; remove it")
        if not _same(path, info):
            with reached(bucket):
                try:
                    with whole(path) as partial:
                        bucket.files.get_file(f"{bucket.root}/{name}", str(partial))
                except FileNotFoundError:
                    gone.append(name)
    return gone


def already_sent(bucket: Bucket, folder: Path) -> Sent:
    """What is in the bucket; in the state that it has here, where it is the same."""
    sent = {}
    for name, info in listed(bucket).items():
        same = _same(folder / name, info)
        sent[name] = _state(folder / name) if same else (0, 0)
    return sent


def states(folder: Path) -> Sent:
    """What is here, as if it was sent."""
    return {str(path.relative_to(folder)): _state(path) for path in _files(folder)}


def _same(path: Path, info: dict[str, Any]) -> bool:
    """Whether a file is what a bucket has; some of them know no hashes."""
    if "md5Hash" not in info or not path.exists() or path.stat().st_size != info["size"]:
        return False
    with path.open("rb") as file:
        return (
            base64.b64encode(hashlib.file_digest(file, "md5").digest()).decode() == info["md5Hash"]
        )


def send_new(
    bucket: Bucket, folder: Path, sent: Sent, prefix: str = "", last: str | None = None
) -> None:
    """Sends what was changed since; in its folder, a file called `last` is the last."""
    mend = f"what is not there yet is in {folder}, and the same command sends it"
    names = [str(path.relative_to(folder)) for path in _files(folder)]

    def order(name: str) -> tuple[bool, bool, str]:
        # A checkpoint says that all before it is there.
        return name.startswith("checkpoints/"), PurePath(name).name == last, name

    for name in sorted(names, key=order):
        if not name.startswith(prefix):
            continue
        try:
            state = _state(folder / name)
            if sent.get(name) != state:
                with reached(bucket, mend):
                    bucket.files.put_file(str(folder / name), f"{bucket.root}/{name}")
                sent[name] = state
        except (FileNotFoundError, UsageError):
            if (folder / name).exists():  # else of a checkpoint that is no longer kept
                raise


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _files(folder: Path) -> list[Path]:
    """All files that are whole."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if not NOT_SENT.search(str(path.relative_to(folder)))]
