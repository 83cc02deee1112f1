"""Reads the split, the pair and the side of an image from the names of its folders."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import NamedTuple

from pix2pix_jax.config.schema import Form
from pix2pix_jax.data.layout.words import split_words

# The names of folders, in lower case, that mean a split.
SPLIT_WORDS = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "tst"),
}
SPLIT_FOLDERS = {word: split for split, words in SPLIT_WORDS.items() for word in words}
SIDES = ("A", "B")  # names of folders with one image of each pair
BOTH_SIDES = "AB"  # the side of a file that shows A and B side by side
_SPLIT, _SIDE = "|".join(SPLIT_FOLDERS), "".join(SIDES)
# trainA, train_A or train-A; and A_train or A-train.
SPLIT_AND_SIDE = re.compile(rf"({_SPLIT})[ _-]?([{_SIDE}])", re.IGNORECASE)
SIDE_AND_SPLIT = re.compile(rf"([{_SIDE}])[ _-]({_SPLIT})", re.IGNORECASE)
# Words that probably mean a split. They are too uncertain to be used as names of splits.
DOUBTFUL_WORDS = {"eval": "test", "evaluation": "test", "holdout": "test", "trainval": "train"}
# Words that may mean a split, if no folder in the path has the name of a split.
WEAK_WORDS = {
    **dict.fromkeys(("tests", "evals", "evaluate", "evaluating", "evaluations"), "test"),
    **dict.fromkeys(("heldout", "holdouts", "unseen"), "test"),
    **dict.fromkeys(("vali", "vals", "validate", "validating", "validations"), "val"),
    **dict.fromkeys(("测试", "測試", "テスト"), "test"),
    **dict.fromkeys(("验证", "驗證", "検証"), "val"),
    **dict.fromkeys(("训练", "訓練"), "train"),
}
SHORT_WORDS = {"tr": "train", "te": "test", "ts": "test"}  # see `short_splits`
MAX_SHORT_FOLDERS = 6  # more folders with such names may be languages: tr, te, de, fr and so on
# Words such as `testset` and `trainimages`, which contain the word of a split.
SPLIT_COMPOUND = re.compile(
    rf"({_SPLIT})(?:sets?|data|dataset|images?|imgs?|photos?|labels?|masks?|pairs?|files?|dir|annot)"
)
_DOUBTFUL = "|".join([_SPLIT, *DOUBTFUL_WORDS, *WEAK_WORDS])
WEAK_COMPOUND = re.compile(
    rf"(?:mini|my)?({_DOUBTFUL})(?:(?:sub)?sets?|data|dataset|images?|imgs?|photos?|pictures?|pics?|"
    "labels?|masks?|pairs?|files?|dirs?|annot|splits?|folders?|inputs?|outputs?|targets?|samples?|"
    "dev|part|only|集|数据集?|图像?|图片|样本|用|"
    "データ|画像)?"
)


class PairFiles(NamedTuple):
    """The image files of one pair."""

    name: str  # unique in its split
    files: tuple[Path, ...]  # one side-by-side image, or A and B


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An image file, and the role that its path gives to it.

    Attributes:
      path: the file.
      folders: the names of the folders between the source and the file.
      split: one of SPLITS; "" if no folder has the name of a split.
      pair: the name of its pair.
      side: A or B, or BOTH_SIDES.
    """

    path: Path
    folders: tuple[str, ...]
    split: str
    pair: str
    side: str


def read_roles(
    paths: list[Path], root: Path, top: Path, form: Form | None, outer: bool
) -> list[SourceImage]:
    """Reads the roles of image files from their paths; see `read_role` for the arguments."""
    return [read_role(path, root, top, form, outer) for path in paths]


def read_role(
    path: Path, root: Path, top: Path, form: Form | None, outer: bool = False
) -> SourceImage:
    """Reads the role of an image file from its path.

    Args:
      path: the file.
      root: the folder that was searched; only the names of folders below `root` count.
      top: the deepest folder that contains all images.
      form: data.form. With `halves`, folders A and B have no meaning.
      outer: of several folders A and B in the path, whether the outermost below `top` is the side,
        and the others are part of the name; otherwise the innermost is the side.
    """
    parts = path.relative_to(root).parts[:-1]
    folders, above = _split_names(parts), len(_split_names(top.relative_to(root).parts))
    split = next((folder for folder in folders if folder.lower() in SPLIT_FOLDERS), "")
    # A pair's name starts below its split, or below the top folder, so that the name does not
    # depend on where a tarball was unpacked.
    start = folders.index(split) + 1 if split else above
    sides = [] if form == "halves" else _side_places(folders)
    if outer and sides:
        sides = [place for place in sides if place >= above][:1] or sides[-1:]
    names = [
        folder for place, folder in enumerate(folders) if place >= start and place not in sides
    ]
    return SourceImage(
        path,
        parts,
        split=SPLIT_FOLDERS.get(split.lower(), ""),
        pair="/".join([*names, path.stem]),
        side=folders[sides[-1]].upper() if sides else BOTH_SIDES,
    )


def _side_places(folders: list[str]) -> list[int]:
    """The indices of the folders named A or B."""
    return [place for place, folder in enumerate(folders) if folder.upper() in SIDES]


def is_side_outermost(paths: list[Path], root: Path, top: Path, form: Form | None) -> bool:
    """Whether the outermost folder A or B is the side of an image; see `read_role`.

    Folders inside A and B may be named a and b, like handwritten letters; and folders a and b may
    hold folders A and B. The answer is True if more pairs are found with the outermost folder than
    with the innermost folder, or if no pairs are found with either.
    """
    nested = (len(_side_places(_split_names(p.relative_to(root).parts[:-1]))) > 1 for p in paths)
    if form == "halves" or not any(nested):
        return False
    counts = [_count_pairs(read_roles(paths, root, top, form, outer)) for outer in (False, True)]
    return counts[1] > counts[0] or not any(counts)


def _count_pairs(images: list[SourceImage]) -> int:
    """The number of names that have exactly one image on each side."""
    sides = defaultdict[tuple[str, str], list[str]](list)
    for image in images:
        sides[image.split, image.pair].append(image.side)
    return sum(sorted(found) == list(SIDES) for found in sides.values())


def _split_names(folders: tuple[str, ...]) -> list[str]:
    """Splits names such as trainA and A_train into the split and the side."""
    names = []
    for folder in folders:
        match = SPLIT_AND_SIDE.fullmatch(folder) or SIDE_AND_SPLIT.fullmatch(folder)
        names += match.groups() if match else [folder]
    return names


def split_of_folder(folder: str) -> str | None:
    """The split that a folder stands for by its whole name: train for `training` and `trainA`."""
    for name in _split_names((folder,)):
        if name.lower() in SPLIT_FOLDERS:
            return SPLIT_FOLDERS[name.lower()]
    return None


def is_side_folder(folders: tuple[str, ...]) -> bool:
    """Whether the last of these folders is A or B, or a split inside A or B, by its name."""
    own, names = _split_names(folders[-1:]), _split_names(folders)
    has_side = any(name.upper() in SIDES for name in names)
    return has_side and any(n.upper() in SIDES or n.lower() in SPLIT_FOLDERS for n in own)


def mentioned_splits(folder: str) -> dict[str, str]:
    """The splits that the name of a folder mentions, and the word that means each split.

    For example, {"test": "test"} for `my_test` and `testset2`, and {"val": "dev"} for `dev_board`.
    """
    own_split = split_of_folder(folder)
    words = {own_split: own_split} if own_split else {}
    for word in _words_of_splits(folder):
        compound = SPLIT_COMPOUND.fullmatch(word)
        stem = compound[1] if compound else word
        if split := (SPLIT_FOLDERS | DOUBTFUL_WORDS).get(stem):
            words[split] = stem
    return words


def weakly_mentioned_splits(folder: str) -> dict[str, str]:
    """The splits that the name of a folder may mean, in the form of `mentioned_splits`.

    For example, {"test": "testfolder"} for `testfolder`, and {"test": "heldout"} for `held-out`. A
    name is only looked at if it does not mention a split in the sense of `mentioned_splits`.
    """
    if mentioned_splits(folder):
        return {}
    words = _words_of_splits(folder)
    known = SPLIT_FOLDERS | DOUBTFUL_WORDS | WEAK_WORDS
    return {
        known[match[1]]: word
        for word in (*map("".join, pairwise(words)), *words)
        if (match := WEAK_COMPOUND.fullmatch(word))
    }


def short_splits(folders: Iterable[str]) -> dict[str, dict[str, str]]:
    """The splits that folders in one folder mean by the words tr, te and ts.

    These words count only if one folder has tr and another has te or ts, like `imagesTr` and
    `imagesTs`.

    Returns:
      For each folder with such a word, its splits in the form of `mentioned_splits`.
    """
    named = {
        folder: {SHORT_WORDS[word]: word for word in split_words(folder) if word in SHORT_WORDS}
        for folder in folders
    }
    found = {split for splits in named.values() for split in splits}
    if found != {"train", "test"} or len(named) > MAX_SHORT_FOLDERS:
        return {}
    return {folder: splits for folder, splits in named.items() if splits}


def _words_of_splits(folder: str) -> list[str]:
    """The words in the name of a folder that may mean a split: not `test` in `test_of_time`."""
    words = split_words(folder)
    return [word for word, after in zip_longest(words, words[1:]) if after != "of"]
