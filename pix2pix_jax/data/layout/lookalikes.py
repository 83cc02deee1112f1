"""Refuses images that must not be cut in half, because each is one side of a pair by its name."""

from collections import defaultdict

from pix2pix_jax.data.layout.roles import SourceImage, mentioned_splits, split_of_folder
from pix2pix_jax.data.layout.siblings import (
    MAX_SIDES,
    Siblings,
    describe_folder,
    find_siblings,
)
from pix2pix_jax.data.layout.similar_names import find_similar_names
from pix2pix_jax.data.layout.walk import Source
from pix2pix_jax.data.layout.words import drop_numbers, fold_name, split_words
from pix2pix_jax.errors import UsageError

MIN_FOLDERS_OF_TWO = 3  # from this number on, folders with two images each are probably pairs
MOVE = "move the inputs into A/ and one target each into B/, with equal names and subfolders"
MOVE_OTHERS = ", and other images out of the source"
HALVES_FIX = "or, for side-by-side files, give --config.data.form=halves"
Finding = tuple[str, str]  # a problem and its fix
# Words by which people call the inputs and the targets of pairs.
INPUT_WORDS = {
    *("input", "inputs", "source", "sources", "src", "image", "images", "img", "imgs", "photo"),
    *("photos", "picture", "pictures", "rgb", "noisy", "low", "lr", "lq", "before", "raw"),
}
TARGET_WORDS = {
    *("target", "targets", "output", "outputs", "dst", "mask", "masks", "label", "labels", "gt"),
    *("groundtruth", "truth", "annotation", "annotations", "annot", "seg", "segmentation"),
    *("clean", "high", "hr", "hq", "after", "depth", "edge", "edges", "sketch", "sketches"),
}


def check_lookalikes(images: list[SourceImage], source: Source) -> None:
    """Raises UsageError if names show that images are single sides of pairs."""
    finding = (
        _describe_folders_of_pairs(images)
        or _describe_siblings(find_siblings(images))
        or _describe_side_folders(images)
        or _describe_similar_names(images, source)
    )
    if finding:
        problem, fix = finding
        raise UsageError(f"{source.name}: {problem}", f"{fix}, {HALVES_FIX}")


def _describe_folders_of_pairs(images: list[SourceImage]) -> Finding | None:
    """The problem of folders that probably hold one pair each, and the fix.

    Every such folder has the same few names, or two images.
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
    return (
        f"{len(folders)} folders such as {'/'.join(next(iter(folders)))}/ hold {held}, so each "
        "folder probably holds one pair",
        "move the inputs into A/ and the targets into B/, each "
        f"under the name of its folder{MOVE_OTHERS if len(names) > 2 else ''}",
    )


def _describe_siblings(siblings: Siblings | None) -> Finding | None:
    """The problem of two folders with names in common, and the fix."""
    if siblings is None:
        return None
    if not siblings.may_be_renamed:
        is_paired = {*siblings.counts} == {siblings.common} and not siblings.others
        return siblings.describe(), f"{MOVE}{'' if is_paired else MOVE_OTHERS}"
    splits = {split for child in siblings.children for split in mentioned_splits(child)}
    prefix = splits.pop() if len(splits) == 1 else ""
    others = ", ".join(siblings.others)
    return (
        siblings.describe(),
        f"rename each folder of inputs to {prefix}A and each folder of "
        f"targets to {prefix}B{f', and move {others} out of the source' if others else ''}",
    )


def _describe_side_folders(images: list[SourceImage]) -> Finding | None:
    """The problem of two folders that are named like the sides of pairs, and the fix."""
    children: dict[tuple[str, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for image in images:
        for depth, child in enumerate(image.folders):
            children[image.folders[:depth]][child] += 1
    for parent, counts in children.items():
        targets = [child for child in counts if TARGET_WORDS & set(split_words(child))]
        inputs = [
            child
            for child in counts
            if child not in targets and INPUT_WORDS & set(split_words(child))
        ]
        if inputs and targets:
            first, second = (
                describe_folder(parent, child, counts[child]) for child in (inputs[0], targets[0])
            )
            return (
                f"{first} and {second} are named like the sides of pairs, but fewer than "
                "half of the names match",
                f"{MOVE}{MOVE_OTHERS}",
            )
    return None


def _describe_similar_names(images: list[SourceImage], source: Source) -> Finding | None:
    """The problem of names in one folder that differ only by a word, and the fix."""
    similar = find_similar_names(images)
    if similar is None:
        return None
    first, second = (source.name_of(image.path) for image in similar)
    return (
        f"names such as {first} and {second} differ only by a word, like the names of A and B",
        f"{MOVE}{MOVE_OTHERS}",
    )
