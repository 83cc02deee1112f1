"""Compares the proportions of images, and of the halves of side-by-side pairs."""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Literal

# Two sizes of one image differ by less than a pixel, or by this share of the shorter side.
SIZE_TOLERANCE = 0.01
# Ratios of width to height differ by more, because height and width may both be rounded.
RATIO_TOLERANCE = 0.02
Part = Literal["half", "pair", "either", "neither"]


def have_same_proportions(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether two shapes (height, width, ...) have the same proportions, up to rounding."""
    (height, width), (other_height, other_width) = a[:2], b[:2]
    if max(width, height) > max(other_width, other_height):
        return have_same_proportions(b, a)
    # The smaller image may have been rounded to whole pixels.
    scale = max(other_height, other_width) / max(height, width)
    errors = abs(height - other_height / scale), abs(width - other_width / scale)
    return max(errors) < 1 or max(errors) <= SIZE_TOLERANCE * min(height, width)


class HalfProportions:
    """The proportions of the halves of side-by-side pairs."""

    def __init__(self, ratios: Iterable[float]):
        """Sorts the proportions; each is width / height of a half."""
        self._ratios = sorted({*ratios})

    def part_of(self, ratio: float) -> Part:
        """What an image of these proportions, width / height, may show of the pairs."""
        may_be_half, may_be_pair = self._contains(ratio), self._contains(ratio / 2)
        if may_be_half:
            return "either" if may_be_pair else "half"
        return "pair" if may_be_pair else "neither"

    def _contains(self, ratio: float) -> bool:
        """Whether a ratio is one of the proportions, up to RATIO_TOLERANCE."""
        index = bisect_left(self._ratios, ratio / (1 + RATIO_TOLERANCE))
        near = self._ratios[index : index + 1]
        return bool(near) and near[0] <= ratio / (1 - RATIO_TOLERANCE)
