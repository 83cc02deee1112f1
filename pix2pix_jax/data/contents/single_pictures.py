"""Finds single pictures among side-by-side pairs, before they are cut in two."""

from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from pix2pix_jax.data.contents.likeness import (
    MAX_MEASURED,
    MAX_SEAM,
    have_common_outlines,
    look_like_single_pictures,
    measure_likeness,
    median_shift,
)
from pix2pix_jax.data.images.image_files import IMAGE_FORMATS, ORIENTATION, SIDEWAYS, read_bytes
from pix2pix_jax.data.images.image_reader import read_image
from pix2pix_jax.data.images.proportions import HalfProportions
from pix2pix_jax.data.layout.roles import SIDES, read_role, split_of_folder
from pix2pix_jax.data.layout.walk import Source
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.console import plural, some_of

FOLDERS_FIX = "give A and B in two folders, A/ and B/"
HALVES_FIX = "if each image shows A on the left and B on the right, give --config.data.form=halves"
VAL_FIX = f"remove these images, or put pairs in their place; or, {HALVES_FIX}"


class PictureFile(NamedTuple):
    """An image file, and its size when upright."""

    path: Path
    height: int
    width: int


def read_picture_file(path: Path, source: Source) -> PictureFile:
    """Reads the size of an upright image, if possible without decoding the image.

    Raises:
      UsageError: the file is broken or too large; the message names the file.
    """
    try:
        with Image.open(path, formats=tuple(IMAGE_FORMATS)) as image:
            width, height = image.size
            # To look for EXIF data behind the pixels of a PNG, Pillow would decode the pixels.
            may_be_turned = image.format != "PNG" or "exif" in image.info
            orientation = image.getexif().get(ORIENTATION) if may_be_turned else None
    except Exception:  # Pillow raises many kinds of exceptions, and cannot open all formats.
        height, width = _read_pixels(path, source).shape[:2]
        return PictureFile(path, height, width)
    if orientation in SIDEWAYS:
        height, width = width, height
    return PictureFile(path, height, width)


def _read_pixels(path: Path, source: Source) -> np.ndarray:
    """Reads the pixels of a file, [h, w, c]; raises UsageError if the file is broken."""
    name = source.display_name(path)
    return read_image(read_bytes(path, name), name).pixels


def refuse_one_side(source: Source) -> None:
    """Raises UsageError if a source is a folder A or B, and the other folder is next to it."""
    folder, siblings = source.root, list[Path]()
    side = _side_of_folder(folder)
    if source.is_folder and side in SIDES:
        with suppress(OSError):  # The user may not be allowed to list the folder above.
            siblings = sorted(folder.parent.iterdir())
    for sibling in siblings:
        other_side = _side_of_folder(sibling)
        if sibling.is_dir() and other_side in SIDES and other_side != side:
            raise UsageError(
                f"data.source: {folder} holds only side {side} of pairs, because {sibling} "
                f"holds side {other_side}",
                f"give {folder.parent}; or, if every image shows A on the left and B on the right, "
                "give --config.data.form=halves",
            )


def _side_of_folder(folder: Path) -> str:
    """The side of the images in a folder, according to the name of the folder."""
    return read_role(folder / "image", folder.parent, folder.parent, form=None).side


def check_pictures(
    splits: dict[str, list[PictureFile]], source: Source
) -> tuple[set[Path], list[str]]:
    """Checks that the files of a dataset show A and B side by side, and are not single pictures.

    Args:
      splits: the files by split. A val that is a part of train is in train.
      source: the source of the files.

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
        pairs = train if split != "train" else []  # pairs to compare the files of the split with
        singles = find_single_sides(files, pairs)
        are_all = len(singles) == len(files)
        verdict = Verdict("single") if are_all else classify_files(files, source)
        if verdict.kind == "single" and not (split == "test" and pairs):
            fix = VAL_FIX if split == "val" and pairs else f"{FOLDERS_FIX}, or, {HALVES_FIX}"
            problem = f"{_describe_single(split, files, source)}{verdict.reason}"
            raise UsageError(f"data.source: {source.name}: {problem}", fix)
        if verdict.kind == "single":
            singles = files
        lines += _shift_lines(split, files, verdict, source)
        if verdict.kind == "unclear" and not pairs:
            lines.append(
                "WARNING: nothing shows that the left and right halves of the images"
                f"{_of_split(split, files, source)} belong together; if they are not pairs, "
                f"{FOLDERS_FIX}"
            )
        if singles:
            left_out |= {file.path for file in singles}
            lines.append(_describe_left_out(split, files, singles))
    return left_out, lines


def warn_of_pictures(splits: dict[str, list[PictureFile]], source: Source) -> list[str]:
    """The lines about splits that look like single pictures, although data.form is halves."""
    verdicts = {split: classify_files(files, source) for split, files in splits.items()}
    shifts = [
        line
        for split, verdict in verdicts.items()
        for line in _shift_lines(split, splits[split], verdict, source)
    ]
    return shifts + [
        f"WARNING: {_describe_single(split, splits[split], source)}{verdict.reason}; they are cut "
        "in half, because data.form is halves; if they are single pictures, leave out "
        "--config.data.form, or data.form in the experiment, and the images are refused"
        for split, verdict in verdicts.items()
        if verdict.kind == "single"
    ]


def _describe_single(split: str, files: list[PictureFile], source: Source) -> str:
    """Says that the files of a split look like single pictures."""
    number = plural(len(files), "image")
    return (
        f"the images{_of_split(split, files, source)} ({number}, for example "
        f"{files[0].path.name}) look like single pictures, not like A and B side by side"
    )


def _of_split(split: str, files: list[PictureFile], source: Source) -> str:
    """Names the split of files, if the source has a folder of this split."""
    folders = files[0].path.relative_to(source.root).parts[:-1]
    return f" of {split}" if split in map(split_of_folder, folders) else ""


def _shift_lines(
    split: str, files: list[PictureFile], verdict: "Verdict", source: Source
) -> list[str]:
    """The line about a gap that moves one side against the other."""
    if not verdict.shift:
        return []
    return [
        f"WARNING: in most images{_of_split(split, files, source)}, a gap between A and B, or a "
        f"border, moves B against A by about {plural(abs(verdict.shift), 'column')}; cut it off, "
        "or put A and B without it into two folders, A/ and B/"
    ]


def _describe_left_out(split: str, files: list[PictureFile], singles: list[PictureFile]) -> str:
    """Says that some of the files of a split are left out."""
    return (
        f"left out {some_of(len(singles), len(files), 'image')} of {split}, because each shows one "
        f"picture and not A and B side by side (first {singles[0].path.name}); if they "
        "are pairs, give --config.data.form=halves"
    )


class Verdict(NamedTuple):
    """What the pixels of the files of a split show.

    Attributes:
      kind: whether files are pairs or single pictures.
      reason: the reason for `single`, in parentheses.
      shift: the median of `Likeness.shift` if files are no single pictures.
    """

    kind: Literal["pairs", "single", "unclear"]
    reason: str = ""
    shift: int = 0


def classify_files(files: list[PictureFile], source: Source) -> Verdict:
    """Tells from pixels whether the files of a split are pairs or single pictures."""
    count = min(len(files), MAX_MEASURED)
    likenesses = []
    for index in range(count):
        with suppress(UsageError):  # Broken files are named when the dataset is written.
            path = files[index * len(files) // count].path
            likeness = measure_likeness(_read_pixels(path, source))
            likenesses += [likeness] if likeness else []
    if look_like_single_pictures(likenesses):
        smooth = sum(likeness.seam < MAX_SEAM for likeness in likenesses)
        measured = some_of(smooth, len(likenesses), "measured image")
        reason = f" (in {measured}, the left half continues into the right half)"
        return Verdict("single", reason)
    # In a square or upright image, the halves are narrow. Pairs rarely have narrow halves.
    are_narrow = all(file.width <= file.height for file in files)
    are_alike = not likenesses or have_common_outlines(likenesses)
    kind = "pairs" if are_alike and not are_narrow else "unclear"
    return Verdict(kind, shift=median_shift(likenesses))


def find_single_sides(files: list[PictureFile], pairs: list[PictureFile]) -> list[PictureFile]:
    """The files that have the proportions of one half of pairs, and not of whole pairs."""
    halves = HalfProportions(pair.width / 2 / pair.height for pair in pairs)
    return [file for file in files if halves.part_of(file.width / file.height) == "half"]
