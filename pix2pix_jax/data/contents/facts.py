"""Facts about the images of a dataset: sizes, values, channels and copies, counted over all pairs.

`ContentsCollector` collects these facts while a dataset is written, and `contents_lines` prints
them. A run keeps them, so that `translate`, `evaluate` and `demo` know the form of its pairs.
"""

from dataclasses import asdict, field
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from pix2pix_jax.config.schema import SPLITS, Data, Form
from pix2pix_jax.data.images.proportions import HalfProportions
from pix2pix_jax.runtime.console import MAX_NAMED, name_some
from pix2pix_jax.runtime.storage.files import write_atomically

MAX_PROPORTIONS = 100  # a run remembers at most this number of proportions
METADATA_KEY = "contents"  # the key of the facts in the metadata of a dataset


@dataclass(frozen=True)
class Tally:
    """The number of images or pairs with a certain property, and the names of the first.

    Attributes:
      count: the number of images or pairs.
      names: the names of the first MAX_NAMED.
    """

    count: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, name: str) -> "Tally":
        """The same Tally with one more image or pair."""
        names = self.names if len(self.names) == MAX_NAMED else [*self.names, name]
        return Tally(self.count + 1, names)

    def describe(self) -> str:
        """The first names, and the number of the others."""
        return name_some(self.names, count=self.count)


@dataclass(frozen=True)
class Note:
    """A fact about files that the user may not expect, such as frames that are left out.

    Attributes:
      text: the note of the first file; others may differ in numbers and names of profiles.
      files: the files.
    """

    text: str
    files: Tally


def add_notes(notes: dict[str, Note], name: str, texts: dict[str, str]) -> None:
    """Counts the notes `texts` of a file in the `notes` of its set; both have the same keys."""
    for key, text in texts.items():
        note = notes.get(key, Note(text, Tally()))
        notes[key] = Note(note.text, note.files.add(name))


@dataclass(frozen=True)
class Levels:
    """The values of the images of one side that have the same depth; alpha is left out.

    Attributes:
      bits: the depth in bits a channel: 8 or 16.
      images: the number of images.
      count: the number of different values.
      lowest: the lowest value.
      highest: the highest value.
      highest_below_white: the highest value below white. White is the largest number of the depth.
      highest_usual: for 16 bits, the highest value below white without a few brighter values, which
        may be faulty pixels of a camera; else None.
      flatness: the mean share of pixels that equal the next pixel, 0 to 1; see `Smoothness`.
      has_numbers: whether the pixels of all images are numbers, and not colours: all channels are
        equal, except for channels that are 0. Otherwise, `flatness` and `unit_steps` mean nothing.
      unit_steps: of the pixels that differ from the next pixel, the mean share that differs by 1.

    In the facts of earlier versions, `unit_steps` and `highest_usual` are None, and `flatness`
    counts all pixels.
    """

    bits: int
    images: int
    count: int
    lowest: int
    highest: int
    highest_below_white: int
    flatness: float
    has_numbers: bool = True
    unit_steps: float | None = None
    highest_usual: int | None = None


@dataclass(frozen=True)
class Sizes:
    """The sizes of the images of one side.

    Attributes:
      height, width: the most common size in pixels.
      others: the number of other sizes.
      proportions: width / height of the images, the most common first, with four decimals.
    """

    height: int
    width: int
    others: int
    proportions: list[float]


@dataclass(frozen=True)
class Side:
    """The images of one side.

    Attributes:
      images: the number of images.
      sizes: their sizes.
      levels: their values, by depth.
      grey: the number of images without colour.
      notes: the notes of the reader of files, by their key. The notes of side-by-side images are
        stored with A only.
      looks_like_pairs: whether every image is twice as wide as high, and its halves look like a
        pair; False if the form is halves.
    """

    images: int
    sizes: Sizes
    levels: list[Levels]
    grey: int
    notes: dict[str, Note] = field(default_factory=dict)
    looks_like_pairs: bool = False


@dataclass(frozen=True)
class Contents:
    """The facts about all pairs of a dataset.

    Attributes:
      form: whether a file shows both sides, or a side has its own file.
      pairs: the number of pairs by split.
      sides: the facts about A and B.
      unequal: pairs whose two sides differ in their proportions.
      turned: pairs of `unequal` in which width and height are swapped.
      uncommon: side-by-side images whose proportions differ from the usual ones; none unless three
        quarters of all images have the usual ones.
      odd: side-by-side images of an odd width.
      identical: pairs whose sides have the same pixels.
      copies: by split (val, test), pairs that are also in train.
      half_copies: by split and side, other pairs whose image of this side is also in train.
    """

    form: Form
    pairs: dict[str, int]
    sides: dict[str, Side]
    unequal: Tally = Tally()
    turned: Tally = Tally()
    uncommon: Tally = Tally()
    odd: Tally = Tally()
    identical: Tally = Tally()
    copies: dict[str, Tally] = field(default_factory=dict)
    half_copies: dict[str, dict[str, Tally]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """The number of pairs; a single pair in both train and val counts once."""
        return self.sides["A"].images

    @property
    def halves(self) -> HalfProportions:
        """The proportions of the halves of side-by-side pairs; none for pairs in two folders."""
        return HalfProportions(self.sides["A"].sizes.proportions if self.form == "halves" else [])

    def to_json(self) -> dict[str, Any]:
        """The facts as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Any) -> "Contents | None":
        """Makes Contents from the result of `to_json`; None if another version wrote the facts."""
        try:
            return TypeAdapter(cls).validate_python(content)
        except ValidationError:
            return None


def dataset_contents(dataset: tfds.core.DatasetBuilder, data: Data) -> Contents | None:
    """The facts about a dataset; None if an earlier version wrote the dataset."""
    if data.name == "synthetic_facades":
        return drawn_contents(data)
    metadata = dataset.info.metadata or {}
    return Contents.from_json(metadata.get(METADATA_KEY))


def drawn_contents(data: Data) -> Contents:
    """The facts about drawn facades. The levels are placeholders that give no line."""
    height, width = data.image_size
    pairs: dict[str, int] = dict(zip(SPLITS, data.synthetic_pairs, strict=True))
    images, sizes = sum(pairs.values()), Sizes(height, width, 0, [round(width / height, 4)])
    levels = Levels(8, images, 256, 0, 255, highest_below_white=254, flatness=0.5, unit_steps=0.0)
    side = Side(images, sizes, [levels], grey=0)
    return Contents("halves", pairs, {"A": side, "B": side})


def write_contents(contents: Contents, path: Path) -> None:
    """Writes the facts to a JSON file."""
    write_atomically(path, TypeAdapter(Contents).dump_json(contents, indent=1).decode() + "\n")


def read_contents(path: Path) -> Contents | None:
    """Reads the facts of a file; None if there is no such file, or another version wrote it."""
    try:
        return TypeAdapter(Contents).validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None


def shows_halves_of(contents: Contents, pairs: Contents) -> bool:
    """Whether the files of a side-by-side dataset have the proportions of halves of `pairs`.

    Files that may also be whole pairs do not count.

    Args:
      contents: the facts about the dataset.
      pairs: the facts about side-by-side pairs of the same subject.
    """
    if contents.form != "halves":
        return False
    halves, ratios = pairs.halves, contents.sides["A"].sizes.proportions
    return all(halves.part_of(2 * ratio) == "half" for ratio in ratios)  # of the whole files
