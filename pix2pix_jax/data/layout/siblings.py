"""Finds folders whose images have names in common, as the sides of pairs have."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

from pix2pix_jax.data.layout.common_names import (
    MAX_SIDES,
    NameBelow,
    below_common_folder,
    count_common,
    count_extended,
    names_below,
    varying_parts,
)
from pix2pix_jax.data.layout.roles import SourceImage, mentioned_splits, split_of_folder
from pix2pix_jax.data.layout.side_words import Contrast, contrast_of
from pix2pix_jax.data.layout.words import drop_numbers, drop_zeros
from pix2pix_jax.runtime.console import join_names, plural

Tree = dict[tuple[str, ...], dict[str, list[SourceImage]]]  # see `_children_by_parent`
MIN_SEQUENCES = 4  # from this number on, folders whose names differ only in a number are sequences


@dataclass(frozen=True)
class Siblings:
    """Folders in the same folder with names in common.

    Attributes:
      parent: the names of the folders above all of them.
      children: the names of the folders, the two likeliest sides first; "" stands for the files in
        the parent itself.
      counts: the number of images in each of the folders.
      common: the number of names in common of the first two folders.
      is_exact: whether these names are equal, not only similar.
      rival: other folders, inside these folders, which are as likely to hold the sides.
    """

    parent: tuple[str, ...]
    children: tuple[str, ...]
    counts: tuple[int, ...]
    common: int
    is_exact: bool
    rival: "Siblings | None" = None

    @property
    def contrast(self) -> Contrast:
        """How the names of the first two folders differ."""
        return contrast_of(*self.children[:2])

    @property
    def may_be_renamed(self) -> bool:
        """Whether renaming two of the folders makes a pair of every image in them."""
        return self.is_exact and "" not in self.children and {*self.counts} == {self.common}

    def describe(self) -> str:
        """The problem of the error line: the folders, and the names in all of them."""
        if len(self.children) == 2:
            folders = self.name_folders()
            looks = "look like A and B"
        else:
            inside = f" in {'/'.join(self.parent)}/" if self.parent else ""
            folders = f"{replace(self, parent=()).name_folders()}{inside}"
            looks = "look like sides of pairs"
        if self.contrast == Contrast.NUMBER:
            looks = "differ only by a number"
        name = "name" if self.is_exact else "similar name"
        return f"{folders} {looks} ({plural(self.common, name)} in common)"

    def name_folders(self) -> str:
        """The paths of all folders, and the number of their images."""
        folders = zip(self.children, self.counts, strict=True)
        return join_names([describe_folder(self.parent, *folder) for folder in folders])


def describe_folder(parent: tuple[str, ...], child: str, count: int) -> str:
    """The path of a folder inside `parent`, and the number of its images."""
    path = "".join(f"{folder}/" for folder in (*parent, child) if folder)
    return f"{path or 'the folder itself'} ({plural(count, 'image')})"


def find_siblings(images: list[SourceImage]) -> Siblings | None:
    """Finds the folders in the same folder that have the most names in common, if any.

    Names also count as common if they differ by a prefix or suffix that all names of a folder
    share, or if the names of one folder begin or end with those of the other.
    """
    tree = _children_by_parent(images)
    found = [
        siblings
        for parent, children in tree.items()
        if _may_hold_sides(list(children))
        for group in _group_by_split(list(children))
        for siblings in _compare_children(
            parent, {child: names_below(parent, children[child]) for child in group}, list(children)
        )
    ]
    if not found:
        return None
    likeliest = max(found, key=_likelihood)
    rival = _find_rival(likeliest, found) or _find_numbered_rival(likeliest, tree)
    return replace(_add_others(likeliest, found), rival=rival)


def _add_others(siblings: Siblings, found: list[Siblings]) -> Siblings:
    """Adds folders with the same names as the two folders, unless they belong to another split."""
    two = set(siblings.children)
    splits = {split for child in two for split in mentioned_splits(child)}
    near = [s for s in found if s.parent == siblings.parent and two & {*s.children}]
    counts = {c: n for s in near for c, n in zip(s.children, s.counts, strict=True)}
    others = sorted(
        child for child in counts.keys() - two if child and mentioned_splits(child).keys() <= splits
    )
    group = (*siblings.children, *others)
    return replace(
        siblings,
        children=group,
        counts=tuple(counts[child] for child in group),
        is_exact=all(s.is_exact for s in near if {*s.children} <= {*group}),
    )


def _find_rival(siblings: Siblings, found: list[Siblings]) -> Siblings | None:
    """The folders inside both of the two folders that may hold the sides just as well."""
    first, second = (
        {
            (s.parent[len(siblings.parent) + 1 :], s.children): s
            for s in found
            if s.parent[: len(siblings.parent) + 1] == (*siblings.parent, child)
            and (s.contrast == siblings.contrast or siblings.contrast < Contrast.ROLE)
        }
        for child in siblings.children
    )
    return next((s for place, s in first.items() if place in second), None)


def _find_numbered_rival(siblings: Siblings, tree: Tree) -> Siblings | None:
    """The folders s1_5 and s2_5, for example, if both of the two folders hold such folders.

    Many such folders count as sequences, but they are as likely to hold the sides as two folders
    with names that are only similar.
    """
    if siblings.is_exact or siblings.contrast == Contrast.ROLE or "" in siblings.children:
        return None
    first, second = (tree[(*siblings.parent, child)] for child in siblings.children)
    places = {
        pair: place
        for pair in combinations(sorted(first.keys() & second.keys() - {""}), 2)
        if (place := _place_of_other_number(*pair)) is not None
        and len(first[pair[0]]) == len(first[pair[1]])
    }
    if not places:
        return None
    pair = min(places, key=lambda pair: places[pair])
    count = len(first[pair[0]])
    parent = (*siblings.parent, siblings.children[0])
    return Siblings(parent, pair, (count, count), count, is_exact=False)


def _place_of_other_number(one: str, two: str) -> int | None:
    """The index of the word by which two names with several words differ, if it is a number."""
    first, second = drop_zeros(one), drop_zeros(two)
    if drop_numbers(one) != drop_numbers(two) or not len(first) == len(second) > 2:
        return None
    places = [i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
    return places[0] if len(places) == 1 else None


def _likelihood(siblings: Siblings) -> tuple[Contrast, bool, bool, int, int]:
    """The sorting key of `find_siblings`: the largest belongs to the likeliest sides."""
    first, second = map(mentioned_splits, siblings.children)
    # If only one of the two folders mentions a split, the other may be a second split, and each may
    # hold complete pairs.
    are_alike = first.keys() == second.keys()
    return siblings.contrast, are_alike, siblings.is_exact, -len(siblings.parent), siblings.common


def _children_by_parent(images: list[SourceImage]) -> Tree:
    """For each folder, the images below it by subfolder; "" stands for the folder itself."""
    tree: Tree = defaultdict(lambda: defaultdict(list))
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


def _group_by_split(children: list[str]) -> list[list[str]]:
    """For each split that folders mention: the folders that do not mention only other splits."""
    mentioned = {child: set(mentioned_splits(child)) for child in children}
    splits = set().union(*mentioned.values())
    return [
        [child for child in children if not mentioned[child] or split in mentioned[child]]
        for split in sorted(splits)
    ] or [children]


def _compare_children(
    parent: tuple[str, ...], children: dict[str, list[NameBelow]], beside: list[str]
) -> Iterator[Siblings]:
    """Yields the folders in one folder that have names in common.

    Args:
      parent: the names of the folders above the children.
      children: the names of the images in each of the compared folders.
      beside: the names of all folders in this folder.
    """
    exact = {child: {name[:2] for name in names} for child, names in children.items()}
    parts = {child: varying_parts(below_common_folder(names)) for child, names in children.items()}
    equal = count_common(exact)
    common = equal | count_common(parts)
    if len(children) <= MAX_SIDES:
        for pair in combinations(sorted(children), 2):
            common[pair] = max(common[pair], count_extended(*(parts[child] for child in pair)))
    for pair, count in common.items():
        counts = len(children[pair[0]]), len(children[pair[1]])
        # One common name of a folder and a folder inside it is often chance.
        least = 1 if "" not in pair or max(counts) == 1 else 2
        if count >= max(least, min(counts) / 2) and _may_be_sides(*pair, beside):
            yield Siblings(parent, pair, counts, count, is_exact=equal[pair] == count)


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
