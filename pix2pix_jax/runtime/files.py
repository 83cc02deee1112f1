"""Files and folders that others may touch at the same time."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from pix2pix_jax.errors import UsageError

BUCKET_COPIES = Path("~/.cache/pix2pix_jax/buckets")  # local copies of folders in buckets


def is_address(place: str) -> bool:
    """Whether a folder is named by an address, gs://BUCKET/DIR, and not by a path."""
    return "://" in place


def local_path(place: str) -> Path:
    """The path on this machine of a file or folder that the user named.

    Args:
      place: a path, in which "~" and "~USER" at the start become the user's home folder; or an
        address gs://BUCKET/DIR, which becomes the path of the local copy of that folder.

    Raises:
      UsageError: an address that is not gs://BUCKET/DIR, or a home folder that is not known.
    """
    if is_address(place):
        scheme, _, folder = place.partition("://")
        parts = folder.rstrip("/").split("/")
        if scheme != "gs" or {"", ".", ".."} & set(parts):
            raise UsageError(f"{place} is no folder of a bucket; give gs://BUCKET/DIR")
        return _expand_home(BUCKET_COPIES.joinpath(scheme, *parts), place)
    return _expand_home(Path(place), place)


def _expand_home(path: Path, place: str) -> Path:
    """The path with "~" or "~USER" replaced; UsageError if that home folder is not known."""
    try:
        return path.expanduser()
    except RuntimeError as error:  # HOME is not set, or there is no such user
        home = path.parts[0]
        fix = "set HOME" if home == "~" else "give the full path"
        raise UsageError(
            f"{place}: the home folder {home} is not known on this machine; {fix}"
        ) from error


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
