"""How good an output is: arrays in, scalars out.

Functions of images give a value, or counts, for every image. Over a dataset values are averaged
and counts added up before anything is divided: never a mean of means.
"""

import dm_pix
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from pix2pix_jax.config.metrics import LAB_RANGES

SSIM_WINDOW = 11
# From linear sRGB to XYZ, and XYZ of its white, D65 (IEC 61966-2-1).
XYZ = np.float32(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
WHITE = np.float32([0.95047, 1.0, 1.08883])


def l1(output: Array, target: Array) -> Array:
    """Mean absolute difference of images [b, h, w, c] in [-1, 1], so from 0 to 2: [b]."""
    return jnp.abs(output - target).mean((1, 2, 3))


def psnr(output: Array, target: Array) -> Array:
    """Peak signal-to-noise ratio, in dB, of images [b, h, w, c] in [-1, 1]: [b].

    Infinite where the images are equal.
    """
    return dm_pix.psnr(output / 2, target / 2)  # halved, which is exact, the range is 1


def ssim(output: Array, target: Array) -> Array:
    """Structural similarity (Wang et al. 2004) of images [b, h, w, c] in [-1, 1], up to 1: [b].

    Gaussian windows of 11x11 pixels, sigma 1.5, that lie whole in the image; the mean over
    channels. Images must be at least as large as a window.
    """
    return dm_pix.ssim(_unit(output), _unit(target), filter_size=SSIM_WINDOW)


def _unit(image: Array) -> Array:
    return (image + 1) / 2


def lab(image: Array) -> Array:
    """CIE Lab under D65 of sRGB images [..., 3] in [-1, 1]: L from 0 to 100, a and b about 0."""
    rgb = _unit(image)
    linear = jnp.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = jnp.matmul(linear, (XYZ / WHITE[:, None]).T, precision=jax.lax.Precision.HIGHEST)
    root = jnp.where(xyz > 0.008856, jnp.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = jnp.moveaxis(root, -1, 0)
    return jnp.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def lab_histograms(image: Array) -> dict[str, Array]:
    """How many pixels have which L, a and b (figure 7 of the paper).

    Args:
      image: [b, h, w, c] in [-1, 1]; of a grey one a and b are 0, of four channels the last is
        left out.

    Returns:
      counts [b, bins] for each key of LAB_RANGES; what lies outside is counted at the edge.
    """
    rgb = jnp.repeat(image, 3, -1) if image.shape[-1] == 1 else image[..., :3]
    counts = {}
    for (name, (low, high)), values in zip(
        LAB_RANGES.items(), jnp.moveaxis(lab(rgb), -1, 0), strict=True
    ):
        bins = jnp.round(values.clip(low, high) - low).astype(jnp.int32)
        counts[name] = _counts(bins, high - low + 1)
    return counts


def intersection(histogram: np.ndarray, other: np.ndarray) -> float:
    """The share that two histograms [bins] have in common, each scaled to sum to one: 0 to 1."""
    return float(np.minimum(histogram / histogram.sum(), other / other.sum()).sum())


def confusion_counts(truth: Array, found: Array, classes: int) -> Array:
    """How many pixels of a class were found to be of which.

    Args:
      truth: [b, h, w]; pixels of no class (`classes` or more) do not count.
      found: [b, h, w], each below `classes`.
      classes: how many there are.

    Returns:
      counts [b, classes, classes]: row the truth, column what was found.
    """
    pairs = truth.astype(jnp.int32) * classes + found.astype(jnp.int32)
    places = jnp.where(truth < classes, pairs, classes**2)
    counts = _counts(places, classes**2 + 1)[:, :-1]
    return counts.reshape(-1, classes, classes)


def _counts(places: Array, length: int) -> Array:
    """How often each of 0 .. length - 1 occurs in every image of [b, ...]: [b, length]."""
    flat = places.reshape(len(places), -1)
    return jax.vmap(lambda image: jnp.bincount(image, length=length))(flat)


def fcn_score(counts: np.ndarray) -> dict[str, float]:
    """The three numbers of the paper's tables 1 to 3, after Long et al. 2015, section 5.

    Classes that neither occur nor are found are left out; the accuracy also leaves out those that
    do not occur. Not a number where nothing counts.

    Args:
      counts: [classes, classes] of `confusion_counts`, added up over images.
    """
    counts = np.asarray(counts, np.float64)
    right, occur, found = np.diag(counts), counts.sum(1), counts.sum(0)
    union = occur + found - right
    return {
        "per_pixel_accuracy": _mean(right.sum(keepdims=True), occur.sum(keepdims=True)),
        "per_class_accuracy": _mean(right, occur),
        "class_iou": _mean(right, union),
    }


def _mean(parts: np.ndarray, wholes: np.ndarray) -> float:
    there = wholes > 0
    return float(np.mean(parts[there] / wholes[there])) if there.any() else float("nan")
