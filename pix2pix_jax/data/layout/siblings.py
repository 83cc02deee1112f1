"""Finds two folders whose images have names in common, as the two sides of pairs have."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from os.path import commonprefix
from typing import NamedTuple

from pix2pix_jax.data.layout.roles import SourceImage, mentioned_splits, split_of_folder
from pix2pix_jax.data.layout.words import drop_numbers, drop_zeros, fold_name
from pix2pix_jax.runtime.console import plural

MAX_SIDES = 5  # more folders with equal names are sequences or classes
MIN_SEQUENCES = 4  # from this number on, folders whose names differ only in a number are sequences
# The folders of a name, and the words that tell images apart.
VaryingPart = tuple[tuple[str, ...], tuple[str, ...]]


class NameBelow(NamedTuple):
    """The name of an image below a folder."""

    folders: tuple[str, ...]
    stem: str
    words: tuple[str, ...]  # of the stem


@dataclass(frozen=True)
class Siblings:
    """Two folders in the same folder with names in common.

    Attributes:
      parent: the names of the folders above both.
      children: the names of the two folders; "" stands for the files in the parent itself.
      counts: the number of images in each of the two folders.
      common: the number of names in common.
      is_exact: whether these names are equal, not only similar.
      others: the names of other folders beside the two, with the same names of images.
    """

    parent: tuple[str, ...]
    children: tuple[str, str]
    counts: tuple[int, int]
    common: int
    is_exact: bool
    others: tuple[str, ...] = ()

    @property
    def may_be_renamed(self) -> bool:
        """Whether renaming the two folders makes a pair of every image in them."""
        return self.is_exact and "" not in self.children and {*self.counts} == {self.common}

    def describe(self) -> str:
        """The problem of the error line: the two folders, and the names in both of them."""
        first, second = (
            describe_folder(self.parent, child, count)
            for child, count in zip(self.children, self.counts, strict=True)
        )
        apart = "" if self.is_exact else " except for a prefix, suffix or folder"
        common = f"{plural(self.common, 'name')} in common{apart}"
        return f"{first} and {second} look like A and B ({common})"


def describe_folder(parent: tuple[str, ...], child: str, count: int) -> str:
    """The path of a folder inside `parent`, and the number of its images."""
    path = "".join(f"{folder}/" for folder in (*parent, child) if folder)
    return f"{path or 'the folder itself'} ({plural(count, 'image')})"


def find_siblings(images: list[SourceImage]) -> Siblings | None:
    """Finds the two folders in the same folder that have the most names in common, if any.

    Names also count as common if they differ by a prefix or suffix that all names of a folder
    share, or if the names of one folder begin or end with those of the other.
    """
    found = [
        siblings
        for parent, children in _children_by_parent(images).items()
        if _may_hold_sides(list(children))
        for siblings in _compare_children(
            parent, {child: _names_below(parent, inside) for child, inside in children.items()}
        )
    ]
    if not found:
        return None
    likeliest = max(found, key=_likelihood)
    return replace(likeliest, others=_find_others(likeliest, found))


def _find_others(siblings: Siblings, found: list[Siblings]) -> tuple[str, ...]:
    """Other folders that hold the same names as two folders, and belong to no other split."""
    two = set(siblings.children)
    splits = {split for child in two for split in mentioned_splits(child)}
    near = [s.children for s in found if s.parent == siblings.parent and two & {*s.children}]
    others = {child for children in near for child in children if child} - two
    return tuple(sorted(other for other in others if mentioned_splits(other).keys() <= splits))


def _likelihood(siblings: Siblings) -> tuple[bool, bool, bool, int, int]:
    """The sorting key of `find_siblings`: the largest belongs to the likeliest sides."""
    one, two = (drop_numbers(child) for child in siblings.children)
    first, second = map(mentioned_splits, siblings.children)
    # If only one of the two folders mentions a split, the other may be a second split, and each may
    # hold complete pairs.
    are_alike = first.keys() == second.keys()
    return one != two, are_alike, siblings.is_exact, -len(siblings.parent), siblings.common


def _children_by_parent(
    images: list[SourceImage],
) -> dict[tuple[str, ...], dict[str, list[SourceImage]]]:
    """For each folder, the images below it by subfolder; "" stands for the folder itself."""
    tree: dict[tuple[str, ...], dict[str, list[SourceImage]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for image in images:
        folders = (*image.folders, "")
        for depth, child in enumerate(folders):
            tree[folders[:depth]][child].append(image)
    return tree


def _may_hold_sides(children: list[str]) -> bool:
    """Whether two of the folders may hold the sides of pairs; always True above MAX_SIDES folders.

    This quick check comes before names are compared.
    """
    pairs = combinations(children, 2)
    return len(children) > MAX_SIDES or any(_may_be_sides(*pair, children) for pair in pairs)


def _names_below(parent: tuple[str, ...], images: list[SourceImage]) -> list[NameBelow]:
    """The names of images below a folder inside `parent`."""
    return [
        NameBelow(
            tuple(map(fold_name, image.folders[len(parent) + 1 :])),
            fold_name(image.path.stem),
            drop_zeros(image.path.stem),
        )
        for image in images
    ]


def _below_common_folder(names: list[NameBelow]) -> list[NameBelow]:
    """The names below the deepest folder that contains all of them."""
    depth = len(commonprefix([name.folders for name in names]))
    return [name._replace(folders=name.folders[depth:]) for name in names]


def _compare_children(
    parent: tuple[str, ...], children: dict[str, list[NameBelow]]
) -> Iterator[Siblings]:
    """Yields the folders in one folder that have names in common."""
    exact = {child: {name[:2] for name in names} for child, names in children.items()}
    parts = {
        child: _varying_parts(_below_common_folder(names)) for child, names in children.items()
    }
    equal = _count_common(exact)
    common = equal | _count_common(parts)
    if len(children) <= MAX_SIDES:
        for pair in combinations(sorted(children), 2):
            common[pair] = max(common[pair], _count_extended(*(parts[child] for child in pair)))
    for pair, count in common.items():
        counts = len(children[pair[0]]), len(children[pair[1]])
        # One common name of a folder and a folder inside it is often chance.
        least = 1 if "" not in pair or max(counts) == 1 else 2
        if count >= max(least, min(counts) / 2) and _may_be_sides(*pair, list(children)):
            yield Siblings(parent, pair, counts, count, is_exact=equal[pair] == count)


def _count_common(names: dict[str, set]) -> Counter[tuple[str, str]]:
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


def _varying_parts(names: list[NameBelow]) -> set[VaryingPart]:
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


def _count_extended(one: set[VaryingPart], two: set[VaryingPart]) -> int:
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


def _may_be_sides(one: str, two: str, children: list[str]) -> bool:
    """Whether two folders may hold the sides of the same pairs.

    False for folders of different splits, for MIN_SEQUENCES or more folders that differ only in a
    number, and for loose files beside a folder of a split.
    """
    mentioned = set(mentioned_splits(one)), set(mentioned_splits(two))
    if all(mentioned) and mentioned[0] != mentioned[1]:
        return False
    if "" in (one, two) and (split_of_folder(one) or split_of_folder(two)):
        return False
    without_number = drop_numbers(one)
    if drop_numbers(two) != without_number:
        return True
    return sum(drop_numbers(child) == without_number for child in children) < MIN_SEQUENCES
