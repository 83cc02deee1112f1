"""Finds single pictures among side-by-side pairs, before they are cut in two."""

import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import ExifTags, Image

from pix2pix_jax.data.contents.likeness import (
    MAX_SEAM,
    have_common_outlines,
    look_like_single_pictures,
    measure_likeness,
)
from pix2pix_jax.data.images.image_files import IMAGE_FORMATS
from pix2pix_jax.data.layout.roles import SIDES, SourceImage, read_role
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.console import plural, some_of

MAX_MEASURED = 32  # images of a split whose halves are compared
TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
RATIO_STEP = 0.01  # proportions are sorted into steps of this share
FOLDERS_FIX = "give A and B in two folders, A/ and B/"
HALVES_FIX = "if each image shows A on the left and B on the right, give --config.data.form=halves"
VAL_FIX = "remove these images, or put pairs in their place"


class PictureFile(NamedTuple):
    """An image file, and its size when upright."""

    path: Path
    height: int
    width: int


def read_picture_file(path: Path, read: Callable[[Path], np.ndarray]) -> PictureFile:
    """Reads the size of an upright image, if possible without decoding the image.

    Args:
      path: the file.
      read: reads the pixels of a file, [h, w, c].
    """
    try:
        with Image.open(path, formats=tuple(IMAGE_FORMATS)) as image:
            width, height = image.size
            # To look for EXIF data behind the pixels of a PNG, Pillow would decode the pixels.
            may_be_turned = image.format != "PNG" or "exif" in image.info
            orientation = image.getexif().get(ExifTags.Base.Orientation) if may_be_turned else None
            is_turned = orientation in TURNED
    except Exception:  # Pillow raises many kinds of exceptions, and cannot open all formats.
        height, width = read(path).shape[:2]
        return PictureFile(path, height, width)
    return PictureFile(path, width, height) if is_turned else PictureFile(path, height, width)


def refuse_one_side(source: Path) -> None:
    """Raises UsageError if a source is a folder A or B, and the other folder is next to it."""
    if not source.is_dir():
        return
    role, siblings = _role_of_folder(source), list[Path]()
    if role.side in SIDES:
        with suppress(OSError):  # The user may not be allowed to list the folder above.
            siblings = sorted(source.parent.iterdir())
    for sibling in siblings:
        other = _role_of_folder(sibling)
        if sibling.is_dir() and other.side in SIDES and other.side != role.side:
            raise UsageError(
                f"data.source: {source} holds only side {role.side} of pairs, because {sibling} "
                f"holds side {other.side}",
                f"give {source.parent}; or, if every image shows A on the left and B on the right, "
                "give --config.data.form=halves",
            )


def _role_of_folder(folder: Path) -> SourceImage:
    """The role of the images in a folder, according to the name of the folder."""
    return read_role(folder / "image", folder.parent, folder.parent, form=None)


def check_pictures(
    splits: dict[str, list[PictureFile]], source_name: str, read: Callable[[Path], np.ndarray]
) -> tuple[set[Path], list[str]]:
    """Checks that the files of a dataset show A and B side by side, and are not single pictures.

    Args:
      splits: the image files by split.
      source_name: the path or URL by which the user knows the source.
      read: reads the pixels of a file, [h, w, c].

    Returns:
      The files of val and test to leave out, because they show only one side; and the lines to
      print.

    Raises:
      UsageError: all files of train or val look like single pictures, or all files of test, if
        there is no train.
    """
    left_out, lines = set[Path](), []
    train = splits.get("train", [])
    for split, files in splits.items():
        if not files:  # No image of the split can be read, and reading the pairs says why.
            continue
        singles = find_single_sides(files, train) if split != "train" else []
        verdict = Verdict("single")
        if len(singles) < len(files):
            verdict = classify_files(files, read)
        if verdict.kind == "single" and split == "test" and train:
            singles = files
        elif verdict.kind == "single":
            fix = VAL_FIX if train and split == "val" else f"{FOLDERS_FIX}, or, {HALVES_FIX}"
            problem = f"{_describe_single(split, files)}{verdict.reason}"
            raise UsageError(f"data.source: {source_name}: {problem}", fix)
        elif verdict.kind == "unclear" and (split == "train" or not train):
            lines.append(
                f"WARNING: nothing shows that the left and right halves of the images of {split} "
                f"belong together; if they are not pairs, {FOLDERS_FIX}"
            )
        if singles:
            left_out |= {file.path for file in singles}
            lines.append(_describe_left_out(split, files, singles))
    return left_out, lines


def warn_of_pictures(
    splits: dict[str, list[PictureFile]], read: Callable[[Path], np.ndarray]
) -> list[str]:
    """The lines about splits that look like single pictures, although data.form is halves.

    Args:
      splits: the image files by split.
      read: reads the pixels of a file, [h, w, c].
    """
    verdicts = {split: classify_files(files, read) for split, files in splits.items()}
    return [
        f"WARNING: {_describe_single(split, splits[split])}{verdict.reason}; they are cut in half, "
        "because data.form is halves; leave out --config.data.form if they are single pictures"
        for split, verdict in verdicts.items()
        if verdict.kind == "single"
    ]


def _describe_single(split: str, files: list[PictureFile]) -> str:
    """Says that the files of a split look like single pictures."""
    return (
        f"the images of {split} ({plural(len(files), 'image')}, for example {files[0].path.name}) "
        "look like single pictures, not like A and B side by side"
    )


def _describe_left_out(split: str, files: list[PictureFile], singles: list[PictureFile]) -> str:
    """Says that some of the files of a split are left out."""
    return (
        f"left out {some_of(len(singles), len(files), 'image')} of {split}, because each shows one "
        f"picture and not A and B side by side (first {singles[0].path.name}); if they "
        "are pairs, give --config.data.form=halves"
    )


class Verdict(NamedTuple):
    """Whether files are pairs or single pictures, and the reason in parentheses."""

    kind: Literal["pairs", "single", "unclear"]
    reason: str = ""


def classify_files(files: list[PictureFile], read: Callable[[Path], np.ndarray]) -> Verdict:
    """Tells from pixels whether files are pairs or single pictures.

    Args:
      files: the files of a split.
      read: reads the pixels of a file, [h, w, c].
    """
    count = min(len(files), MAX_MEASURED)
    likenesses = []
    for index in range(count):
        with suppress(UsageError):  # Broken files are named when the dataset is written.
            likeness = measure_likeness(read(files[index * len(files) // count].path))
            likenesses += [likeness] if likeness else []
    if look_like_single_pictures(likenesses):
        smooth = sum(likeness.seam < MAX_SEAM for likeness in likenesses)
        measured = some_of(smooth, len(likenesses), "measured image")
        reason = f" (in {measured}, the left half continues into the right half)"
        return Verdict("single", reason)
    # In a square or upright image, the halves are narrow. Pairs rarely have narrow halves.
    are_narrow = all(file.width <= file.height for file in files)
    are_alike = not likenesses or have_common_outlines(likenesses)
    return Verdict("pairs" if are_alike and not are_narrow else "unclear")


def find_single_sides(files: list[PictureFile], pairs: list[PictureFile]) -> list[PictureFile]:
    """The files that have the proportions of one half of pairs, and not of whole pairs."""
    # Equal proportions are in the same or in neighbouring steps.
    steps = {_ratio_step(pair.width / pair.height) + n for pair in pairs for n in (-1, 0, 1)}
    return [
        file
        for file in files
        if _ratio_step(2 * file.width / file.height) in steps
        and _ratio_step(file.width / file.height) not in steps
    ]


def _ratio_step(ratio: float) -> int:
    """The number of the step of RATIO_STEP that contains width / height."""
    return round(math.log(ratio) / RATIO_STEP)
