"""Keeps compiled programs in JAX's cache on the disk, and removes damaged programs from it."""

import hashlib
import os
import re
import stat
import sys
import warnings
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.console import say
from pix2pix_jax.runtime.cpu import cpu_info
from pix2pix_jax.runtime.storage.files import CACHE, is_address, local_path

VARIABLE = "JAX_COMPILATION_CACHE_DIR"
# Matches JAX's warning about a cache file that it cannot read or write.
WARNING = re.compile(
    r"Error (?P<action>reading|writing) persistent compilation cache entry for "
    r"'(?P<program>[^']*)': (?P<kind>\w+): (\[Errno \d+\] )?(?P<reason>[^:\n]*)"
)
# The kinds of errors that only a damaged file causes, but that do not name the file: XLA found no
# program in a decompressed file, or zstandard could not decompress a file.
DAMAGE_ERRORS = ("JaxRuntimeError", "XlaRuntimeError", "ZstdError")
ZLIB_HEADER = b"\x78"  # the first byte of a file that JAX compressed with zlib


def cache_compiled_programs() -> None:
    """Sets the folder of JAX's cache of compiled programs, unless the user has set a folder.

    If the folder cannot be made, one line says so, and JAX works without a cache. A folder that can
    only be read is used, too; one line says so if a program cannot be written there.

    Each kind of CPU has its own folder, because machines of several kinds may share a home folder
    and a CPU cannot run a program that was compiled for another kind.
    """
    import jax

    config: Any = jax.config  # JAX adds the fields of jax.config at import.
    if not config.jax_enable_compilation_cache or is_address(
        config.jax_compilation_cache_dir or ""
    ):
        return
    try:
        folder = Path(config.jax_compilation_cache_dir or _default_folder())
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, UsageError) as error:
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else error
        _print_cache_is_off(str(reason))
        config.update("jax_compilation_cache_dir", None)
        return
    _remove_special_files(folder)
    config.update("jax_compilation_cache_dir", str(folder))
    if not isinstance(warnings.showwarning, CacheWarnings):
        warnings.filterwarnings("always", ".*persistent compilation cache entry")
        warnings.showwarning = CacheWarnings(folder, warnings.showwarning)


def _remove_special_files(folder: Path) -> None:
    """Removes pipes, sockets and links to devices from the cache: JAX would read them forever."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                mode = entry.stat().st_mode if entry.name.endswith("-cache") else stat.S_IFREG
                if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                    os.unlink(entry)


def _default_folder() -> Path:
    """The folder for this kind of CPU; raises UsageError if there is no home folder."""
    features = hashlib.sha256((cpu_info("flags") or cpu_info("Features")).encode()).hexdigest()[:8]
    return local_path(f"{CACHE}/compiled") / features


def _print_cache_is_off(reason: str) -> None:
    """Prints that compiled programs cannot be kept."""
    say(
        f"{reason}; compiled programs are not kept, so other commands compile them again; set "
        f"{VARIABLE} to a folder with room that can be written",
        sys.stderr,
    )


class CacheWarnings:
    """Handles JAX's warnings about its cache, instead of `warnings.showwarning`.

    JAX compiles a program again if it cannot read the file, but it never replaces a file. So this
    class removes the file, and JAX then writes a new one.
    """

    def __init__(self, folder: Path, show: Any):
        """Takes the folder of the cache, and the function that shows all other warnings."""
        self._folder, self._show = folder, show
        self._has_warned = False

    def __call__(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Handles or shows a warning; the arguments are those of `warnings.showwarning`."""
        found = WARNING.match(str(message))
        if found is None:
            self._show(message, category, filename, lineno, file, line)
            return
        # A file that could not be written completely is damaged, too.
        self._remove_damaged(found["program"], found["action"], found["kind"])
        if found["action"] == "writing" and not self._has_warned:
            self._has_warned = True
            _print_cache_is_off(f"{self._folder}: {found['reason']}")

    def _remove_damaged(self, program: str, action: str, kind: str) -> None:
        """Removes all damaged files of a program; the name of a file begins with the program."""
        files = list(self._folder.glob(f"{program}-*-cache"))
        damaged = [path for path in files if is_damaged(path)]
        if not damaged and action == "reading" and kind in DAMAGE_ERRORS:
            damaged = files  # It is not known which file JAX has read.
        for path in damaged:
            with suppress(OSError):
                path.unlink()


def is_damaged(path: Path) -> bool:
    """Whether a file of the cache is certainly damaged: it is empty, or zlib cannot decompress it.

    If the package zstandard is installed, JAX compresses with it. Such a file, and a file that
    cannot be read at the moment, may be whole.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return False
    if content and not content.startswith(ZLIB_HEADER):
        return False
    try:
        zlib.decompress(content)
    except zlib.error:
        return True
    return False
