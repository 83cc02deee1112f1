"""The folder that translated images are written to."""

import errno
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np

from pix2pix_jax.data.images.full_depth import FilePixels, encode_pixels
from pix2pix_jax.data.images.large_image import ImageValues
from pix2pix_jax.data.images.pixels import PILLOW_MODES
from pix2pix_jax.data.layout.own_images import MANIFEST, read_manifest
from pix2pix_jax.errors import UsageError, fix_of
from pix2pix_jax.runtime.storage.files import atomic_file

# Errors that writing any other file would also raise, such as a full disk.
ERRORS_OF_ALL_FILES = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)


class OutputFolder:
    """A folder of translated images; its manifest names the files that translate wrote.

    Later translations may replace only these files. `add_to_manifest` and `write` work only inside
    a `with` block.

    Attributes:
      path: the path of the folder.
    """

    def __init__(self, path: Path):
        self.path = path
        self._manifest = read_manifest(path)
        self._file = None

    def __enter__(self) -> "OutputFolder":
        self.path.mkdir(parents=True, exist_ok=True)
        self._file = (self.path / MANIFEST).open("ab", buffering=0)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._file is not None
        self._file.close()

    def check_names(self, names: list[str]) -> None:
        """Checks that files with these names can be written without replacing a file of the user.

        Args:
          names: paths relative to the folder.

        Raises:
          UsageError: two names are the same, a link leads out of the folder, or a name belongs to
            a file that translate did not write.
        """
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise UsageError(
                f"--input: the translations of two images would both be named {twice[0]}",
                "rename one of the images",
            )
        for name in names:
            path = self.path / name
            if not is_inside(path, self.path):
                raise UsageError(
                    f"--output: a link in {path} leads out of the output folder",
                    "give a folder without such links",
                )
            if name not in self._manifest and os.path.lexists(path):
                raise UsageError(
                    f"--output: {path} exists and was not written by translate",
                    "give another folder",
                )

    def add_to_manifest(self, name: str) -> None:
        """Adds the name of a file to the manifest, before the file is written.

        Raises:
          UsageError: the manifest cannot be written.
        """
        assert self._file is not None
        if name in self._manifest:
            return
        try:
            self._file.write(f"\n{json.dumps(name)}\n".encode())
        except OSError as error:
            raise _write_failure(self.path, error) from error
        self._manifest.add(name)

    def write(self, name: str, pixels: FilePixels, samples: list[ImageValues]) -> None:
        """Writes the translations of one image.

        Args:
          name: path relative to the folder, without suffix.
          pixels: the input; the translations get the same bit depth.
          samples: translations, each [h, w, c] in [-1, 1]. They become PNGs if c is 1, 3 or 4,
            and .npy files if c is another number or the input was a .npy file.

        Raises:
          OSError: a file cannot be written; `filename` is its path.
          UsageError: no more files can be written, for example because the disk is full.
        """
        stems = sample_stems(name, len(samples))
        for stem, values in zip(stems, samples, strict=True):
            suffixes = [".png"] if values.shape[-1] in PILLOW_MODES else []
            if pixels.is_npy or not suffixes:
                suffixes.append(".npy")
            for suffix in suffixes:
                self.add_to_manifest(stem + suffix)
                self._write_file(stem + suffix, values, pixels.dtype)

    def _write_file(self, name: str, values: ImageValues, dtype: np.dtype) -> None:
        path = self.path / name
        try:
            with atomic_file(path) as new:
                new.write_bytes(encode_pixels(values, dtype, path.suffix))
        except OSError as error:
            if error.errno in ERRORS_OF_ALL_FILES:
                raise _write_failure(path, error) from error
            error.filename = str(path)
            raise


def _write_failure(path: Path, error: OSError) -> UsageError:
    fix = fix_of(error) or "make the file writable"
    return UsageError(
        f"{path}: cannot be written ({error.strerror})", f"{fix}, then run the same command again"
    )


def sample_stems(name: str, samples: int) -> list[str]:
    """The names of an image's translations without suffix: NAME, or NAME_sample1 and so on."""
    if samples == 1:
        return [name]
    return [f"{name}_sample{number}" for number in range(1, samples + 1)]


def possible_names(name: str, samples: int) -> list[str]:
    """The names of all files that `OutputFolder.write` may write for an image."""
    return [stem + suffix for stem in sample_stems(name, samples) for suffix in (".png", ".npy")]


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a path leads into a folder when all links are followed; neither needs to exist."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
