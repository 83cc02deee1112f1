"""Joins the images of A and B by their names, and refuses images without a partner."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from pix2pix_jax.data.layout.advice import name_sides
from pix2pix_jax.data.layout.lookalikes import check_lookalikes
from pix2pix_jax.data.layout.roles import BOTH_SIDES, SIDES, PairFiles, SourceImage
from pix2pix_jax.data.layout.walk import Source
from pix2pix_jax.data.layout.words import fold_name, nearest_name
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.console import FEW_NAMED, MAX_NAMED, name_some, plural

MAX_CANDIDATES = 2000  # at most this number of names is searched for the nearest name


@dataclass
class JoinedSides:
    """The result of `join_sides`.

    Attributes:
      pairs: the pairs by split.
      alone: the images without a partner.
    """

    pairs: dict[str, list[PairFiles]] = field(default_factory=dict)
    alone: list[SourceImage] = field(default_factory=list)


@dataclass(frozen=True)
class UnreadImage:
    """An image that is not read, but may have been meant as one side of a pair.

    Attributes:
      image: the image, with the role that its path gives to it.
      reason: why it is not read: "is a broken link", for example.
      fix: what the user may do about it.
    """

    image: SourceImage
    reason: str
    fix: str

    def describe(self, source: Source) -> str:
        """Names the image, and says why it is not read."""
        return f"{source.name_of(self.image.path)} {self.reason}"


def check_has_sides(images: list[SourceImage], source: Source) -> None:
    """Raises UsageError if data.form is folders, but no image is in a folder A or B."""
    if all(image.side == BOTH_SIDES for image in images):
        number = "the only image is" if len(images) == 1 else f"all {len(images)} images are"
        raise UsageError(
            f"{source.name}: data.form is folders, but {number} outside folders named A and B "
            f"(first {source.name_of(images[0].path)})",
            "put the inputs into A/ and the targets into B/, or leave out --config.data.form",
        )


def check_mixture(images: list[SourceImage], loose: list[SourceImage], source: Source) -> None:
    """Raises UsageError if only some images are in folders A and B.

    Args:
      images: the images of the source that are not left out.
      loose: the images outside the folders of splits.
    """
    whole = [image for image in images if image.side == BOTH_SIDES]
    sided = [image for image in images if image.side != BOTH_SIDES]
    is_one_sided = len({image.side for image in sided}) == 1
    if sided and (whole or is_one_sided):
        # The other side may be in a folder of another name.
        unread = [i for i in images + loose if is_one_sided or i.side == BOTH_SIDES]
        check_lookalikes(unread, source)
    if whole and sided:
        one, both = (source.name_of(part[0].path) for part in (sided, whole))
        raise UsageError(
            f"{source.name}: contains {plural(len(sided), 'image')} in folders A and B (first "
            f"{one}) and {plural(len(whole), 'other image')} (first {both}), so images may show "
            "one side or both",
            f"{_fix_held_out(whole, sided)}give --config.data.form=folders to leave out all other "
            "images, or --config.data.form=halves if files show both sides",
        )


def _fix_held_out(whole: list[SourceImage], sided: list[SourceImage]) -> str:
    """The beginning of a fix that keeps val and test, if they lack a folder A or B."""
    found = {(image.split, image.side) for image in (*whole, *sided)}
    splits = [
        split
        for split in ("val", "test")
        if (split, BOTH_SIDES) in found and not {(split, side) for side in SIDES} <= found
    ]
    a, b = name_sides(splits, "/")
    return f"move inputs into {a} and targets into {b}, or " if splits else ""


def check_equal_names(images: list[SourceImage], source: Source) -> None:
    """Raises UsageError if two images have the same split, pair and side."""
    roles: dict[tuple[str, str, str], list[Path]] = defaultdict(list)
    for image in images:
        roles[image.split, image.pair, image.side].append(image.path)
    if equal := [paths for paths in roles.values() if len(paths) > 1]:
        examples = [
            f"{source.name_of(paths[0])} has the same name as {source.name_of(paths[1])}"
            for paths in equal
        ]
        count = sum(map(len, equal))
        raise UsageError(
            f"{source.name}: {count} images share a name: {name_some(examples, FEW_NAMED)}",
            "if these are A and B of a pair, move the inputs into A/ and the targets into B/; "
            "otherwise keep only one image of each name, or rename the others",
        )


def find_test_without_targets(images: list[SourceImage]) -> list[SourceImage]:
    """The images of test if they all show the same side, and there are pairs to train on."""
    sides: dict[str, set[str]] = defaultdict(set)
    for image in images:
        sides[image.split].add(image.side)
    if len(sides["test"]) != 1 or len(sides["train"] | sides[""]) != len(SIDES):
        return []
    return [image for image in images if image.split == "test"]


def join_sides(images: list[SourceImage]) -> JoinedSides:
    """Joins A and B of equal names within each split.

    Names that differ only in case or in their Unicode form count as equal if exactly one A and one
    B have such a name.

    Args:
      images: images of one side; no two of them have the same split, pair and side.
    """
    joined = JoinedSides()
    by_split: dict[str, dict[str, dict[str, SourceImage]]] = defaultdict(lambda: defaultdict(dict))
    for image in images:
        by_split[image.split][image.pair][image.side] = image
    for split, by_name in by_split.items():
        pairs = [sides for sides in by_name.values() if len(sides) == len(SIDES)]
        taken = {fold_name(sides["A"].pair) for sides in pairs}
        folded: dict[str, list[SourceImage]] = defaultdict(list)
        for sides in by_name.values():
            if len(sides) == 1:
                [image] = sides.values()
                folded[fold_name(image.pair)].append(image)
        for name, group in folded.items():
            sides = {image.side: image for image in group}
            if len(group) == len(sides) == len(SIDES) and name not in taken:
                pairs.append(sides)
            else:
                joined.alone += group
        files = {sides["A"].pair: tuple(sides[side].path for side in SIDES) for sides in pairs}
        joined.pairs[split] = [PairFiles(name, files[name]) for name in sorted(files)]
    return joined


def refuse_without_partner(
    alone: list[SourceImage], images: list[SourceImage], unread: list[UnreadImage], source: Source
) -> None:
    """Raises UsageError if there are images without a partner.

    Args:
      alone: the images without a partner.
      images: all images of the source in folders A and B.
      unread: images that are not read, but may have been meant as partners.
    """
    if not alone:
        return
    counts = Counter(image.side for image in alone)
    sides = " and ".join(f"{counts[side]} of {side}" for side in SIDES if counts[side])
    twins = {
        (other.image.split, other.image.side, fold_name(other.image.pair)): other
        for other in unread
    }
    found = [twins.get((image.split, _other_side(image), fold_name(image.pair))) for image in alone]
    described = []
    for image, twin in zip(alone[:MAX_NAMED], found, strict=False):
        reason = twin.describe(source) if twin else _explain_missing(image, images, alone, source)
        described.append(f"{source.name_of(image.path)}{f' ({reason})' if reason else ''}")
    fixes = list(dict.fromkeys(twin.fix for twin in found if twin))
    missing = _find_missing_sides(images)
    fixes += [f"put the {missing[split]}" for split in missing if not any(found)]
    if not all(twin or image.split in missing for image, twin in zip(alone, found, strict=True)):
        fixes.append("give A and B of a pair the same name, in the same folders below A/ and B/")
    verb = "has" if len(alone) == 1 else "have"
    raise UsageError(
        f"{source.name}: {plural(len(alone), 'image')} ({sides}) {verb} no partner of the same "
        f"name on the other side: {name_some(described, count=len(alone))}",
        f"{', '.join(fixes)}, or remove the images without a partner",
    )


def _find_missing_sides(images: list[SourceImage]) -> dict[str, str]:
    """What is missing in each split that has images of one side only, and where it belongs."""
    sides: dict[str, set[str]] = defaultdict(set)
    for image in images:
        sides[image.split].add(image.side)
    return {
        split: f"{kind}{f' of {split}' if split else ''} into {split}{side}/"
        for split, found in sides.items()
        for side, kind in zip(SIDES, ("inputs", "targets"), strict=True)
        if side not in found
    }


def _other_side(image: SourceImage) -> str:
    return SIDES[1 - SIDES.index(image.side)]


def _explain_missing(
    image: SourceImage, images: list[SourceImage], alone: list[SourceImage], source: Source
) -> str:
    """Names the image that is probably meant as the partner of an image; "" if there is none."""
    name = fold_name(image.pair)
    for twin in images:
        is_twin = twin is not image and fold_name(twin.pair) == name
        if is_twin and (twin.split, twin.side) == (image.split, image.side):
            return f"the name of {source.name_of(twin.path)} differs only in case"
    across = [other for other in alone if other.side != image.side]
    for other in across:
        if fold_name(other.pair) == name and other.split != image.split:
            return f"{source.name_of(other.path)} has this name, but is in another split"
    by_name = {other.pair: other for other in across if other.split == image.split}
    nearest = nearest_name(image.pair, list(by_name)[:MAX_CANDIDATES])
    return f"nearest: {source.name_of(by_name[nearest].path)}" if nearest else ""
