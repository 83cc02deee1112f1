"""Refuses folders whose split is in doubt, and holds out a part of train as val."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pix2pix_jax.config.schema import SPLITS
from pix2pix_jax.data.layout.roles import (
    PairFiles,
    SourceImage,
    mentioned_splits,
    short_splits,
    split_of_folder,
    weakly_mentioned_splits,
)
from pix2pix_jax.data.layout.split_doubts import Doubt, DoubtfulSplitError, refuse_doubtful
from pix2pix_jax.data.layout.walk import Source
from pix2pix_jax.runtime.console import name_some, plural

# For each folder, by its path, the splits that its name mentions, and the word for each split.
Mentioned = Mapping[tuple[str, ...], Mapping[str, str]]


def check_split_names(images: list[SourceImage], top: tuple[str, ...], source: Source) -> list[str]:
    """Refuses images in folders of two splits, and in folders whose names only mention a split.

    Args:
      images: the images of the source.
      top: the names of the folders that contain all images; these may mention a split.

    Returns:
      Lines about images that are read as train although their folder is not named train.

    Raises:
      DoubtfulSplitError: the split of a folder is in doubt; the message names the folder.
    """
    counts = Counter(image.folders for image in images)
    _refuse_two_splits(counts, source)
    existing = {split for folders in counts for split in _splits_of_folders(folders)}
    train_like, doubts = Doubt(), defaultdict[str, Doubt](Doubt)
    weak = _weak_splits(counts)
    for folders, count in counts.items():
        named = _splits_of_folders(folders)
        is_loose = not named and "train" in existing
        mentions = list(_mentions(folders, len(top)))
        if not mentions and not is_loose and not named & {"val", "test"}:
            mentions = list(_mentions(folders, len(top), weak))
        for split, word, folder in mentions:
            if split == "train" and not named and not is_loose:
                train_like.folders[folder] += count
                train_like.words.add(word)
            elif split not in named and not (is_loose and split in existing):
                doubts[split].folders[folder] += count
                doubts[split].words.add(word)
                doubts[split].is_inside |= bool(named)
    if doubts:
        if train_like.folders and not any(doubt.is_inside for doubt in doubts.values()):
            doubts["train"] = train_like
        refuse_doubtful(doubts, {"/".join(path) for path in counts}, source)
    lines = []
    if train_like.folders:
        read = _describe_read_as_train(train_like.folders.total())
        lines.append(f"{name_some(list(train_like.folders))}: {read}, because of the name")
    others = {f: count for f, count in counts.items() if _is_outside(f, len(top), weak)}
    if others and existing and "train" not in existing:
        names = name_some(["/".join(folders) + "/" for folders in others if folders])
        place = " outside val and test" + (f" ({names})" if names else "")
        read = _describe_read_as_train(sum(others.values()), place)
        lines.append(f"{read}, because there is no train/")
    return lines


def _describe_read_as_train(count: int, place: str = "") -> str:
    return f"{plural(count, 'image')}{place} {'is' if count == 1 else 'are'} read as train"


def _is_outside(folders: tuple[str, ...], start: int, weak: Mentioned) -> bool:
    """Whether no folder above an image is named like a split, nor mentions one from `start` on."""
    mentions = (*_mentions(folders, start), *_mentions(folders, start, weak))
    return not _splits_of_folders(folders) and not mentions


def _weak_splits(counts: Iterable[tuple[str, ...]]) -> Mentioned:
    """The splits that folders may mean by words that are no names of splits, by folder."""
    paths = {folders[: depth + 1] for folders in counts for depth in range(len(folders))}
    children = defaultdict[tuple[str, ...], list[str]](list)
    for path in sorted(paths):
        children[path[:-1]].append(path[-1])
    return {
        (*parent, child): splits
        for parent, inside in children.items()
        for child, splits in (
            *short_splits(inside).items(),
            *((child, weakly_mentioned_splits(child)) for child in inside),
        )
        if splits
    }


def _mentions(
    folders: tuple[str, ...], start: int, weak: Mentioned | None = None
) -> Iterator[tuple[str, str, str]]:
    """Yields each split that the name of a folder mentions, the word, and the path of the folder.

    Args:
      folders: the names of the folders above an image.
      start: the index of the first folder to look at.
      weak: the splits of `_weak_splits`, which are then used in place of `mentioned_splits`.
    """
    for depth in range(start, len(folders)):
        path = folders[: depth + 1]
        splits = mentioned_splits(path[-1]) if weak is None else weak.get(path, {})
        for split, word in sorted(splits.items()):
            yield split, word, "/".join(path) + "/"


def _splits_of_folders(folders: tuple[str, ...]) -> set[str]:
    """The splits that these folders stand for."""
    return {split for folder in folders if (split := split_of_folder(folder))}


def _refuse_two_splits(counts: Counter[tuple[str, ...]], source: Source) -> None:
    """Raises DoubtfulSplitError if the folders above an image name different splits."""
    for folders, count in counts.items():
        if len(named := _splits_of_folders(folders)) > 1:
            raise DoubtfulSplitError(
                f"{source.name}: the path {'/'.join(folders)} names more than one split "
                f"({', '.join(sorted(named))}), so the split of its {plural(count, 'image')} is "
                "unclear",
                "rename one of these folders, or give the inner folder as data.source",
            )


def find_outside_splits(images: list[SourceImage]) -> list[SourceImage]:
    """The images outside all folders of splits, if there is a folder for train; else none."""
    if not any(image.split == "train" for image in images):
        return []
    return [image for image in images if not image.split]


def describe_outer_names(names: Sequence[str], images: list[SourceImage]) -> list[str]:
    """The line about images of train below a folder whose name mentions val or test.

    Args:
      names: the names of the folders that contain all images.
      images: the images of the source.
    """
    mentioned = [
        name
        for name in names
        if {"val", "test"} & (mentioned_splits(name) | weakly_mentioned_splits(name)).keys()
    ]
    if not mentioned or any(image.split for image in images):
        return []
    return [
        f"the images are below a folder named {mentioned[-1]}, but all {len(images)} are read as "
        "train; to keep them out of the training, put them into a folder test/ beside train/"
    ]


def hold_out_val(
    splits: dict[str, list[PairFiles]],
) -> tuple[dict[str, list[PairFiles]], list[str]]:
    """Puts the splits in the order of SPLITS, and moves a tenth of train to val if val is missing.

    Pairs of the split "" become train.

    Returns:
      The pairs by split, and at most one line, about the pairs that became val.
    """
    splits, lines = dict(splits), []
    without_split = splits.pop("", [])
    train = splits.setdefault("train", without_split)
    if not train:  # A dataset to evaluate on may have only val or test.
        del splits["train"]
    elif "val" not in splits:
        ranked = sorted(train, key=lambda pair: hashlib.sha256(pair.name.encode()).digest())
        tenth = max(1, len(ranked) // 10)
        # A single pair is both train and val.
        splits |= {"train": sorted(ranked[tenth:]) or ranked, "val": sorted(ranked[:tenth])}
        if len(ranked) > 1:  # `contents_lines` warns of a single pair.
            lines = [f"there is no val/, so {tenth} of {len(ranked)} pairs became val"]
    return {split: splits[split] for split in SPLITS if split in splits}, lines
