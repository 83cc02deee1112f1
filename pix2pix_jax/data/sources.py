"""Where pairs come from: downloads an archive, and finds the pairs of a folder by split."""

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

SPLIT_FOLDERS = {split: split for split in SPLITS} | {"validation": "val"}  # in lower case
SIDES = ("A", "B")  # folders that hold one image of each pair
BOTH_SIDES = "AB"  # of a file that holds A and B side by side
SPLIT_AND_SIDE = re.compile(rf"({'|'.join(SPLIT_FOLDERS)})_?([{''.join(SIDES)}])", re.IGNORECASE)


class PairFiles(NamedTuple):
    """The image files of one pair."""

    name: str  # unique in its split
    files: tuple[Path, ...]  # one side-by-side image, or A and B


class _FileRole(NamedTuple):
    """The split, the pair and the side of an image file, as its path says."""

    split: str  # one of SPLITS; "" if no folder is called like a split
    pair: str  # the name of its pair
    side: str  # A or B, or BOTH_SIDES


def download_archive(url: str, folder: Path) -> Path:
    """Downloads a file into a folder, unless it is there already.

    Raises:
      UsageError: the download failed; the message says how to do without it.
      OSError: the file cannot be written, for example on a full disk.
    """
    try:
        urllib.request.urlopen(url, timeout=20).close()  # TFDS would retry for minutes
        return Path(tfds.download.DownloadManager(download_dir=folder).download(url))
    except (OSError, http.client.HTTPException, tfds.download.DownloadError) as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        reason = str(error).removeprefix("<urlopen error ").removesuffix(">")
        raise UsageError(
            f"{url}: cannot be downloaded ({reason}); download it elsewhere and give "
            f"--config.data.source=PATH_TO/{url.rpartition('/')[2]}"
        ) from error


def find_pairs(root: Path, source_name: str) -> dict[str, list[PairFiles]]:
    """Finds the pairs of a folder by split, in the order of their names.

    A file below a folder called A or B is one side of a pair; the other side is the file with the
    same path and stem below the other folder. Any other file holds both sides side by side. The
    split is the folder called train, val or test; trainA is A in train. If there is no val, every
    tenth pair of train, in the order of a hash of the names, becomes val; without any splits, all
    pairs count as train.

    Args:
      root: the folder.
      source_name: the path or URL by which the user knows the folder.

    Raises:
      UsageError: there are no images, a name is not UTF-8, an A has no B, one side has two files,
        or side-by-side images are mixed with A and B.
    """
    files = [path for path in list_files(root) if _is_image(path.relative_to(root))]
    if not files:
        suffixes = ", ".join(sorted(SUFFIXES))
        raise UsageError(
            f"{source_name}: holds no images ({suffixes}); give a folder or a tarball with images"
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
      root: the folder that was searched; the names of the folders below it count.
      top: the deepest folder that holds all files.
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
    """Lists all files below a folder, sorted; links to folders are followed, not in circles.

    Args:
      root: the folder.
      enter: a function of a folder: whether to look into it.
      broken_links: whether a link to a file that does not exist counts as a file.

    Raises:
      OSError: a folder cannot be read. A root that does not exist has no files.
    """
    paths: list[Path] = []
    real_paths: dict[str, frozenset[str]] = {}  # of each folder and of the folders above it
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
    """The name by which the user knows a file: its path, or its place in the tarball or URL.

    Args:
      path: the file.
      root: the folder that was searched.
      source_name: the path, tarball or URL that the user gave; root is this path, or holds the
        unpacked files.
    """
    return str(path) if str(root) == source_name else f"{source_name}: {path.relative_to(root)}"


def check_utf8_name(path: Path, name: str) -> None:
    """Raises UsageError if a file's name is not UTF-8, which records and pages cannot hold.

    Args:
      path: the file.
      name: the name by which the user knows the file.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        printable = name.encode(errors="backslashreplace").decode()
        raise UsageError(f"{printable}: its name is not UTF-8; rename it") from error


def _folder_names(path: Path) -> list[str]:
    """The names of the folders above a file; trainA counts as train and A."""
    names = []
    for folder in path.parts[:-1]:
        split_and_side = SPLIT_AND_SIDE.fullmatch(folder)
        names += split_and_side.groups() if split_and_side else [folder]
    return names


def _check_sides(pairs: list[dict[str, Path]], root: Path, source_name: str) -> None:
    """Raises UsageError if a pair lacks one side, or if both forms of pairs are mixed."""
    both = next((sides[BOTH_SIDES] for sides in pairs if BOTH_SIDES in sides), None)
    for sides in pairs:
        side = next((side for side in sides if side != BOTH_SIDES), None)
        if side is None:
            continue
        path = sides[side]
        if both:
            raise UsageError(
                f"{display_name(path, root, source_name)}: is one side of a pair, and "
                f"{display_name(both, root, source_name)} holds both side by side; keep one of the "
                "two forms"
            )
        if len(sides) == 1:
            missing = "B" if side == "A" else "A"
            raise UsageError(
                f"{display_name(path, root, source_name)}: has no {missing} of the same name; "
                f"add the {missing}, or remove this file"
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
    """The splits in order, with a tenth of train as val if there is train but no val.

    Args:
      splits: pairs by split; those of the split "" count as train.
    """
    without_split = splits.pop("", [])
    train = splits.setdefault("train", without_split)
    if not train:  # a dataset to evaluate on may have only val or test
        del splits["train"]
    elif "val" not in splits:
        ranked = sorted(train, key=lambda pair: hashlib.sha256(pair.name.encode()).digest())
        tenth = max(1, len(ranked) // 10)
        # A single pair is both train and val.
        splits |= {"train": sorted(ranked[tenth:]) or ranked, "val": sorted(ranked[:tenth])}
    return {split: splits[split] for split in SPLITS if split in splits}
