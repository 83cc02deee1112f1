"""Walks through folders, and names their files for the user."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.console import name_some
from pix2pix_jax.runtime.storage.files import explain_not_utf8, is_utf8


@dataclass(frozen=True)
class Source:
    """The folder or archive in which pairs are looked for.

    Attributes:
      root: the path of the source; for an archive, once it is unpacked, the folder of its content.
      name: the path or URL by which the user knows the source.
    """

    root: Path
    name: str

    def name_of(self, path: Path) -> str:
        """The name of a file or folder in the source, relative to the source."""
        return str(path.relative_to(self.root))

    def display_name(self, path: Path) -> str:
        """The name of a file for the user: its path, or the source and the path inside it."""
        return str(path) if self.is_folder else f"{self.name}: {self.name_of(path)}"

    @property
    def is_folder(self) -> bool:
        """Whether the user gave the folder, and not an archive."""
        return str(self.root) == self.name


def list_files(
    root: Path, enter: Callable[[Path], bool] = lambda _: True, only_files: bool = True
) -> list[Path]:
    """Lists all files below a folder, sorted by path; follows links to folders, but not in circles.

    Args:
      enter: a function that answers whether to search a given folder.
      only_files: whether to leave out links to files that do not exist, and entries that are not
        files, such as pipes and sockets.

    Raises:
      OSError: a folder cannot be read. A root that does not exist has no files.
    """
    paths: list[Path] = []
    # The real paths of each folder and of the folders above it.
    real_paths: dict[str, frozenset[str]] = {}
    for folder, folders, names in os.walk(root, onerror=_raise_unless_missing, followlinks=True):
        real_path = os.path.realpath(folder)
        above = real_paths.get(os.path.dirname(folder), frozenset())
        if real_path in above:
            folders.clear()
            continue
        real_paths[folder] = above | {real_path}
        folders[:] = sorted(name for name in folders if enter(Path(folder, name)))
        paths += [Path(folder, name) for name in names]
    files = [path for path in paths if not only_files or path.is_file()]
    return sorted(files, key=lambda path: path.parts)


def is_special(path: Path) -> bool:
    """Whether a path is a pipe, a socket or a device. Reading one may never end."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _raise_unless_missing(error: OSError) -> None:
    if error.errno not in (errno.ENOENT, errno.ENOTDIR):
        raise error


def check_utf8_names(paths: list[Path], source: Source) -> None:
    """Raises UsageError if names of files of a source are not UTF-8; see `check_utf8_name`."""
    foreign = [path for path in paths if not is_utf8(str(path))]
    if len(foreign) > 1:
        names = name_some([_printable(source.name_of(path)) for path in foreign])
        problem, fix = explain_not_utf8("rename these files and folders")
        raise UsageError(
            f"{source.name}: {len(foreign)} images have names that are {problem}: {names}", fix
        )
    for path in foreign:
        check_utf8_name(path, source.display_name(path))


def check_utf8_name(path: Path, name: str) -> None:
    """Raises UsageError if a file's name is not UTF-8, because records and pages are UTF-8."""
    if not is_utf8(str(path)):
        problem, fix = explain_not_utf8("rename the file or its folder")
        raise UsageError(f"{_printable(name)}: has a path that is {problem}", fix)


def _printable(name: str) -> str:
    """Replaces bytes that are not UTF-8 by \\udcXX, so that the name can be printed."""
    return name.encode(errors="backslashreplace").decode()
