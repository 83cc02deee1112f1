"""Writes the lines about the images of a dataset: a summary, and a line for each finding."""

from tensorflow_datasets.core import DatasetBuilder

from pix2pix_jax.config.resolve import load_size
from pix2pix_jax.config.schema import Data
from pix2pix_jax.data.contents.class_numbers import look_like_classes
from pix2pix_jax.data.contents.facts import (
    Contents,
    Levels,
    Note,
    Side,
    dataset_contents,
)
from pix2pix_jax.data.examples import image_channels, sides_by_role
from pix2pix_jax.data.images.decoded_image import select_notes
from pix2pix_jax.data.images.proportions import have_same_proportions
from pix2pix_jax.errors import make_printable
from pix2pix_jax.runtime.console import plural, some_of


def dataset_lines(dataset: DatasetBuilder, data: Data) -> list[str]:
    """The lines of `contents_lines` about a dataset; none if an earlier version wrote it."""
    contents = dataset_contents(dataset, data)
    lines = contents_lines(contents, data) if contents else []
    return [make_printable(line) for line in lines]  # File names may contain control characters.


def contents_lines(contents: Contents, data: Data) -> list[str]:
    """The lines that `prepare` and `train` print about the pairs.

    Returns:
      A line with the sides, their sizes and the size in training, then a line for each finding.
    """
    lines = [_describe_sides(contents, data), *_size_lines(contents)]
    roles = {side: role for role, side in sides_by_role(data).items()}
    channels = image_channels(data)
    for name, side in contents.sides.items():
        place = "" if contents.form == "halves" else f" of {name}"
        lines += _note_lines(place, side, channels[roles[name]])
    lines += _value_lines(contents)
    return [*lines, *_channel_lines(contents, data), *_split_lines(contents)]


def _describe_sides(contents: Contents, data: Data) -> str:
    """The line about the sides: which is the input, their sizes, and how they are resized."""
    places = {"A": "left half", "B": "right half"}
    if contents.form == "folders":
        places = {"A": "folder A", "B": "folder B"}
    sizes = {name: _describe_size(side) for name, side in contents.sides.items()}
    input_side, target_side = sides_by_role(data).values()
    first = f"{input_side} ({places[input_side]}, {sizes[input_side]})"
    second = f"{target_side} ({places[target_side]}"
    if sizes[target_side] != sizes[input_side]:
        second += f", {sizes[target_side]}"
    return f"{first} -> {second}), {_describe_resizing(contents, data)}; sizes are width x height"


def _describe_resizing(contents: Contents, data: Data) -> str:
    """How images get the size of training, and whether this changes their proportions."""
    all_sizes = [side.sizes for side in contents.sides.values()]
    shapes = {(sizes.height, sizes.width) for sizes in all_sizes}
    (height, width), (load_height, load_width) = data.image_size, load_size(data)
    crop = f"randomly cropped to {width}x{height}" if load_size(data) != data.image_size else ""
    if shapes == {load_size(data)} and not any(sizes.others for sizes in all_sizes):
        return crop or "not resized"
    shapes |= {(10_000, round(10_000 * p)) for sizes in all_sizes for p in sizes.proportions}
    changes = any(not have_same_proportions(shape, load_size(data)) for shape in shapes)
    resizing = f"resized to {load_width}x{load_height}{' (proportions change)' if changes else ''}"
    return f"{resizing} and {crop}" if crop else resizing


def _describe_size(side: Side) -> str:
    sizes = side.sizes
    others = f" and {plural(sizes.others, 'other size')}" if sizes.others else ""
    return f"{sizes.width}x{sizes.height}{others}"


def _size_lines(contents: Contents) -> list[str]:
    """The lines about sizes that do not fit each other, or that are sizes of side-by-side pairs."""
    lines, total = [], contents.total
    if pairs := [name for name, side in contents.sides.items() if side.looks_like_pairs]:
        lines.append(
            f"WARNING: {' and '.join(pairs)}: all images are twice as wide as high, and their left "
            "and right halves look like A and B side by side; if each file shows a whole pair, "
            "give --config.data.form=halves"
        )
    if contents.unequal.count:
        line = (
            "WARNING: A and B have different proportions in "
            f"{some_of(contents.unequal.count, total, 'pair')} ({contents.unequal.describe()})"
        )
        if contents.turned.count:
            line += (
                f"; in {contents.turned.count} of them, width and height are swapped, as if one "
                "image had lost its EXIF orientation"
            )
        lines.append(
            f"{line}; turn or crop these images, so that A and B show the same part of the scene"
        )
    if contents.uncommon.count:
        lines.append(
            f"WARNING: {contents.uncommon.count} of {total} images differ from the rest in their "
            f"proportions ({contents.uncommon.describe()}); check that they show A and B side by "
            "side"
        )
    if contents.odd.count:
        lines.append(
            f"in {some_of(contents.odd.count, total, 'image')}, the width is odd and the middle "
            f"column is left out ({contents.odd.describe()})"
        )
    return lines


def _note_lines(place: str, side: Side, channels: int) -> list[str]:
    """The lines about facts of files, such as frames that are left out."""
    notes = select_notes(side.notes, channels)
    return [describe_note(note, side.images, place) for note in notes.values()]


def _value_lines(contents: Contents) -> list[str]:
    """The lines about the values of images; a fact about both sides is one line."""
    lines: dict[tuple[str, str], list[str]] = {}  # the sides by the prefix and the fact of a line
    for name, side in contents.sides.items():
        for levels in side.levels:
            some = "" if levels.images == side.images else f" in {levels.images} images"
            if problem := _describe_levels(levels):
                lines.setdefault(("WARNING: ", f"{problem}{some}"), []).append(name)
            if levels.bits == 16:
                fact = (
                    f"16 bits a channel{some}; training uses 8 of them, `pix2pix translate` all 16"
                )
                lines.setdefault(("", fact), []).append(name)
    return [f"{prefix}{' and '.join(sides)}: {fact}" for (prefix, fact), sides in lines.items()]


def _describe_levels(levels: Levels) -> str:
    """What is wrong with the values of images of one depth; "" if nothing is."""
    white, top = 2**levels.bits - 1, levels.highest_below_white
    few = f"{plural(levels.count, 'value')} from {levels.lowest:,} to {levels.highest:,}"
    if levels.count == 1:
        return f"every pixel has the value {levels.lowest:,}, so there is nothing to learn"
    if look_like_classes(levels):
        return (
            f"{few} look like class numbers, and the network would see nearly equal greys; give "
            f"each class its own colour, or a grey between 0 and {white:,}"
        )
    # White may mark pixels without a value, such as the depth of the sky.
    has_marks = levels.bits == 16 and levels.count > 32
    usual = top if levels.highest_usual is None else levels.highest_usual
    if (levels.highest < white or has_marks) and usual < white // 2:
        if usual < top:
            few = f"nearly all values are from {levels.lowest:,} to {usual:,}"
        return (
            f"{few}, but {white:,} is white, so the network would see dark images; scale the "
            f"values to 0..{white:,}"
        )
    if levels.highest - levels.lowest < white // 2:
        return f"{few}, so the contrast is low; scale the values to 0..{white:,}"
    return ""


def _channel_lines(contents: Contents, data: Data) -> list[str]:
    """The line that suggests one channel, if images are grey but trained with three.

    Sides of class numbers do not count, because their own line suggests colours.
    """
    if data.name != "folder":
        return []  # The experiments of the public sets have the channels of the paper.
    channels = image_channels(data)
    grey = {
        role: side
        for role, side in sides_by_role(data).items()
        if channels[role] == 3 and _are_grey_values(contents.sides[side])
    }
    if not grey:
        return []
    fields = " ".join(f"--config.data.{role}_channels=1" for role in grey)
    verb = "are" if len(grey) > 1 else "is"
    return [
        f"{' and '.join(sorted(grey.values()))} {verb} grey in all images, but {verb} trained "
        f"with 3 channels; give {fields} to train with one channel, so that outputs have no tint"
    ]


def _are_grey_values(side: Side) -> bool:
    """Whether all images of a side are grey, and are not numbers of classes."""
    return side.grey == side.images and not any(map(look_like_classes, side.levels))


def _split_lines(contents: Contents) -> list[str]:
    """The lines about pairs in several splits, equal images, and a small validation split."""
    lines, pairs = [], contents.pairs
    if contents.identical.count:
        lines.append(
            "WARNING: A and B are the same image in "
            f"{some_of(contents.identical.count, contents.total, 'pair')} "
            f"({contents.identical.describe()}); check that no side was copied over the other"
        )
    copies, half_copies = dict(contents.copies), dict(contents.half_copies)
    has_copy = "val" in copies or "val" in half_copies
    if pairs.get("train") == pairs.get("val") == 1 and has_copy:
        copies.pop("val", None)
        half_copies.pop("val", None)
        lines.append(
            "WARNING: the only pair is used for training and for validation, so scores do not show "
            "how well the network translates new images; add pairs"
        )
    elif pairs.get("val") == 1:
        lines.append(
            "val has only 1 pair, so its scores say little about other images; put ten or more "
            "pairs into val/"
        )
    for split, found in copies.items():
        verb = "is" if found.count == 1 else "are"
        lines.append(
            f"WARNING: {some_of(found.count, pairs[split], 'pair')} of {split} {verb} also in "
            f"train ({found.describe()}), so their scores are too good; remove the copies"
        )
    return lines + [
        f"in {some_of(found.count, pairs[split], 'pair')} of {split}, image {side} is also in "
        f"train, in another pair ({found.describe()}), so their scores may be too good; remove "
        "such pairs from train if the images must be new"
        for split, sides in half_copies.items()
        for side, found in sides.items()
    ]


def describe_note(note: Note, total: int, place: str = "") -> str:
    """The line about a fact of some of `total` images."""
    images = some_of(note.files.count, total, "image")
    return f"in {images}{place}, {note.text} ({note.files.describe()})"
