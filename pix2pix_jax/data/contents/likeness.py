"""Tells side-by-side pairs from single pictures, by the pixels of the left and the right half.

Two measures were tried on real pairs (facades, shoes and their edges, drawn facades, photos next to
their grey form) and on single pictures (either half of those pairs, and photos). Medians of sets:

    measure     pairs           single pictures
    alignment   0.11 to 0.86    -0.22 to -0.04
    seam        4.4 to 64       0.96 to 1.5

Pairs with an empty border have a seam like a single picture: 1.0 for shoes, whose alignment is
0.58. So a set is refused only if alignment and seam are both below their limits, and `noise` shows
that the seam can be trusted. Measured one by one, none of 340 real pairs is taken for a single
picture. Every set of single pictures is recognized. Of random subsets of five single pictures, 74
to 100 percent are recognized.

A gap of one colour between A and B, and the border around both, are cut off before the measures are
taken, because the middle of a gap looks like a picture that continues. Gaps of 2, 4, 8, 16 and 40
columns in white, black and grey, also with borders of 8 to 20 columns and saved as JPEG, were tried
on 60 facades, shoes, MRI and pairs made from them, and the medians stayed:

    facades                               alignment        seam
    without a gap                         0.11             10
    with a gap, measured as described     0.07 to 0.14     13 to 18
    with a gap, measured with the gap     -0.19 to 0.14    0.12 to 1.0

The measures of single pictures, also with borders, did not change: none of them has a middle of one
colour with straight edges from top to bottom.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from pix2pix_jax.data.images.pixels import half_columns

MAX_MEASURED = 32  # images of a split or side whose halves are compared
COMPARED_SIZE = 64  # halves are compared at this height and width, in pixels
MAX_SIZE = 256  # larger images are measured on a grid of every second, third ... pixel
MIN_SIZE = 16  # smaller halves are not compared
NOISE_FLOOR = 8.0  # weaker edges, in levels of 255, are shading or noise
BLANK_TOLERANCE = 24.0  # JPEG changes the brightness of a gap by up to this number of levels of 255
JPEG_BLUR = 2  # columns beside a gap that JPEG mixes with the colour of the gap
EDGE_SHARE = 0.6  # the least share of rows in which a gap has an edge, at the left or the right
# Sets below this alignment, this seam and this noise look like single pictures.
MIN_ALIGNMENT = 0.02
MAX_SEAM = 2.0
MAX_NOISE = 0.75
# Sets above this alignment are pairs, whatever their seam is.
SURE_ALIGNMENT = 0.2


@dataclass(frozen=True)
class Likeness:
    """How much an image looks like a side-by-side pair.

    Attributes:
      alignment: how much better the outlines of both halves match in place than when one half is
        moved sideways by an eighth of its width, as a difference of correlations, -2 to 2.
      seam: the change of the picture at the seam, relative to the change between other
        neighbouring columns. 1: the picture continues over the seam.
      noise: 1 minus the correlation of neighbouring columns near the seam. 0.01 to 0.6 for
        photos and drawings; 1 for noise and for an empty border; then `seam` has no meaning.
      shift: the number of columns by which a gap between the halves, or a border around them, moves
        the picture in the right half to the right; roughly, if JPEG has blurred the gap.
    """

    alignment: float
    seam: float
    noise: float
    shift: int = 0


def measure_likeness(pixels: np.ndarray) -> Likeness | None:
    """Measures how much an image looks like a pair; None if its halves are smaller than MIN_SIZE.

    Args:
      pixels: [h, w, c], unsigned integers.
    """
    height, width = pixels.shape[:2]
    half = width // 2
    if min(height, half) < MIN_SIZE:
        return None
    step = max(1, min(height, half) // MAX_SIZE)  # saves memory in large images
    rows = pixels[::step, :, :3]
    sampled = rows[:, ::step]
    # The brightest value becomes 255, so that the small numbers of label maps have visible edges.
    scale = 255 / max(1, int(sampled.max()))
    left, right = (sampled[:, columns] for columns in half_columns(sampled.shape[1]))
    alignment = _measure_alignment(left, right, scale)
    gap, border = _find_gap(rows, half, scale)
    if gap:
        left, right = rows[:, border : half - gap], rows[:, width - half + gap : width - border]
        alignment = max(alignment, _measure_alignment(left[:, ::step], right[:, ::step], scale))
        rows, half = np.hstack([left, right]), left.shape[1]
    seam, noise = _measure_seam(rows, half, scale)
    return Likeness(alignment=alignment, seam=seam, noise=noise, shift=gap - border)


def _measure_alignment(left: np.ndarray, right: np.ndarray, scale: float) -> float:
    """The measure `alignment` of two halves of the same shape."""
    side = min(COMPARED_SIZE, *left.shape[:2])
    left, right = (
        _edge_strength(
            cv2.resize(_to_float(part, scale), (side, side), interpolation=cv2.INTER_AREA)
        )
        for part in (left, right)
    )
    shift = side // 8
    moved = max(
        _correlate(left[:, shift:], right[:, :-shift]),
        _correlate(left[:, :-shift], right[:, shift:]),
    )
    return _correlate(left, right) - moved


def _find_gap(pixels: np.ndarray, half: int, scale: float) -> tuple[int, int]:
    """Finds a gap of one colour between A and B, and the border around both.

    Args:
      pixels: an image [h, w, c] whose halves are `half` pixels wide.

    Returns:
      The number of columns of the gap in each half, and the number of columns of the border in each
      half, each with JPEG_BLUR columns of the picture. Both are 0 if there is no gap.
    """
    width, limit = pixels.shape[1], half // 4
    brightness = _brightness(pixels[:, half - limit : width - half + limit], scale)
    level = np.median(brightness[:, limit - 1 : 1 - limit])
    deviation = np.abs(brightness - level)  # [h, w]
    is_blank = _are_blank(deviation)
    gap = min(_count_first(is_blank[:limit][::-1]), _count_first(is_blank[-limit:]))
    if not 0 < gap < limit or not is_blank[limit:-limit].all():
        return 0, 0
    # A single picture may have an empty middle, too, but without straight edges from top to bottom.
    # JPEG blurs these edges over some columns.
    first, last = max(0, limit - gap - JPEG_BLUR), deviation.shape[1] - limit + gap
    beside = deviation[:, first : limit - gap], deviation[:, last : last + JPEG_BLUR]
    if max((part > NOISE_FLOOR).mean(0).max() for part in beside) < EDGE_SHARE:
        return 0, 0
    outer = (pixels[:, :limit], pixels[:, width - limit :][:, ::-1])
    blank = [_are_blank(np.abs(_brightness(part, scale) - level)) for part in outer]
    return gap + JPEG_BLUR, min(map(_count_first, blank)) + JPEG_BLUR


def _brightness(pixels: np.ndarray, scale: float) -> np.ndarray:
    """The brightness [h, w] of an image [h, w, c]; JPEG changes it less than the colours."""
    values = _to_float(pixels, scale)
    return (
        values @ np.array([0.299, 0.587, 0.114], np.float32)
        if values.shape[-1] == 3
        else values.mean(-1)
    )


def _are_blank(deviation: np.ndarray) -> np.ndarray:
    """Whether each column of an array [h, w] of differences in brightness is nearly 0."""
    return np.percentile(deviation, 99, axis=0) <= BLANK_TOLERANCE


def _count_first(values: np.ndarray) -> int:
    """The number of values that are true before the first that is false."""
    return len(values) if values.all() else int(values.argmin())


def look_like_single_pictures(likenesses: list[Likeness]) -> bool:
    """Whether a set of images looks more like single pictures than like side-by-side pairs."""
    if not likenesses:
        return False
    return (
        not have_common_outlines(likenesses)
        and _median(likenesses, "seam") < MAX_SEAM
        and _median(likenesses, "noise") < MAX_NOISE
    )


def look_like_pairs(likenesses: list[Likeness]) -> bool:
    """Whether it is certain that a set of images are side-by-side pairs."""
    if not likenesses or not have_common_outlines(likenesses):
        return False
    alignment, seam = _median(likenesses, "alignment"), _median(likenesses, "seam")
    return alignment >= SURE_ALIGNMENT or seam >= MAX_SEAM


def median_shift(likenesses: list[Likeness]) -> int:
    """The measure `shift` of a set of images; 0 for an empty set."""
    return int(_median(likenesses, "shift")) if likenesses else 0


def have_common_outlines(likenesses: list[Likeness]) -> bool:
    """Whether the left and right halves of a set of images show the same outlines."""
    return _median(likenesses, "alignment") >= MIN_ALIGNMENT


def _median(likenesses: list[Likeness], name: str) -> float:
    return float(np.median([getattr(likeness, name) for likeness in likenesses]))


def _to_float(pixels: np.ndarray, scale: float) -> np.ndarray:
    """Converts integers to float32, multiplied by `scale`."""
    return pixels.astype(np.float32) * np.float32(scale)


def _edge_strength(pixels: np.ndarray) -> np.ndarray:
    """The strength of the edges at each pixel, a little blurred: [h - 1, w - 1]."""
    image = np.atleast_3d(pixels)
    down = np.abs(np.diff(image, axis=0))[:, :-1].max(-1)
    across = np.abs(np.diff(image, axis=1))[:-1].max(-1)
    strength = np.maximum(np.hypot(down, across) - NOISE_FLOOR, 0)
    return np.sqrt(cv2.blur(strength, (3, 3)))


def _correlate(a: np.ndarray, b: np.ndarray) -> float:
    """The correlation of two arrays of the same shape; 0 if one of them is constant."""
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 1e-6 else 0.0


def _measure_seam(pixels: np.ndarray, half: int, scale: float) -> tuple[float, float]:
    """The measures `seam` and `noise` of an image whose halves are `half` pixels wide."""
    width = pixels.shape[1]
    margin = min(8, half - 2)
    # The columns around the seam. An odd width has a middle column, with a seam on one side of it.
    window = _to_float(pixels[:, half - 1 - margin : width - half + 1 + margin], scale)
    changes = np.abs(np.diff(window, axis=1)).mean((0, 2))  # from each column to the next
    near = np.median(np.concatenate([changes[:margin], changes[-margin:]]))
    seam = changes[margin:-margin].max()
    columns = window[:, : margin + 1].mean(-1)
    noise = 1 - _correlate(columns[:, 1:], columns[:, :-1])
    return float((seam + 1) / (near + 1)), noise
