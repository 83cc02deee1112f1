"""Tells images of class numbers, such as label maps and masks, from pictures and depth maps."""

from typing import NamedTuple

import numpy as np

from pix2pix_jax.data.contents.facts import Levels

# Sides with at most this number of values are masks or label maps. Their objects may be thin lines.
FEW_CLASSES = 4
# Label maps have large areas of one value, and other neighbours differ by any number. In pictures
# with large areas of one value, such as dark pictures, most other neighbours differ by 1. Measured
# by `measure_smoothness`:
#
#     images                                                       flatness        unit steps
#     blocks, 12 labels of facades (32 to 256 pixels wide),
#       150 classes, numbers 0 to 33 and 255, instances            0.55 to 0.99    0.00 to 0.33
#     superpixels and cells, numbered from left to right           0.80 to 0.96    0.00 to 0.18
#     MRI, CT and inverted photos on black, 30 to 256 values       0.11 to 0.42    0.14 to 0.48
#     depth with and without holes, distances, heat maps           0.02 to 0.43    0.33 to 1.0
#     grey label maps that were smoothed or saved as JPEG          0.45 to 0.48    0.34 to 0.35
#     dark photos, 13 to 31 values                                 0.43 to 0.67    0.48 to 0.90
#     dark photos with noise, 8 to 13 values                       0.19            0.38
#     photos with 8 to 16 values, dark depth, planes, zones        0.55 to 0.97    0.60 to 1.0
MIN_FLATNESS = 0.5
MAX_UNIT_STEPS = 0.5
PIXELS_AT_ONCE = 2**20  # np.bincount needs eight times the memory of its pixels
EARLIER_MIN_FLATNESS = 0.7  # for the facts of earlier versions, whose flatness counts all pixels


def look_like_classes(levels: Levels) -> bool:
    """Whether the values of images are numbers of classes: 0, 1, 2 and so on, in large areas."""
    white, top = 2**levels.bits - 1, levels.highest_below_white
    below_white = levels.count - (levels.highest == white)
    is_dense = below_white >= 2 and top + 1 <= 2 * below_white and levels.lowest <= 1
    if levels.unit_steps is None:
        is_flat = levels.flatness >= EARLIER_MIN_FLATNESS
    else:
        is_flat = levels.flatness >= MIN_FLATNESS and levels.unit_steps <= MAX_UNIT_STEPS
    may_be_classes = levels.has_numbers and (below_white <= FEW_CLASSES or is_flat)
    return is_dense and top < 0.95 * white and may_be_classes


def read_numbers(colours: np.ndarray) -> np.ndarray | None:
    """The number of each pixel, [h, w], of an image [h, w, c] that may hold numbers of classes.

    Returns:
      The numbers; None if the channels differ. Some label maps hold the number in one channel, and
      0 in the others.
    """
    channels = list(np.moveaxis(colours, -1, 0))
    used = [channel for channel in channels if channel.any()] or channels[:1]
    is_same = all(np.array_equal(used[0], channel) for channel in used[1:])
    return used[0] if is_same else None


class Smoothness(NamedTuple):
    """How the numbers of an image change from each pixel to the next.

    Attributes:
      flatness: the share of pixels that equal the next pixel, 0 to 1.
      unit_steps: of the pixels that differ from the next pixel, the share that differs by 1.

    The next pixel is the right or the lower neighbour: the direction with the smaller share counts.
    Pixels of the most common number do not count, because the background of MRI, CT and depth
    images has one number, too.
    """

    flatness: float
    unit_steps: float


def measure_smoothness(numbers: np.ndarray) -> Smoothness | None:
    """Measures an image [h, w]; None if all its pixels have one number."""
    background = _most_common(numbers)
    # Every fourth row or column is enough for a mean, and saves time.
    measures = [
        _measure_steps(lines, background)
        for lines in (numbers[::4], numbers.T[::4])
        if (lines[:, :-1] != background).any()
    ]
    return Smoothness(*map(min, zip(*measures, strict=True))) if measures else None


def _most_common(numbers: np.ndarray) -> int:
    """The most common number of an image [h, w]."""
    size = int(numbers.max()) + 1
    step = max(1, PIXELS_AT_ONCE // numbers.shape[1])  # rows
    counts = np.zeros(size, int)
    for start in range(0, len(numbers), step):
        counts += np.bincount(numbers[start : start + step].ravel(), minlength=size)
    return int(counts.argmax())


def _measure_steps(lines: np.ndarray, background: int) -> tuple[float, float]:
    """The measures `flatness` and `unit_steps` along the lines of an array [n, length]."""
    here, there = lines[:, :-1], lines[:, 1:]
    steps = np.where(here > there, here - there, there - here)
    is_object = here != background
    is_step = is_object & (there != background) & (steps > 0)
    unit_steps = (steps[is_step] == 1).mean() if is_step.any() else 0.0
    return float((steps[is_object] == 0).mean()), float(unit_steps)
