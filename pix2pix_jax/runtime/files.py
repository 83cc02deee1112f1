"""Files and folders that others may touch at the same time."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from pix2pix_jax.errors import UsageError

# If HOME is unset, "~" stays in the path; local_path then refuses an address.
BUCKET_COPIES = Path(os.path.expanduser("~/.cache/pix2pix_jax/buckets"))  # noqa: PTH111


def is_address(place: str) -> bool:
    """Whether a folder is named by an address, gs://BUCKET/DIR, and not by a path."""
    return "://" in place


def local_path(place: str) -> Path:
    """Where a folder lies on this machine: its path, or the local copy of a bucket's folder.

    Raises:
      UsageError: an address that is not gs://BUCKET/DIR, or a home folder that is not known.
    """
    if is_address(place):
        scheme, _, folder = place.partition("://")
        parts = folder.rstrip("/").split("/")
        if scheme != "gs" or {"", ".", ".."} & set(parts):
            raise UsageError(f"{place} is no folder of a bucket; give gs://BUCKET/DIR")
        if not BUCKET_COPIES.is_absolute():
            raise UsageError(f"{place}: is worked on in a folder of ~/.cache; set HOME")
        return BUCKET_COPIES.joinpath(scheme, *parts)
    return Path(place).expanduser()


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Where to write a file that, at the end of the `with` block, takes the place of `path`.

    So a reader never sees half of it, and where something fails the old one stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Others may be writing it, too; of a long name, so much as leaves room.
    partial = path.with_name(f".{path.name[:40]}.{uuid4().hex}")
    try:
        yield partial
        partial.rename(path)
    except OSError as error:
        if error.filename in (None, str(partial)):  # which means nothing to anybody
            error.filename = str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Writes a file of text whole."""
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())  # before its name, or it could be empty after a power cut


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Where to write a folder that, at the end of the `with` block, takes the place of `folder`.

    Where something fails the old one stays as it was. Nobody else may be writing it.
    """
    old, new = (folder.with_name(f".{folder.name}.{which}") for which in ("old", "new"))

    def settle() -> None:  # also what a killed process left
        if old.exists() and not folder.exists():
            old.rename(folder)
        for path in (old, new):
            shutil.rmtree(path, ignore_errors=True)

    settle()
    try:
        new.mkdir(parents=True)
        yield new
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    finally:
        settle()
