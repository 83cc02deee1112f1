"""Downloads archives, and finds the pairs of image files in a folder."""

import errno
import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import tensorflow_datasets as tfds

from pix2pix_jax.config.schema import SPLITS
from pix2pix_jax.data.images.image_files import SUFFIXES
from pix2pix_jax.errors import DISK_ERRORS, UsageError

# Maps the name of a folder, in lower case, to its split.
SPLIT_FOLDERS = {split: split for split in SPLITS} | {"validation": "val"}
SIDES = ("A", "B")  # names of folders with one image of each pair
BOTH_SIDES = "AB"  # the side of a file that shows A and B side by side
SPLIT_AND_SIDE = re.compile(rf"({'|'.join(SPLIT_FOLDERS)})_?([{''.join(SIDES)}])", re.IGNORECASE)


class PairFiles(NamedTuple):
    """The image files of one pair."""

    name: str  # unique in its split
    files: tuple[Path, ...]  # one side-by-side image, or A and B


class _FileRole(NamedTuple):
    """The split, the pair and the side of an image file, according to its path."""

    split: str  # one of SPLITS; "" if no folder has the name of a split
    pair: str  # the name of its pair
    side: str  # A or B, or BOTH_SIDES


def download_archive(url: str, folder: Path) -> Path:
    """Downloads a file into a folder, unless it is there already.

    Args:
      url: the address of the file.
      folder: the folder; created if it does not exist.

    Returns:
      The path of the file.

    Raises:
      UsageError: the server does not answer, even if the file is there already, or the download
        failed; the message explains how to use a local copy instead.
      OSError: the file cannot be written, for example on a full disk.
    """
    try:
        # TFDS would retry a failed download for minutes, so this request is made first.
        urllib.request.urlopen(url, timeout=20).close()
        return Path(tfds.download.DownloadManager(download_dir=folder).download(url))
    except (OSError, http.client.HTTPException, tfds.download.DownloadError) as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        reason = str(error).removeprefix("<urlopen error ").removesuffix(">")
        raise UsageError(
            f"{url}: cannot be downloaded ({reason}); download the file on another machine, copy "
            f"it here, and give --config.data.source=PATH_TO/{url.rpartition('/')[2]}"
        ) from error


def find_pairs(root: Path, source_name: str) -> dict[str, list[PairFiles]]:
    """Finds the pairs of a folder by split, in the order of their names.

    A file below a folder A or B is one side of a pair. The other side is the file with the same
    path and stem below the other folder. Any other file shows both sides side by side.

    The split is the name of a folder: train, val (or validation) or test. A folder trainA counts
    as train and A. Pairs outside these folders are in train, or are left out if a folder is named
    train. Without val, a tenth of train becomes val; a hash of the names chooses these pairs.

    Args:
      root: the folder.
      source_name: the path or URL by which the user knows the folder.

    Returns:
      The pairs of each split.

    Raises:
      UsageError: there are no images, a name is not UTF-8, a pair lacks a side or has two files for
        one side, or side-by-side images are mixed with images of one side.
    """
    files = [path for path in list_files(root) if _is_image(path.relative_to(root))]
    if not files:
        suffixes = ", ".join(sorted(SUFFIXES))
        raise UsageError(
            f"{source_name}: contains no images ({suffixes}); give a folder or tarball with images"
        )
    top = Path(os.path.commonpath([path.parent for path in files]))
    splits: dict[str, dict[str, dict[str, Path]]] = {}  # files by split, pair and side
    for path in files:
        check_utf8_name(path, display_name(path, root, source_name))
        role = _find_role(path, root, top)
        sides = splits.setdefault(role.split, {}).setdefault(role.pair, {})
        if role.side in sides:
            first, second = display_name(sides[role.side], root, source_name), path.name
            raise UsageError(
                f"{first}: has the same name as {second}; rename or remove one of them"
            )
        sides[role.side] = path
    _check_sides(
        [sides for pairs in splits.values() for sides in pairs.values()], root, source_name
    )
    return _hold_out_val({split: _sort_pairs(pairs) for split, pairs in splits.items()})


def _find_role(path: Path, root: Path, top: Path) -> _FileRole:
    """Reads the split, the pair and the side of an image file from its path.

    Args:
      path: the file.
      root: the folder that was searched; only the names of folders below `root` count.
      top: the deepest folder that contains all files.
    """
    folders = _folder_names(path.relative_to(root))
    split = next((folder for folder in folders if folder.lower() in SPLIT_FOLDERS), "")
    # A pair's name starts below its split, or below the top folder, so that the name does not
    # depend on where a tarball was unpacked.
    below = folders[folders.index(split) + 1 :] if split else _folder_names(path.relative_to(top))
    names = [folder for folder in below if folder.upper() not in SIDES]
    return _FileRole(
        split=SPLIT_FOLDERS.get(split.lower(), ""),
        pair="/".join([*names, path.stem]),
        side=next((f.upper() for f in reversed(folders) if f.upper() in SIDES), BOTH_SIDES),
    )


def list_files(
    root: Path, enter: Callable[[Path], bool] = lambda _: True, broken_links: bool = False
) -> list[Path]:
    """Lists all files below a folder, sorted by path; follows links to folders, but not in circles.

    Args:
      root: the folder.
      enter: a function that answers whether to search a given folder.
      broken_links: whether a link to a file that does not exist counts as a file.

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
    return sorted(p for p in paths if p.is_file() or (broken_links and not p.exists()))


def _raise_unless_missing(error: OSError) -> None:
    if error.errno not in (errno.ENOENT, errno.ENOTDIR):
        raise error


def display_name(path: Path, root: Path, source_name: str) -> str:
    """The name of a file for the user: its path, or the source and the path inside the source.

    Args:
      path: the file.
      root: the folder that was searched: the source itself, or the folder of its unpacked files.
      source_name: the path, tarball or URL that the user gave.
    """
    return str(path) if str(root) == source_name else f"{source_name}: {path.relative_to(root)}"


def check_utf8_name(path: Path, name: str) -> None:
    """Raises UsageError if a file's name is not UTF-8, because records and pages are UTF-8.

    Args:
      path: the file.
      name: the name by which the user knows the file.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        printable = name.encode(errors="backslashreplace").decode()
        raise UsageError(f"{printable}: has a name that is not UTF-8; rename the file") from error


def _folder_names(path: Path) -> list[str]:
    """The names of the folders above a file; trainA counts as train and A."""
    names = []
    for folder in path.parts[:-1]:
        split_and_side = SPLIT_AND_SIDE.fullmatch(folder)
        names += split_and_side.groups() if split_and_side else [folder]
    return names


def _check_sides(pairs: list[dict[str, Path]], root: Path, source_name: str) -> None:
    """Raises UsageError if a pair lacks a side, or if only some files show both sides."""
    both = next((sides[BOTH_SIDES] for sides in pairs if BOTH_SIDES in sides), None)
    for sides in pairs:
        side = next((side for side in sides if side != BOTH_SIDES), None)
        if side is None:
            continue
        path = sides[side]
        if both:
            raise UsageError(
                f"{display_name(path, root, source_name)}: shows one side of a pair, but "
                f"{display_name(both, root, source_name)} shows both sides; remove all files of "
                "one of these two kinds"
            )
        if len(sides) == 1:
            missing = "B" if side == "A" else "A"
            raise UsageError(
                f"{display_name(path, root, source_name)}: there is no {missing} with the same "
                f"name; add this {missing}, or remove the {side}"
            )


def _is_image(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden


def _sort_pairs(sides_by_name: dict[str, dict[str, Path]]) -> list[PairFiles]:
    return [
        PairFiles(name, tuple(sides[side] for side in sorted(sides)))
        for name, sides in sorted(sides_by_name.items())
    ]


def _hold_out_val(splits: dict[str, list[PairFiles]]) -> dict[str, list[PairFiles]]:
    """Puts the splits in the order of SPLITS, and moves a tenth of train to val if val is missing.

    Args:
      splits: pairs by split. Pairs of the split "" become train, or are left out if train exists.
    """
    without_split = splits.pop("", [])
    train = splits.setdefault("train", without_split)
    if not train:  # A dataset to evaluate on may have only val or test.
        del splits["train"]
    elif "val" not in splits:
        ranked = sorted(train, key=lambda pair: hashlib.sha256(pair.name.encode()).digest())
        tenth = max(1, len(ranked) // 10)
        # A single pair is both train and val.
        splits |= {"train": sorted(ranked[tenth:]) or ranked, "val": sorted(ranked[:tenth])}
    return {split: splits[split] for split in SPLITS if split in splits}
