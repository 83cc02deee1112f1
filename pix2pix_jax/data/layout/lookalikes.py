"""Refuses images that must not be cut in half, because each is one side of a pair by its name."""

from collections import defaultdict
from dataclasses import replace
from functools import partial
from itertools import combinations, product

from pix2pix_jax.data.layout.advice import (
    OTHERS_OUT,
    find_side_folders,
    find_splits,
    move_fix,
    rename_fix,
)
from pix2pix_jax.data.layout.common_names import MAX_SIDES, names_below
from pix2pix_jax.data.layout.roles import SourceImage, mentioned_splits, split_of_folder
from pix2pix_jax.data.layout.siblings import (
    MIN_SEQUENCES,
    Siblings,
    describe_folder,
    find_siblings,
)
from pix2pix_jax.data.layout.side_words import (
    INPUT_WORDS,
    TARGET_WORDS,
    Contrast,
    contrast_of,
    role_of_name,
)
from pix2pix_jax.data.layout.similar_names import find_similar_names
from pix2pix_jax.data.layout.walk import Source
from pix2pix_jax.data.layout.words import drop_numbers, fold_name
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.console import join_names, plural

MIN_FOLDERS_OF_TWO = 3  # from this number on, folders with two images each are probably pairs
HALVES_FIX = "or, for side-by-side files, give --config.data.form=halves"
Finding = tuple[str, str]  # a problem and its fix


def check_lookalikes(images: list[SourceImage], source: Source) -> None:
    """Raises UsageError if names show that images are single sides of pairs."""
    siblings = find_siblings(images)
    finding = (
        _describe_folders_of_pairs(images, siblings)
        or _describe_siblings(siblings, images)
        or _describe_side_folders(images)
        or _describe_similar_names(find_similar_names(images), images)
    )
    if finding:
        problem, fix = finding
        raise UsageError(f"{source.name}: {problem}", f"{fix}, {HALVES_FIX}")


def _describe_folders_of_pairs(
    images: list[SourceImage], siblings: Siblings | None
) -> Finding | None:
    """The problem of folders that probably hold one pair each, and the fix.

    Every such folder has the same few names, or two images. Siblings whose names differ more than
    the names in one folder are the likelier sides.
    """
    folders: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for image in images:
        folders[image.folders].append(fold_name(image.path.stem))
    names = set(next(iter(folders.values())))
    if () in folders or not 2 <= len(names) < MAX_SIDES:
        return None
    are_equal = all(set(stems) == names for stems in folders.values())
    are_numbered = len({drop_numbers(path[-1]) for path in folders}) == 1
    are_sides = bool(names & (INPUT_WORDS | TARGET_WORDS | {"a", "b"}))
    # Fewer folders with other names may each hold one side of all pairs.
    least = 2 if are_numbered or are_sides else MAX_SIDES
    have_two_images = all(len(stems) == 2 for stems in folders.values())
    are_splits = any(split_of_folder(path[-1]) for path in folders)
    if are_equal and len(folders) >= least:
        held = f"images of the same {len(names)} names ({', '.join(sorted(names))})"
    elif have_two_images and not are_splits and len(folders) >= MIN_FOLDERS_OF_TWO:
        held = "two images each"
    else:
        return None
    contrast = max(contrast_of(*pair) for pair in combinations(sorted(names), 2))
    is_sequence = contrast == Contrast.NUMBER and len(names) >= MIN_SEQUENCES
    if siblings and siblings.is_exact and (is_sequence or siblings.contrast > contrast):
        return None
    first = next(iter(folders))
    if siblings and siblings.is_exact and siblings.contrast == contrast:
        return (
            f"{siblings.describe()}, but each folder may also hold one pair "
            f"({', '.join(sorted(names))})",
            move_fix(images, are_others=len(names) > 2 or len(siblings.children) > 2),
        )
    a, b = find_side_folders(images)
    are_unique = len({path[-1] for path in folders}) == len(folders)
    return (
        f"{len(folders)} folders such as {'/'.join(first)}/ hold {held}, so each folder probably "
        "holds one pair",
        f"move the inputs into {a} and the targets into {b}, each under the "
        f"{'name' if are_unique else 'path'} of its folder{OTHERS_OUT if len(names) > 2 else ''}",
    )


def _describe_siblings(siblings: Siblings | None, images: list[SourceImage]) -> Finding | None:
    """The problem of folders with names in common, and the fix.

    If both folders hold names that differ by a word, these names may be the sides, and the folders
    may be scenes.
    """
    if siblings is None:
        return None
    are_others = len(siblings.children) > 2
    similar = _find_similar_in_both(siblings, images)
    names_contrast = contrast_of(*(image.path.stem for image in similar)) if similar else None
    if names_contrast and names_contrast > siblings.contrast:
        return _describe_similar_names(similar, images)
    if similar and names_contrast == siblings.contrast:
        problem = f"{siblings.describe()}, and so do {_name_similar(similar)}"
        return problem, move_fix(images, are_others)
    if siblings.rival:
        inside = "/".join(siblings.rival.parent)
        rivals = join_names([f"{inside}/{child}/" for child in siblings.rival.children])
        return f"{siblings.describe()}, and so do {rivals}", move_fix(images, are_others)
    if siblings.may_be_renamed:
        fix = rename_fix(_find_splits_beside(siblings, images), are_others)
    else:
        is_paired = {*siblings.counts} == {siblings.common} and not are_others
        fix = move_fix(images, are_others=not is_paired)
    if siblings.contrast == Contrast.NUMBER:
        fix = f"if these are the sides of pairs, {fix}"
    return siblings.describe(), fix


def _find_similar_in_both(
    siblings: Siblings, images: list[SourceImage]
) -> tuple[SourceImage, SourceImage] | None:
    """Two images of the first folder whose names differ by a word, if the second has such, too."""
    depth = len(siblings.parent)
    if "" in siblings.children[:2]:
        return None
    first, second = (
        find_similar_names(
            [image for image in images if image.folders[: depth + 1] == (*siblings.parent, child)]
        )
        for child in siblings.children[:2]
    )
    return first if second else None


def _find_splits_beside(siblings: Siblings, images: list[SourceImage]) -> list[str]:
    """The splits that folders beside two folders mention, if the two mention a split.

    If only one of the two folders mentions a split, the other is its second side, and not train.
    """
    if not any(mentioned_splits(child) for child in siblings.children):
        return []
    depth = len(siblings.parent)
    unnamed = {child for child in siblings.children if not mentioned_splits(child)}
    below = [
        image
        for image in images
        if len(image.folders) > depth and image.folders[:depth] == siblings.parent
    ]
    beside = [
        replace(image, folders=(image.folders[depth], ""), split="")
        for image in below
        if image.folders[depth] not in unnamed
    ]
    return find_splits(beside)


def _describe_side_folders(images: list[SourceImage]) -> Finding | None:
    """The problem of two folders that are named like the sides of pairs, and the fix."""
    children: dict[tuple[str, ...], dict[str, list[SourceImage]]]
    children = defaultdict(lambda: defaultdict(list))
    for image in images:
        for depth, child in enumerate(image.folders):
            children[image.folders[:depth]][child].append(image)
    for parent, inside in children.items():
        targets = [child for child in inside if role_of_name(child) == "target"]
        inputs = [child for child in inside if role_of_name(child) == "input"]
        names = {
            child: {name[:2] for name in names_below(parent, inside[child])}
            for child in (inputs + targets if inputs and targets else [])
        }
        common = {(a, b): len(names[a] & names[b]) for a, b in product(inputs, targets)}
        if common:
            pair = max(common, key=lambda pair: common[pair])
            counts = [len(inside[child]) for child in pair]
            first, second = map(partial(describe_folder, parent), pair, counts)
            matching = f" ({plural(common[pair], 'name')} in common)"
            if 2 * common[pair] < min(counts):
                matching = ", but fewer than half of the names match"
            problem = f"{first} and {second} are named like the sides of pairs{matching}"
            return problem, move_fix(images, are_others=True)
    return None


def _describe_similar_names(
    similar: tuple[SourceImage, SourceImage] | None, images: list[SourceImage]
) -> Finding | None:
    """The problem of names in one folder that differ only by a word, and the fix."""
    if similar is None:
        return None
    problem = f"{_name_similar(similar)} differ only by a word, like A and B"
    return problem, move_fix(images, are_others=True)


def _name_similar(similar: tuple[SourceImage, SourceImage]) -> str:
    """Names two images of the same folder."""
    first, second = similar
    inside = f" in {'/'.join(first.folders)}/" if first.folders else ""
    return f"names such as {first.path.name} and {second.path.name}{inside}"
