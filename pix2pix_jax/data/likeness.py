"""Tells side-by-side pairs from single pictures, by the pixels of the left and the right half.

Two measures were tried on real pairs (facades, shoes and their edges, drawn facades, photos next to
their grey, blurred, dark and traced forms) and on single pictures (either half of those pairs, and
photos). Medians over a set:

    measure     pairs           single pictures
    alignment   0.12 to 0.87    -0.23 to -0.04
    seam        5 to 68         0.9 to 1.3

Only pairs with an empty border have a seam like a single picture: 1.0 for shoes, whose alignment is
0.51. So a set is refused only if both measures speak against pairs. Of 260 real pairs, none looked
like a single picture, not even alone; of five single pictures, 75 to 100 of 100 draws did.
"""

from dataclasses import dataclass

import cv2
import numpy as np

SIDE = 64  # halves are compared at this height and width, in pixels
MIN_SIDE = 16  # smaller halves are not compared
NOISE_FLOOR = 8.0  # weaker edges, in levels of 255, are shading or noise
MIN_ALIGNMENT = 0.02
MAX_SEAM = 2.0
MAX_NOISE = 0.75


@dataclass(frozen=True)
class Likeness:
    """How much an image looks like a side-by-side pair.

    Attributes:
      alignment: how much better the outlines of both halves match in place than when one half is
        moved sideways by an eighth of its width, as a difference of correlations, -2 to 2.
      seam: the change of the picture at the seam, relative to the change between other
        neighbouring columns. 1: the picture continues over the seam.
      noise: 1 minus the correlation of neighbouring columns near the seam. 0.01 to 0.6 for
        photos and drawings; 1 for noise and for an empty border, whose seam says nothing.
    """

    alignment: float
    seam: float
    noise: float


def measure_likeness(pixels: np.ndarray) -> Likeness | None:
    """Measures how much an image looks like a side-by-side pair.

    Args:
      pixels: [h, w, c], unsigned integers.

    Returns:
      The measures; None if the halves are smaller than MIN_SIDE.
    """
    height, width = pixels.shape[:2]
    half = width // 2
    if min(height, half) < MIN_SIDE:
        return None
    side = min(SIDE, height, half)
    left, right = (
        _draw_outlines(cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA))
        for part in (_scale(pixels[:, :half]), _scale(pixels[:, width - half :]))
    )
    shift = side // 8
    moved = max(
        _correlate(left[:, shift:], right[:, :-shift]),
        _correlate(left[:, :-shift], right[:, shift:]),
    )
    seam, noise = _measure_seam(_scale(pixels[:: max(1, height // 256)]), half)
    return Likeness(alignment=_correlate(left, right) - moved, seam=seam, noise=noise)


def look_like_single_pictures(likenesses: list[Likeness]) -> bool:
    """Whether a set of images is rather a set of single pictures than of side-by-side pairs."""
    if not likenesses:
        return False
    return (
        not have_common_outlines(likenesses)
        and _median(likenesses, "seam") < MAX_SEAM
        and _median(likenesses, "noise") < MAX_NOISE
    )


def have_common_outlines(likenesses: list[Likeness]) -> bool:
    """Whether the left and right halves of a set of images show the same outlines."""
    return _median(likenesses, "alignment") >= MIN_ALIGNMENT


def _median(likenesses: list[Likeness], name: str) -> float:
    return float(np.median([getattr(likeness, name) for likeness in likenesses]))


def _scale(pixels: np.ndarray) -> np.ndarray:
    """At most three channels, float32, with the brightest value at 255, so label ids count, too."""
    values = pixels[..., :3].astype(np.float32)
    return values * (255 / max(1.0, float(values.max())))


def _draw_outlines(pixels: np.ndarray) -> np.ndarray:
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


def _measure_seam(image: np.ndarray, half: int) -> tuple[float, float]:
    """The measures `seam` and `noise` of an image whose halves are `half` pixels wide."""
    width = image.shape[1]
    changes = np.abs(np.diff(image, axis=1)).mean((0, 2))  # [w - 1], column i to column i + 1
    # The seam of an odd width is on one of the sides of the middle column.
    seam = changes[half - 1 : width - half].max()
    margin = min(8, half - 2)
    near = np.median(
        np.concatenate(
            [changes[half - 1 - margin : half - 1], changes[width - half : width - half + margin]]
        )
    )
    columns = image[:, half - 1 - margin : half].mean(-1)
    noise = 1 - _correlate(columns[:, 1:], columns[:, :-1])
    return float((seam + 1) / (near + 1)), noise
