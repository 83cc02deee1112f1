"""Counts the names that folders have in common, also if the names have a prefix or a suffix."""

from collections import Counter, defaultdict
from itertools import combinations
from os.path import commonprefix
from typing import NamedTuple

from pix2pix_jax.data.layout.roles import SourceImage
from pix2pix_jax.data.layout.words import drop_zeros, fold_name

MAX_SIDES = 5  # more folders with equal names are sequences or classes
# The folders of a name, and the words that tell images apart.
VaryingPart = tuple[tuple[str, ...], tuple[str, ...]]


class NameBelow(NamedTuple):
    """The name of an image below a folder."""

    folders: tuple[str, ...]
    stem: str
    words: tuple[str, ...]  # of the stem


def names_below(parent: tuple[str, ...], images: list[SourceImage]) -> list[NameBelow]:
    """The names of images below a folder inside `parent`."""
    return [
        NameBelow(
            tuple(map(fold_name, image.folders[len(parent) + 1 :])),
            fold_name(image.path.stem),
            drop_zeros(image.path.stem),
        )
        for image in images
    ]


def below_common_folder(names: list[NameBelow]) -> list[NameBelow]:
    """The names below the deepest folder that contains all of them."""
    depth = len(commonprefix([name.folders for name in names]))
    return [name._replace(folders=name.folders[depth:]) for name in names]


def count_common(names: dict[str, set]) -> Counter[tuple[str, str]]:
    """Counts the names that two folders have in common."""
    folders: dict[object, list[str]] = defaultdict(list)
    for child in sorted(names):
        for name in names[child]:
            folders[name].append(child)
    return Counter(
        pair
        for children in folders.values()
        if len(children) <= MAX_SIDES
        for pair in combinations(children, 2)
    )


def varying_parts(names: list[NameBelow]) -> set[VaryingPart]:
    """The folders and the words of each name, without the words at both ends that all names share.

    Numbers at the inner end of a shared prefix or suffix are kept, because they may be part of the
    number of the pair.
    """
    prefix = list(commonprefix([name.words for name in names]))
    suffix = list(commonprefix([name.words[::-1] for name in names]))
    for shared in (prefix, suffix):
        while shared and shared[-1].isdigit():
            shared.pop()
    parts = set()
    for folders, _, words in names:
        core = words[len(prefix) : max(len(prefix), len(words) - len(suffix))]
        parts.add((folders, core or words))
    return parts


def count_extended(one: set[VaryingPart], two: set[VaryingPart]) -> int:
    """Counts the names of one folder that begin or end a name of the other folder."""
    return max(len(one & _beginnings_and_ends(two)), len(two & _beginnings_and_ends(one)))


def _beginnings_and_ends(parts: set[VaryingPart]) -> set[VaryingPart]:
    """All first words and all last words of each name, up to the whole name."""
    beginnings = {
        (folders, words[:n]) for folders, words in parts for n in range(1, len(words) + 1)
    }
    return beginnings | {
        (folders, words[n:]) for folders, words in parts for n in range(len(words))
    }
