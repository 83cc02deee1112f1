"""Refuses images that would be cut in half, although their names show that they are one side."""

from collections import defaultdict

from pix2pix_jax.data.layout.roles import SourceImage, mentioned_splits, named_splits
from pix2pix_jax.data.layout.siblings import MAX_SIDES, Siblings, find_siblings
from pix2pix_jax.data.layout.similar_names import find_similar_names
from pix2pix_jax.data.layout.walk import Source
from pix2pix_jax.data.layout.words import drop_numbers, fold_name, split_words
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.console import plural

MIN_TWOS = 3  # so many folders with two images each are probably pairs
MOVE = "move the inputs into A/ and one target each into B/, with equal names and subfolders"
MOVE_OTHERS = ", and the rest out of the source"
WAY_OUT = "or, if each file shows both, give --config.data.form=halves"
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
    """Raises UsageError if names show that images are single sides of pairs.

    Args:
      images: the images outside folders A and B.
      source: the source of the images.
    """
    finding = (
        _describe_folders_of_pairs(images)
        or _describe_siblings(find_siblings(images))
        or _describe_side_folders(images)
        or _describe_similar_names(images, source)
    )
    if finding:
        raise UsageError(f"{source.name}: {finding}, {WAY_OUT}")


def _describe_folders_of_pairs(images: list[SourceImage]) -> str:
    """Describes folders that each hold the same few names, or two images: one pair in a folder."""
    folders: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for image in images:
        folders[image.folders].append(fold_name(image.path.stem))
    names = set(next(iter(folders.values())))
    if () in folders or not 2 <= len(names) < MAX_SIDES:
        return ""
    are_equal = all(set(stems) == names for stems in folders.values())
    are_numbered = len({drop_numbers(path[-1]) for path in folders}) == 1
    are_sides = bool(names & (INPUT_WORDS | TARGET_WORDS | {"a", "b"}))
    # Fewer folders with other names may each hold one side of all pairs.
    least = 2 if are_numbered or are_sides else MAX_SIDES
    are_twos = all(len(stems) == 2 for stems in folders.values())
    are_splits = any(named_splits(path[-1]) for path in folders)
    if are_equal and len(folders) >= least:
        held = f"images of the same {len(names)} names ({', '.join(sorted(names))})"
    elif are_twos and not are_splits and len(folders) >= MIN_TWOS:
        held = "two images each"
    else:
        return ""
    return (
        f"{len(folders)} folders such as {'/'.join(next(iter(folders)))}/ hold {held}, so each "
        "folder probably holds one pair; move the inputs into A/ and the targets "
        f"into B/, each under the name of its folder{MOVE_OTHERS if len(names) > 2 else ''}"
    )


def _describe_siblings(siblings: Siblings | None) -> str:
    """Describes two folders with names in common."""
    if siblings is None:
        return ""
    if not siblings.may_be_renamed:
        is_paired = {*siblings.counts} == {siblings.common} and not siblings.others
        return f"{siblings.describe()}; {MOVE}{'' if is_paired else MOVE_OTHERS}"
    splits = {split for child in siblings.children for split in mentioned_splits(child)}
    prefix = splits.pop() if len(splits) == 1 else ""
    others = ", ".join(siblings.others)
    return (
        f"{siblings.describe()}; rename each folder of inputs to {prefix}A and each folder of "
        f"targets to {prefix}B{f', and move {others} out of the source' if others else ''}"
    )


def _describe_side_folders(images: list[SourceImage]) -> str:
    """Describes two folders in one folder that are called like the two sides of pairs."""
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
            above = "".join(f"{folder}/" for folder in parent)
            first, second = (
                f"{above}{child}/ ({plural(counts[child], 'image')})"
                for child in (inputs[0], targets[0])
            )
            return (
                f"{first} and {second} are named like the sides of pairs, but fewer than "
                f"half of their names are equal; {MOVE}{MOVE_OTHERS}"
            )
    return ""


def _describe_similar_names(images: list[SourceImage], source: Source) -> str:
    """Describes names in one folder that differ only by a word."""
    similar = find_similar_names(images)
    if similar is None:
        return ""
    first, second = (source.name_of(image.path) for image in similar)
    return (
        f"many names differ only by a word, such as {first} and {second}, as those of A and B do; "
        f"{MOVE}{MOVE_OTHERS}"
    )
