"""Finds the images to translate, reads them, and names their translations."""

import glob
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pix2pix_jax.data.images.full_depth import FilePixels, read_input_pixels
from pix2pix_jax.data.images.image_files import SUFFIXES
from pix2pix_jax.data.images.limits import DEFAULT_LIMIT, PixelLimit
from pix2pix_jax.data.layout.inventory import is_junk_folder, sort_files
from pix2pix_jax.data.layout.own_images import find_translations
from pix2pix_jax.data.layout.walk import check_utf8_name, is_special, list_files
from pix2pix_jax.errors import UsageError, make_printable
from pix2pix_jax.inference.outputs import OutputFolder, is_inside, possible_names
from pix2pix_jax.inference.targets import InputSide, leave_out_targets
from pix2pix_jax.reports.translation import PAGE
from pix2pix_jax.runtime.console import plural, say
from pix2pix_jax.runtime.storage.files import is_address, local_path
from pix2pix_jax.suggestions import fix_path

READABLE = SUFFIXES | {".npy"}


@dataclass(frozen=True)
class InputFile:
    """An image file to translate.

    Attributes:
      path: the path of the file.
      name: the path of its translations, relative to the output folder and without suffix.
    """

    path: Path
    name: str


@dataclass(frozen=True)
class LoadedImage:
    """An image file and its pixels."""

    file: InputFile
    input: FilePixels


@dataclass(frozen=True)
class UnreadableImage:
    """An image file that cannot be read, and the error line with the reason."""

    file: InputFile
    reason: str


def find_inputs(
    source: str, output: Path, samples: int = 1, input_side: InputSide | None = None
) -> list[InputFile]:
    """Finds the images to translate, sorted by path, and names their translations.

    Args:
      source: a file, a folder, or a pattern as in a shell.
      output: the folder to write to; it may not exist yet.
      samples: number of translations of each image.
      input_side: the side that is the input; see `leave_out_targets`. None: no image is left out.

    Raises:
      UsageError: the source does not exist or has no images, `output` cannot be a folder, or a
        translation would replace an input or a file that translate did not write.
    """
    root, paths = list_images(source)
    if input_side is not None:
        paths = leave_out_targets(source, root, paths, input_side)
    if output.is_file() or output.suffix.lower() in READABLE:
        problem = "is a file" if output.is_file() else "has the name of an image file"
        raise UsageError(
            f"--output: {output} {problem}", "give a folder, which is created if it does not exist"
        )
    if any(is_inside(path, output) for path in paths):
        raise UsageError(f"--output: {output} contains images to translate", "give another folder")
    if not paths:
        suffixes = ", ".join(sorted(READABLE))
        raise UsageError(
            f"--input: {source} contains no images", f"give files with names that end in {suffixes}"
        )
    files = _name_translations(root, paths)
    names = [name for file in files for name in possible_names(file.name, samples)]
    OutputFolder(output).check_names([*names, PAGE])
    return files


def _name_translations(root: Path, paths: list[Path]) -> list[InputFile]:
    """Names each translation like its image, without the suffix.

    Images whose names differ only in the suffix keep the suffix.
    """
    relative = [path.relative_to(root) for path in paths]
    counts = Counter(path.with_suffix("") for path in relative)
    files = []
    for path, short in zip(paths, relative, strict=True):
        stem = short.with_suffix("")
        files.append(InputFile(path, str(stem if counts[stem] == 1 else short)))
    return files


def list_images(source: str) -> tuple[Path, list[Path]]:
    """Lists the images of a source: a file, a folder, or a pattern as in a shell.

    Returns:
      The folder in which the search starts, and the sorted paths of the images below this folder.
      Files that translate wrote are left out, unless `source` is the folder that contains them or
      a single file.

    Raises:
      UsageError: `source` does not exist, or is an address.
    """
    if is_address(source):
        raise UsageError(
            f"--input: {source} is an address", "download the images and give their local path"
        )
    root, pattern = local_path(source), ("**",)
    if root.is_file():
        return root.parent, [root]
    if is_special(root):
        raise UsageError(f"--input: {source} is a pipe, socket or device", "give a file or folder")
    if not root.is_dir():
        is_pattern = [glob.has_magic(part) for part in root.parts]
        if not any(is_pattern):
            raise UsageError(f"--input: {source} does not exist", fix_path(root))
        first = is_pattern.index(True)
        root, pattern = Path(*root.parts[:first]), root.parts[first:]
        if not root.exists():
            raise UsageError(f"--input: {root} does not exist", fix_path(root))

    def enter(folder: Path) -> bool:
        is_junk = is_junk_folder(folder.name) and folder.name not in pattern
        return not is_junk and _can_hold_match(folder.relative_to(root).parts, pattern)

    matches = [
        path
        for path in list_files(root, enter, only_files=False)
        if _path_matches(path.relative_to(root).parts, pattern)
    ]
    paths = [path for path in matches if _is_readable(path)]
    unread = sort_files([path for path in matches if not _is_readable(path)], root)
    for left_out in unread.left_out:
        say(
            make_printable(f"{source}: {left_out.line()}")
        )  # File names may contain control characters.
    translations = set[Path]().union(*find_translations(root, paths).values())
    if translations:
        say(
            f"{source}: skipped {plural(len(translations), 'file')} that translate wrote; to "
            "translate these files, give their folder as --input"
        )
    return root, [path for path in paths if path not in translations]


def _is_readable(path: Path) -> bool:
    return path.suffix.lower() in READABLE and not is_special(path)


def _path_matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether a path matches a pattern; ** matches any number of folders that are not hidden."""
    if not pattern or not parts:
        return not parts and all(part == "**" for part in pattern)
    if pattern[0] == "**":
        if _path_matches(parts, pattern[1:]):
            return True
        return not parts[0].startswith(".") and _path_matches(parts[1:], pattern)
    return _part_matches(parts[0], pattern[0]) and _path_matches(parts[1:], pattern[1:])


def _can_hold_match(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether a folder can hold a file that matches a pattern."""
    if not parts:
        return True
    if pattern[0] == "**":
        names_hidden = any(part.startswith(".") for part in pattern)
        return names_hidden or not any(part.startswith(".") for part in parts)
    return (
        len(pattern) > 1
        and _part_matches(parts[0], pattern[0])
        and _can_hold_match(parts[1:], pattern[1:])
    )


def _part_matches(name: str, pattern: str) -> bool:
    """Whether one name matches one part of a pattern; * does not match hidden names."""
    is_hidden = name.startswith(".") and not pattern.startswith(".")
    return fnmatchcase(name, pattern) and not is_hidden


def load_input(
    file: InputFile, channels: int, limit: PixelLimit = DEFAULT_LIMIT
) -> LoadedImage | UnreadableImage:
    """Reads the pixels of an image file.

    Returns:
      The image, or the reason why the file cannot be read.
    """
    try:
        check_utf8_name(Path(file.name), str(file.path))
        return LoadedImage(file, read_input_pixels(file.path, channels, limit))
    except UsageError as error:
        return UnreadableImage(file, str(error))
    except OSError as error:
        reason = (
            f"{file.path}: cannot be read ({error.strerror or error}); make the file readable or "
            "remove it"
        )
    except MemoryError:
        reason = (
            f"{file.path}: is too large for the memory of this machine; scale the image down or "
            "remove it"
        )
    return UnreadableImage(file, make_printable(reason))  # with control characters escaped
