"""Finds the pairs of image files in a folder, and says what is left out."""

import os
import re
import shlex
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from pix2pix_jax.config.schema import Form
from pix2pix_jax.data.images.image_files import IMAGE_FORMATS
from pix2pix_jax.data.layout.inventory import (
    CLOUD_SUFFIX,
    Inventory,
    SkippedFiles,
    count_suffixes,
    suffix_of,
    take_inventory,
)
from pix2pix_jax.data.layout.lookalikes import check_lookalikes
from pix2pix_jax.data.layout.roles import (
    BOTH_SIDES,
    PairFiles,
    SourceImage,
    is_side_outermost,
    read_role,
    read_roles,
)
from pix2pix_jax.data.layout.sides import (
    UnreadImage,
    check_equal_names,
    check_has_sides,
    check_mixture,
    find_test_without_targets,
    join_sides,
    refuse_without_partner,
)
from pix2pix_jax.data.layout.splits import (
    check_split_names,
    describe_outer_names,
    find_outside_splits,
    hold_out_val,
)
from pix2pix_jax.data.layout.unread_splits import (
    describe_names_of_splits,
    describe_unread_lists,
)
from pix2pix_jax.data.layout.walk import Source, check_utf8_names
from pix2pix_jax.errors import UsageError

# The names of archives that `unpack` reads.
READABLE_ARCHIVE = re.compile(r"\.(zip|tar|tgz|tar\.(gz|bz2|xz))$", re.IGNORECASE)


@dataclass(frozen=True)
class FoundPairs:
    """The pairs of a source, and everything else that the user should know about the source.

    Attributes:
      splits: the pairs by split, in the order of SPLITS and of their names.
      form: halves if every file shows A and B side by side, folders if A and B are two files.
      left_out: the images and the broken links that are in no pair, by reason.
      notes: other facts, each as one line: pairs that were moved to another split, for example.
      is_val_from_train: whether the source has no val, so that a part of train became val.
    """

    splits: dict[str, list[PairFiles]]
    form: Form
    left_out: tuple[SkippedFiles, ...]
    notes: tuple[str, ...]
    is_val_from_train: bool = False

    def lines(self) -> list[str]:
        """The lines to print once, when the pairs are prepared."""
        return [*self.notes, *(left_out.line() for left_out in self.left_out)]


def find_pairs(source: Source, form: Form | None = None) -> FoundPairs:
    """Finds the pairs of a source by split, in the order of their names.

    A file below a folder A or B is one side of a pair. The other side is the file with the same
    path and stem below the other folder. Any other file shows both sides side by side. If folders A
    and B are inside each other, the side is the folder with which more pairs are found.

    The split is the name of a folder: train, val or test, or another word of `SPLIT_WORDS`. A
    folder trainA counts as train and A. Pairs outside these folders are in train, or are left out
    if a folder is named train. Without val, a tenth of train becomes val; a hash of the names
    chooses these pairs.

    Args:
      form: data.form. `halves`: every file shows both sides, also in folders A and B. `folders`:
        images outside folders A and B are left out. None: images outside folders A and B are
        refused if their names look like the sides of pairs.

    Raises:
      UsageError: there are no images, a name is not UTF-8, a pair lacks a side or has two files for
        one side, or the split or the form of images is in doubt.
      OSError: a folder cannot be read.
    """
    root, inventory = source.root, _take_inventory(source)
    top = Path(os.path.commonpath({path.parent for path in inventory.images}))
    folders = top.relative_to(root).parts
    outer = is_side_outermost(inventory.images, root, top, form)
    images = read_roles(inventory.images, root, top, form, outer)
    left_out = list[SkippedFiles]()
    if form == "folders":  # Images outside A and B are not read, so their splits do not matter.
        images, left_out = _leave_out_both_sides(images, source)
    notes = check_split_names(images, folders, source)
    notes += describe_outer_names([root.name, *folders] if source.is_folder else folders, images)
    loose = find_outside_splits(images)
    images, more = _leave_out(images, loose, source, "outside the folders train, val and test")
    left_out += more
    if form is None:
        check_mixture(images, loose, source)
    if images[0].side == BOTH_SIDES:
        # Loose images count as well: they may be the targets of the images in train.
        splits = _read_halves(images, loose, source, form)
    else:
        lone = find_test_without_targets(images)
        place, fix = "of test without a partner", "pix2pix translate reads images without targets"
        images, more = _leave_out(images, lone, source, place, fix)
        left_out += more
        splits = _read_folders(images, inventory, source, outer)
    found_form: Form = "halves" if images[0].side == BOTH_SIDES else "folders"
    notes += describe_unread_lists(inventory.others, images, splits, found_form, source)
    notes += describe_names_of_splits(splits, found_form)
    has_val = "val" in splits
    splits, moved = hold_out_val(splits)
    return FoundPairs(
        splits,
        found_form,
        left_out=(*left_out, *inventory.left_out),
        notes=(*notes, *moved),
        is_val_from_train="val" in splits and not has_val,
    )


def _take_inventory(source: Source) -> Inventory:
    """The files of a source; raises UsageError if no image is among them or has a foreign name."""
    inventory = take_inventory(source.root)
    if not inventory.images:
        problem = f"{source.name}: contains no images{_describe_content(inventory)}"
        raise UsageError(problem, _fix_content(inventory, source))
    check_utf8_names(inventory.images, source)
    return inventory


def _describe_content(inventory: Inventory) -> str:
    """The content of a source without images, as the end of the error line."""
    found = [left_out.describe() for left_out in inventory.left_out]
    if inventory.others:
        found.append(f"files of other kinds ({count_suffixes(inventory.others, 3)})")
    described = f", but {', '.join(found)}" if found else ""
    formats = ", ".join(IMAGE_FORMATS)
    return f" ({formats}){described}"


def _fix_content(inventory: Inventory, source: Source) -> str:
    """The fix for a source without images."""
    fixes = []
    for part in inventory.left_out:
        if part.noun == "archive" and len(part.files) == 1:
            archive = source.root / part.files[0]
            can_be_given = source.is_folder and READABLE_ARCHIVE.search(archive.name)
            name = shlex.quote(str(archive) if source.is_folder else part.files[0])
            fixes.append(f"give {name}" if can_be_given else f"unpack {name} first")
        elif part.noun == "archive":
            fixes.append("unpack all archives into one folder and give this folder")
        elif part.fix:
            fixes.append(part.fix)
    return ", or ".join(fixes) or "give a folder, tarball or zip file of images"


def _leave_out(
    images: list[SourceImage], gone: list[SourceImage], source: Source, place: str, fix: str = ""
) -> tuple[list[SourceImage], list[SkippedFiles]]:
    """Splits images into those that stay and a SkippedFiles entry for those in `gone`."""
    if not gone:
        return images, []
    names = tuple(source.name_of(image.path) for image in gone)
    gone_set = set(gone)
    kept = [image for image in images if image not in gone_set]
    return kept, [SkippedFiles(names, "image", place, fix)]


def _leave_out_both_sides(
    images: list[SourceImage], source: Source
) -> tuple[list[SourceImage], list[SkippedFiles]]:
    """Leaves out the images outside A and B; raises UsageError if no image is in A or B."""
    check_has_sides(images, source)
    whole = [image for image in images if image.side == BOTH_SIDES]
    return _leave_out(images, whole, source, "outside folders A and B")


def _read_halves(
    images: list[SourceImage], loose: list[SourceImage], source: Source, form: Form | None
) -> dict[str, list[PairFiles]]:
    """The pairs by split if every image shows both sides; loose images are in no pair."""
    if form is None:
        check_lookalikes(images + loose, source)
    else:
        images = _rename_equal(images)
    check_equal_names(images, source)
    splits: dict[str, list[PairFiles]] = defaultdict(list)
    for image in sorted(images, key=lambda image: image.pair):
        splits[image.split].append(PairFiles(image.pair, (image.path,)))
    return splits


def _rename_equal(images: list[SourceImage]) -> list[SourceImage]:
    """Gives pairs that share a name the names of all their folders: x/train/1 and y/train/1."""
    counts = Counter((image.split, image.pair) for image in images)
    return [
        replace(image, pair="/".join([*image.folders, image.path.stem]))
        if counts[image.split, image.pair] > 1
        else image
        for image in images
    ]


def _read_folders(
    images: list[SourceImage], inventory: Inventory, source: Source, outer: bool
) -> dict[str, list[PairFiles]]:
    """The pairs by split if folders A and B hold the two sides; `outer` is that of `read_role`."""
    check_equal_names(images, source)
    joined = join_sides(images)
    unread = [
        UnreadImage(_read_unread_role(source.root / name, source, outer), part.each, part.fix)
        for part in inventory.left_out
        for name in part.files
    ]
    refuse_without_partner(joined.alone, images, unread, source)
    return joined.pairs


def _read_unread_role(path: Path, source: Source, outer: bool) -> SourceImage:
    """The role of a file that is not read, as if the file were visible and had only one suffix."""
    # iCloud writes .1.png.icloud in place of 1.png.
    image = path.with_suffix("") if path.suffix.lower() == CLOUD_SUFFIX else path
    name = image.name[: len(image.name) - len(suffix_of(image))].lstrip(".")
    role = read_role(path.with_name(f"{name}.png"), source.root, source.root, None, outer)
    return replace(role, path=path)
