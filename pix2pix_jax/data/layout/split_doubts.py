"""Refuses folders whose names mention splits, if it is unclear whether they are splits."""

from collections import Counter
from dataclasses import dataclass, field

from pix2pix_jax.config.schema import SPLITS
from pix2pix_jax.data.layout.roles import split_of_folder
from pix2pix_jax.data.layout.walk import Source
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.console import FEW_NAMED, join_names, name_some, plural


class DoubtfulSplitError(UsageError):
    """The split of some images is unclear, and only renaming folders makes it clear."""


@dataclass
class Doubt:
    """Folders that may be meant for one split.

    Attributes:
      folders: the number of images in each folder.
      words: the words in the names of the folders that mean the split.
      is_inside: whether the folders are inside the folder of another split.
    """

    folders: Counter[str] = field(default_factory=Counter)
    words: set[str] = field(default_factory=set)
    is_inside: bool = False


def refuse_doubtful(doubts: dict[str, Doubt], folders: set[str], source: Source) -> None:
    """Raises DoubtfulSplitError: folders may be meant for splits.

    Args:
      doubts: the folders by the split that they mention.
      folders: the paths of all folders with images.
      source: the source of the images.
    """
    splits = [split for split in SPLITS if split in doubts]
    # A folder of a split inside the folder of another split would be refused again if renamed.
    if inside := [split for split in splits if doubts[split].is_inside]:
        splits = inside[:1]
    words = " or ".join(sorted({word for split in splits for word in doubts[split].words}))
    parts = [
        f"{plural(doubts[split].folders.total(), 'image')} of "
        f"{name_some(list(doubts[split].folders), FEW_NAMED)}"
        for split in splits
    ]
    first, *others = [f"{part} {{}}to {split}" for part, split in zip(parts, splits, strict=True)]
    unclear = join_names([first.format("belong "), *(other.format("") for other in others)])
    because = "" if others else f", because the name contains the word {words}"
    without = f"a name without {words}"
    if inside:
        fix = (
            "move the folder out of the folder of the other split, or rename the folder to "
            f"{without}"
        )
    else:
        a_or_b = "with A or B behind it" if others else f"or to {splits[0]}A or {splits[0]}B"
        beside = [path for split in splits for path in _find_beside(split, doubts[split], folders)]
        rename_both = f", and {join_names(beside)} as well" if beside else ""
        fix = (
            f"rename each such folder to {join_names(splits, 'or')} ({a_or_b} if it holds one "
            f"side of the pairs{rename_both}), or to {without}"
        )
    raise DoubtfulSplitError(f"{source.name}: it is unclear whether {unclear}{because}", fix)


def _find_beside(split: str, doubt: Doubt, folders: set[str]) -> list[str]:
    """The folders beside doubtful folders that have the name of the split."""
    above = {folder.rstrip("/").rpartition("/")[0] for folder in doubt.folders}
    return sorted(
        f"{path}/"
        for path in folders
        if path.rpartition("/")[0] in above and split_of_folder(path.rpartition("/")[2]) == split
    )
