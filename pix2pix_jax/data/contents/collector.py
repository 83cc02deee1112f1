"""Collects facts about the images of a dataset while the images are decoded."""

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from pix2pix_jax.config.schema import Form
from pix2pix_jax.data.contents.class_numbers import Smoothness, measure_smoothness, read_numbers
from pix2pix_jax.data.contents.facts import (
    MAX_PROPORTIONS,
    Contents,
    Levels,
    Note,
    Side,
    Sizes,
    Tally,
    add_notes,
)
from pix2pix_jax.data.contents.likeness import (
    MAX_MEASURED,
    Likeness,
    look_like_pairs,
    measure_likeness,
)
from pix2pix_jax.data.images.decoded_image import DecodedImage, blend_with_white
from pix2pix_jax.data.images.proportions import have_same_proportions
from pix2pix_jax.data.layout.roles import SIDES

# JPEG and resizing change the channels of a grey pixel by up to 8 of 255 levels. In a dark image,
# this part of its highest value counts, because the colours of a dark image differ by few levels.
GREY_TOLERANCE = 8 / 255
GREY_PIXELS = 0.999  # the least share of grey pixels in an image without colour
# In a set of 16 bits, this share of all values may be faulty pixels of a camera. Such pixels are
# far brighter than the others.
FAULTY_SHARE = 5e-4
ROWS = 64  # the rows of an image that are counted at once, because counting needs memory
# Files are compared with the most common size only if this share of all files has its proportions.
COMMON_SHARE = 0.75


class _LevelCounter:
    """Counts the values of all images of one depth."""

    def __init__(self, white: int):
        self._white, self._is_deep = white, white > 255
        self._counts = np.zeros(white + 1, np.int64)  # the number of pixels with each value
        self._images, self._has_numbers = 0, True
        self._smoothness: list[Smoothness] = []

    def add(self, colours: np.ndarray) -> None:
        """Adds an image [h, w, c] without alpha."""
        if self._is_deep or not self._counts.all():
            for start in range(0, len(colours), ROWS):
                values = colours[start : start + ROWS].ravel()
                self._counts += np.bincount(values, minlength=len(self._counts))
        self._images += 1
        numbers = read_numbers(colours) if self._has_numbers else None
        if numbers is None:
            self._has_numbers = False
        elif smoothness := measure_smoothness(numbers):
            self._smoothness.append(smoothness)

    def finish(self) -> Levels:
        """The values of all images that were added."""
        seen = np.flatnonzero(self._counts)
        below = seen[seen < self._white]
        return Levels(
            bits=self._white.bit_length(),
            images=self._images,
            count=len(seen),
            lowest=int(seen[0]),
            highest=int(seen[-1]),
            highest_below_white=int(below[-1]) if len(below) else 0,
            highest_usual=self._find_highest_usual() if self._is_deep else None,
            flatness=_mean([smoothness.flatness for smoothness in self._smoothness]),
            has_numbers=self._has_numbers,
            unit_steps=_mean([smoothness.unit_steps for smoothness in self._smoothness]),
        )

    def _find_highest_usual(self) -> int:
        """The highest value below white, without the values that may be faulty pixels."""
        counts = self._counts[: self._white]
        brighter = counts[::-1].cumsum()[::-1]  # the number of pixels with at least this value
        usual = np.flatnonzero(brighter > FAULTY_SHARE * self._counts.sum())
        return int(usual[-1]) if len(usual) else 0


class _SideCollector:
    """Collects the facts about the images of one side."""

    def __init__(self, may_hold_pairs: bool) -> None:
        """Starts without images; `may_hold_pairs` asks whether files show pairs side by side."""
        self._may_hold_pairs = may_hold_pairs
        self._likenesses: list[Likeness] = []
        self._sizes = Counter[tuple[int, int]]()
        self._levels: dict[int, _LevelCounter] = {}
        self._grey = 0
        self._notes: dict[str, Note] = {}

    def add(self, image: DecodedImage, name: str) -> None:
        """Adds an image."""
        pixels = image.pixels
        height, width = pixels.shape[:2]
        self._sizes[height, width] += 1
        self._may_hold_pairs &= width == 2 * height
        if self._may_hold_pairs and len(self._likenesses) < MAX_MEASURED:
            likeness = measure_likeness(pixels)
            self._likenesses += [likeness] if likeness else []
        colours = blend_with_white(image)
        white = int(np.iinfo(pixels.dtype).max)
        self._levels.setdefault(white, _LevelCounter(white)).add(colours)
        self._grey += is_grey(colours)
        add_notes(self._notes, name, image.notes)

    def finish(self) -> Side:
        """The facts about all images that were added."""
        (height, width), _ = self._sizes.most_common(1)[0]
        proportions = Counter[float]()
        for (h, w), count in self._sizes.items():
            proportions[round(w / h, 4)] += count
        common = [value for value, _ in proportions.most_common(MAX_PROPORTIONS)]
        return Side(
            images=self._sizes.total(),
            sizes=Sizes(height, width, len(self._sizes) - 1, common),
            levels=[self._levels[white].finish() for white in sorted(self._levels)],
            grey=self._grey,
            notes=self._notes,
            looks_like_pairs=self._may_hold_pairs and look_like_pairs(self._likenesses),
        )


@dataclass(frozen=True, slots=True)
class _PairRecord:
    """The facts about one pair that are needed when all pairs are known."""

    name: str
    width: int  # of the whole file, if the file shows both sides
    height: int
    digests: tuple[bytes | None, bytes | None]  # of A and B; None for an image of one colour


class ContentsCollector:
    """Collects the facts about all pairs of a dataset."""

    def __init__(self, form: Form):
        self._form: Form = form
        self._sides = {side: _SideCollector(form == "folders") for side in SIDES}
        self._records: dict[str, list[_PairRecord]] = {}
        self._names = set[str]()
        self._unequal = self._turned = self._odd = self._identical = Tally()

    def add(self, split: str, name: str, a: DecodedImage, b: DecodedImage, width: int) -> None:
        """Adds a pair.

        Args:
          split: train, val or test.
          name: the path by which the user knows the pair.
          a, b: the images of both sides.
          width: the width in pixels of the file with A. In a side-by-side file, A is the left half.
        """
        record = _PairRecord(name, width, a.pixels.shape[0], (_digest(a.pixels), _digest(b.pixels)))
        self._records.setdefault(split, []).append(record)
        if name in self._names:  # A single pair is in both train and val.
            return
        self._names.add(name)
        self._sides["A"].add(a, name)
        # The halves of one file have the same notes.
        self._sides["B"].add(replace(b, notes={}) if self._form == "halves" else b, name)
        if not have_same_proportions(a.pixels.shape, b.pixels.shape):
            self._unequal = self._unequal.add(name)
            if have_same_proportions(a.pixels.shape, b.pixels.shape[1::-1]):
                self._turned = self._turned.add(name)
        if self._form == "halves" and width % 2:
            self._odd = self._odd.add(name)
        if record.digests[0] and record.digests[0] == record.digests[1]:
            self._identical = self._identical.add(name)

    def finish(self) -> Contents:
        """The facts about all pairs that were added."""
        copies, half_copies = self._find_copies()
        return Contents(
            form=self._form,
            pairs={split: len(records) for split, records in self._records.items()},
            sides={"A": self._sides["A"].finish(), "B": self._sides["B"].finish()},
            unequal=self._unequal,
            turned=self._turned,
            uncommon=self._find_uncommon() if self._form == "halves" else Tally(),
            odd=self._odd,
            identical=self._identical,
            copies=copies,
            half_copies=half_copies,
        )

    def _find_uncommon(self) -> Tally:
        """The files without the usual proportions; none unless COMMON_SHARE of all have them."""
        records = [record for records in self._records.values() for record in records]
        shapes = [(record.height, record.width) for record in records]
        usual, _ = Counter(shapes).most_common(1)[0]
        uncommon = Tally()
        for record, shape in zip(records, shapes, strict=True):
            if not have_same_proportions(shape, usual):
                uncommon = uncommon.add(record.name)
        is_common = len(records) - uncommon.count >= COMMON_SHARE * len(records)
        return uncommon if is_common else Tally()

    def _find_copies(self) -> tuple[dict[str, Tally], dict[str, dict[str, Tally]]]:
        """The pairs of val and test of which both images, or one image, are also in train."""
        pairs: dict[tuple[bytes | None, bytes | None], str] = {}
        images: dict[str, dict[bytes, str]] = {"A": {}, "B": {}}
        for record in self._records.get("train", []):
            if None not in record.digests:
                pairs.setdefault(record.digests, record.name)
            for side, digest in zip(images, record.digests, strict=True):
                if digest:
                    images[side].setdefault(digest, record.name)
        copies: dict[str, Tally] = {}
        half_copies: dict[str, dict[str, Tally]] = {}
        for split, records in self._records.items():
            for record in records if split != "train" else []:
                if original := pairs.get(record.digests):
                    found = copies.get(split, Tally())
                    copies[split] = found.add(f"{record.name} = {original}")
                    continue
                for side, digest in zip(images, record.digests, strict=True):
                    if original := images[side].get(digest or b""):
                        sides = half_copies.setdefault(split, {})
                        found = sides.get(side, Tally())
                        sides[side] = found.add(f"{record.name} = {original}")
        return copies, half_copies


def is_grey(colours: np.ndarray) -> bool:
    """Whether an image [h, w, c] without alpha has no colour, except for traces."""
    if colours.shape[-1] == 1:
        return True
    # Along a short axis, NumPy's own max and min are twenty times slower.
    channels = np.moveaxis(colours, -1, 0)
    highest = reduce(np.maximum, channels)
    spread = highest - reduce(np.minimum, channels)
    return bool((spread <= GREY_TOLERANCE * int(highest.max())).mean() >= GREY_PIXELS)


def _mean(values: list[float]) -> float:
    """The mean with four decimals; 0 without values."""
    return round(sum(values) / max(1, len(values)), 4)


def _digest(pixels: np.ndarray) -> bytes | None:
    """A hash of the pixels of an image; None if the whole image has one value."""
    if pixels.min() == pixels.max():
        return None
    digest = hashlib.sha256(f"{pixels.shape} {pixels.dtype}".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()[:12]
