"""Expands the paths that a user gives, and replaces whole files and folders."""

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from pix2pix_jax.errors import UsageError

CACHE = "~/.cache/pix2pix_jax"  # prepared data, compiled programs, copies of buckets
# The errors of a folder that cannot be written.
PERMISSION_ERRNOS = (errno.EACCES, errno.EPERM, errno.EROFS)
CONFIG_NAME = "config.json"  # the config of a run, in its workdir
METRICS_NAME = "metrics.jsonl"  # the metrics of a run, in its workdir
BUCKET_COPIES = Path(CACHE, "buckets")  # local copies of folders in buckets


def is_address(location: str) -> bool:
    """Whether a text is an address such as gs://BUCKET/DIR, and not a path."""
    return "://" in location


def is_utf8(name: str) -> bool:
    """Whether the name of a file is UTF-8; on Linux, a name may have any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def explain_not_utf8(fix: str) -> tuple[str, str]:
    """What a name is that `is_utf8` refuses, and the fix.

    Args:
      fix: the fix if Python reads names as UTF-8. If not, a name can be right.
    """
    encoding = sys.getfilesystemencoding()
    if encoding == "utf-8":
        return "not UTF-8", fix
    return f"not {encoding}, the encoding of names in this environment", "set PYTHONUTF8=1"


def check_utf8(location: str, field: str) -> None:
    """Raises UsageError if a path is not UTF-8, because config files and datasets are UTF-8.

    Args:
      location: the path that the user gave.
      field: the field or flag.
    """
    if not is_utf8(location):
        problem, fix = explain_not_utf8("use another name")
        raise UsageError(f"{field}: {location} has a name that is {problem}", fix)


def local_path(location: str) -> Path:
    """The path on this machine of a file or folder that the user gave.

    Args:
      location: a path, in which "~" and "~USER" at the start become the user's home folder; or an
        address gs://BUCKET/DIR, which becomes the path of the local copy of that folder.

    Raises:
      UsageError: the address is not gs://BUCKET/DIR, or the home folder is not known.
    """
    if is_address(location):
        scheme, _, folder = location.partition("://")
        parts = folder.rstrip("/").split("/")
        if scheme != "gs" or {"", ".", ".."} & set(parts):
            raise UsageError(f"{location} is not a folder of a bucket", "give gs://BUCKET/DIR")
        return _expand_home(BUCKET_COPIES.joinpath(scheme, *parts), location)
    return _expand_home(Path(location), location)


def split_location(location: str) -> tuple[Path, str | None]:
    """The path of a location on this machine, and its address gs://BUCKET/DIR.

    The address is None if the location is a path.

    Raises:
      UsageError: the address is not gs://BUCKET/DIR, or the home folder is not known.
    """
    return local_path(location), location.rstrip("/") if is_address(location) else None


def _expand_home(path: Path, location: str) -> Path:
    """The path with "~" or "~USER" replaced; UsageError if that home folder is not known."""
    try:
        return path.expanduser()
    except RuntimeError as error:  # HOME is not set, or there is no such user.
        home = path.parts[0]
        fix = "set HOME" if home == "~" else "give the full path"
        raise UsageError(
            f"{location}: the home folder {home} is not known on this machine", fix
        ) from error


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Replaces a file in one step, so that a reader never sees half of the file.

    Args:
      path: the file; its folder is created if it does not exist.

    Yields:
      The path to write the new content to. At the end of the `with` block, the new file is
      renamed to `path`. If the block raises, the old file stays as it was.

    Raises:
      OSError: the file cannot be written; the error names `path` or its folder.
    """
    with _partial_file(path) as partial:
        yield partial
        partial.rename(path)


@contextmanager
def _partial_file(path: Path) -> Iterator[Path]:
    """Yields an unused path next to `path`; a file at that path is removed after the block.

    Raises:
      OSError: as in `_name_target`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Other processes may write the same file, so the name is unique. A long name is cut, because
    # the system limits the length.
    partial = path.with_name(f".{path.name[:40]}.{uuid4().hex}")
    try:
        with _name_target(partial, path):
            yield partial
    finally:
        with suppress(OSError):  # On a read-only disk, this would replace the first error.
            partial.unlink(missing_ok=True)


@contextmanager
def _name_target(hidden: Path, target: Path) -> Iterator[None]:
    """Makes an error of the `with` block name `target`, because the user does not know `hidden`.

    Args:
      hidden: the file or folder that the block writes.
      target: the file or folder that `hidden` will become.

    Raises:
      OSError: the block raised this error. If the error named `hidden`, a file in it, or no file,
        it now names `target`, or the folder that cannot be written.
    """
    try:
        yield
    except OSError as error:
        path = hidden if error.filename is None else Path(os.fsdecode(error.filename))
        if path == hidden and error.errno in PERMISSION_ERRNOS:
            error.filename = str(target.parent)
        elif path.is_relative_to(hidden):
            error.filename = str(target / path.relative_to(hidden))
        raise


def check_writable(path: Path) -> None:
    """Checks that a file or folder can be written, before a long computation.

    Args:
      path: the file or folder, which need not exist.

    Raises:
      OSError: the nearest folder that exists cannot be written; the error names this folder.
    """
    folder = next(place for place in (path, *path.absolute().parents) if place.is_dir())
    if not os.access(folder, os.W_OK | os.X_OK):
        is_read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
        number = errno.EROFS if is_read_only else errno.EACCES
        raise OSError(number, os.strerror(number), str(folder))


def write_atomically(path: Path, text: str) -> None:
    """Writes a text to a file in one step, so that a reader never sees half of the file."""
    with atomic_file(path) as partial:
        _write_durably(partial, text)


def create_atomically(path: Path, text: str) -> bool:
    """Writes a file that must not exist yet, so that only one of several processes succeeds.

    A file server creates each hard link only once, so this also works between hosts.

    Returns:
      True if this call created the file; False if the file exists, or if the disk offers no hard
      links.
    """
    with _partial_file(path) as partial:
        _write_durably(partial, text)
        try:
            os.link(partial, path)
        except OSError:  # The file exists, or the disk offers no hard links.
            return False
        return True


def _write_durably(path: Path, text: str) -> None:
    """Writes a text so that it survives a power cut; otherwise a renamed file could be empty."""
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def link_or_copy(source: Path, target: Path) -> None:
    """Makes `target` a hard link to a file, or a copy if the disk offers no hard links.

    Nothing is written if `target` is that link or an equal copy already.
    """
    new = source.stat()
    with suppress(FileNotFoundError):
        old = target.stat()
        is_link = (old.st_dev, old.st_ino) == (new.st_dev, new.st_ino)
        if is_link or (old.st_size, old.st_mtime_ns) == (new.st_size, new.st_mtime_ns):
            return
    with atomic_file(target) as partial:
        try:
            os.link(source, partial)
        except OSError:
            shutil.copy2(source, partial)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Replaces a whole folder, so that a reader never sees half of the new content.

    Only one process at a time may replace the same folder.

    Args:
      folder: the folder to replace, which need not exist.

    Yields:
      An empty folder to write the new content to. At the end of the `with` block, the new folder
      takes the place of `folder`. If the block raises, the old folder stays as it was.
    """
    old, new = folder.with_name(f".{folder.name}.old"), folder.with_name(f".{folder.name}.new")
    _restore_folder(folder, old, new)  # An earlier process may have been killed half-way.
    try:
        with _name_target(new, folder):
            new.mkdir(parents=True)
            yield new
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    finally:
        _restore_folder(folder, old, new)


def _restore_folder(folder: Path, old: Path, new: Path) -> None:
    """Brings the old folder back if `folder` is missing, then removes `old` and `new`."""
    if old.exists() and not folder.exists():
        old.rename(folder)
    for path in (old, new):
        shutil.rmtree(path, ignore_errors=True)
