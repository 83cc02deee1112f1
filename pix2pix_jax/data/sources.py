"""Where pairs come from: a download or a directory, as lists of files by split."""

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

from pix2pix_jax.errors import UsageError

SPLITS = {"train": "train", "val": "val", "validation": "val", "test": "test"}
SIDES = ("A", "B")
SPLIT_AND_SIDE = re.compile(r"(train|val|validation|test)_?([AB])", re.IGNORECASE)
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"}


class Pair(NamedTuple):
    """Where one pair lies."""

    name: str  # unique in its split
    files: tuple[Path, ...]  # one side-by-side image, or A and B


def download(url: str, directory: Path) -> Path:
    """A file from the web, fetched once.

    Raises:
      UsageError: with the address, and what to do without it.
    """
    try:
        urllib.request.urlopen(url, timeout=20).close()  # TFDS would retry for minutes
        return Path(tfds.download.DownloadManager(download_dir=directory).download(url))
    except (OSError, http.client.HTTPException, tfds.download.DownloadError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        reason = str(error).removeprefix("<urlopen error ").removesuffix(">")
        raise UsageError(
            f"{url}: cannot be downloaded ({reason}); fetch it elsewhere and give "
            f"--config.data.source=PATH_TO/{url.rpartition('/')[2]}"
        ) from error


def find_pairs(root: Path, source: str) -> dict[str, list[Pair]]:
    """The pairs of a directory by split, in the order of their names.

    A file is one side of a pair when a folder on its way is called A or B, and then its pair is
    the file of the same path and stem under the other letter; any other file is side by side.
    The split is the folder called train, val or test on its way; trainA is A in train. Without
    such folders, and where there is train but no val, every tenth pair in the order of a hash of
    their names is val.

    Raises:
      UsageError: no images, a name that is not text, an A without its B, two files for one side,
        both forms at once.
    """
    files = [path for path in walk(root) if _is_image(path.relative_to(root))]
    if not files:
        raise UsageError(f"{source}: holds no images ({', '.join(sorted(SUFFIXES))})")
    top = Path(os.path.commonpath([path.parent for path in files]))
    splits: dict[str, dict[str, dict[str, Path]]] = {}
    for path in files:
        check_name(path, display_name(path, root, source))
        folders = _folders(path.relative_to(root))
        side = next((f.upper() for f in reversed(folders) if f.upper() in SIDES), "AB")
        split = next((folder for folder in folders if folder.lower() in SPLITS), "")
        # A pair is named from its split, or from the top folder, wherever that was unpacked.
        below = folders[folders.index(split) + 1 :] if split else _folders(path.relative_to(top))
        name = "/".join([*(f for f in below if f.upper() not in SIDES), path.stem])
        pair = splits.setdefault(SPLITS.get(split.lower(), ""), {}).setdefault(name, {})
        if side in pair:
            first, second = display_name(pair[side], root, source), path.name
            raise UsageError(f"{first}: is of one name with {second}; rename or remove one")
        pair[side] = path
    _check_sides([sides for pairs in splits.values() for sides in pairs.values()], root, source)
    return _with_validation({split: _pairs(pairs) for split, pairs in splits.items()})


def walk(
    root: Path, enter: Callable[[Path], bool] = lambda _: True, broken_links: bool = False
) -> list[Path]:
    """All files below a directory, in order, through links to folders but never in circles.

    Args:
      root: the directory.
      enter: which folders to look into.
      broken_links: whether links to nowhere count as files.
    """
    found, above = [], {}  # by folder, the real places that it lies in
    for folder, folders, names in os.walk(root, followlinks=True):
        place = os.path.realpath(folder)
        places = above.get(os.path.dirname(folder), frozenset())
        if place in places:
            folders.clear()
            continue
        above[folder] = places | {place}
        folders[:] = sorted(name for name in folders if enter(Path(folder, name)))
        found += [Path(folder, name) for name in names]
    return sorted(p for p in found if p.is_file() or (broken_links and not p.exists()))


def display_name(path: Path, root: Path, source: str) -> str:
    """A file as the user knows it, in the source that was given."""
    return str(path) if str(root) == source else f"{source}: {path.relative_to(root)}"


def _folders(path: Path) -> list[str]:
    """The folders on the way to a file, trainA as train and A."""
    folders = []
    for folder in path.parts[:-1]:
        both = SPLIT_AND_SIDE.fullmatch(folder)
        folders += both.groups() if both else [folder]
    return folders


def check_name(path: Path, shown: str) -> None:
    """Raises UsageError where a name is bytes that are no UTF-8, which no record or page can hold.

    Args:
      path: to check.
      shown: what the user knows it by.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        name = shown.encode(errors="backslashreplace").decode()
        raise UsageError(f"{name}: its name is not UTF-8; rename it") from error


def _check_sides(pairs: list[dict[str, Path]], root: Path, source: str) -> None:
    """Raises UsageError where a side is missing, or where both forms of pairs are mixed."""
    whole = next((sides["AB"] for sides in pairs if "AB" in sides), None)
    for sides in pairs:
        side = next((side for side in sides if side != "AB"), None)
        if side is None:
            continue
        path = sides[side]
        if whole:
            raise UsageError(
                f"{display_name(path, root, source)}: is one side of a pair, and "
                f"{display_name(whole, root, source)} holds both side by side; keep one of the two "
                "forms"
            )
        if len(sides) == 1:
            missing = "B" if side == "A" else "A"
            raise UsageError(
                f"{display_name(path, root, source)}: has no {missing} of the same name; "
                "add it or remove this"
            )


def _is_image(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden


def _pairs(sides_by_name: dict[str, dict[str, Path]]) -> list[Pair]:
    return [
        Pair(name, tuple(sides[side] for side in sorted(sides)))
        for name, sides in sorted(sides_by_name.items())
    ]


def _with_validation(splits: dict[str, list[Pair]]) -> dict[str, list[Pair]]:
    loose = splits.pop("", [])
    train = splits.setdefault("train", loose)
    if not train:  # only val or test, to be measured
        del splits["train"]
    elif "val" not in splits:
        ranked = sorted(train, key=lambda pair: hashlib.sha256(pair.name.encode()).digest())
        tenth = max(1, len(ranked) // 10)
        # A single pair can still be learnt by heart: it is both.
        splits |= {"train": sorted(ranked[tenth:]) or ranked, "val": sorted(ranked[:tenth])}
    return {split: splits[split] for split in ("train", "val", "test") if split in splits}
