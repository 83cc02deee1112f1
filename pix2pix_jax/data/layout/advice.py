"""The fixes of error lines about layouts: what to move and to rename, without losing a split."""

from collections.abc import Sequence
from os.path import commonprefix

from pix2pix_jax.config.schema import SPLITS
from pix2pix_jax.data.layout.roles import SIDES, SourceImage, mentioned_splits, split_of_folder
from pix2pix_jax.runtime.console import join_names

OTHERS_OUT = ", and other images out of the source"


def find_splits(images: list[SourceImage]) -> list[str]:
    """The splits that the folders of images name or mention, in the order of SPLITS.

    Images without a split count as train if other images have a split. A word in the name of a
    folder that contains all images does not count.
    """
    paths = {image.folders for image in images}
    start = len(commonprefix(list(paths)))
    splits = {_find_split(path, start) for path in paths}
    named = {split or "train" for split in splits} if any(splits) else set()
    return [split for split in SPLITS if split in named]


def _find_split(folders: tuple[str, ...], start: int) -> str:
    """The split that folders name, or mention from the index `start` on; "" if there is none."""
    for folder in folders:
        if split := split_of_folder(folder):
            return split
    return next((split for folder in folders[start:] for split in mentioned_splits(folder)), "")


def find_side_folders(images: list[SourceImage]) -> tuple[str, str]:
    """The folders for inputs and for targets: "A/" and "B/", or "trainA/ and valA/" and so on."""
    splits = find_splits(images)
    # Images without a split are in train.
    a, b = name_sides([] if splits == ["train"] else splits, "/")
    return a, b


def name_sides(splits: Sequence[str], end: str) -> list[str]:
    """For A and for B: the names of the folders of all splits, each followed by `end`."""
    return [join_names([f"{split}{side}{end}" for split in splits or [""]]) for side in SIDES]


def move_fix(images: list[SourceImage], are_others: bool) -> str:
    """The fix that moves inputs and targets, each to its split and side.

    Args:
      images: the images of the source.
      are_others: whether there may be images that are neither inputs nor targets.
    """
    a, b = find_side_folders(images)
    moved = f"move the inputs into {a} and one target each into {b}, with equal names"
    return f"{moved} and subfolders{OTHERS_OUT if are_others else ''}"


def rename_fix(splits: Sequence[str], are_others: bool) -> str:
    """The fix that renames the folders of inputs and of targets.

    Args:
      splits: the splits that the names of these folders mention.
      are_others: whether there are folders that are neither inputs nor targets.
    """
    a, b = name_sides(splits, end="")
    others = ", and move the other folders out of the source" if are_others else ""
    return f"rename each folder of inputs to {a} and each folder of targets to {b}{others}"
