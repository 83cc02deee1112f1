"""How close an output is to its target: arrays in, numbers out.

Functions of images return a value, or counts of pixels, for every image. Over a dataset, values
are averaged, and counts are added up before anything is divided: there is no mean of means.

`PER_IMAGE` at the end lists the metrics that are averaged over images; the scorer measures all of
them.
"""

import dm_pix
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from pix2pix_jax.config.metrics import LAB_RANGES, SSIM_WINDOW

# The matrix from linear sRGB to XYZ, and the XYZ of its white, D65 (IEC 61966-2-1).
XYZ = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ],
    np.float32,
)
WHITE = np.array([0.95047, 1.0, 1.08883], np.float32)


def l1(output: Array, target: Array) -> Array:
    """Mean absolute difference of images [b, h, w, c] in [-1, 1]: [b], 0 to 2."""
    return jnp.abs(output - target).mean((1, 2, 3))


def psnr(output: Array, target: Array) -> Array:
    """Peak signal-to-noise ratio of images [b, h, w, c] in [-1, 1]: [b], in dB.

    Infinite for equal images.
    """
    # Halving is exact and makes the range 1.
    return jnp.asarray(dm_pix.psnr(output / 2, target / 2))


def ssim(output: Array, target: Array) -> Array:
    """Structural similarity (Wang et al. 2004) of images [b, h, w, c] in [-1, 1]: [b], up to 1.

    The mean over channels, and over all Gaussian windows of 11x11 pixels with sigma 1.5 that lie
    entirely in the image. Images must be at least as large as a window.
    """
    output, target = _to_unit_range(output), _to_unit_range(target)
    return jnp.asarray(dm_pix.ssim(output, target, filter_size=SSIM_WINDOW))


def _to_unit_range(image: Array) -> Array:
    return (image + 1) / 2


def lab(image: Array) -> Array:
    """CIE Lab under D65 of sRGB images [..., 3] in [-1, 1].

    Returns:
      [..., 3]: L from 0 to 100; a and b, which are 0 for grey.
    """
    rgb = _to_unit_range(image)
    linear = jnp.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = jnp.matmul(linear, (XYZ / WHITE[:, None]).T, precision=jax.lax.Precision.HIGHEST)
    root = jnp.where(xyz > 0.008856, jnp.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = jnp.moveaxis(root, -1, 0)
    return jnp.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def lab_histograms(image: Array) -> dict[str, Array]:
    """Histograms of L, a and b (figure 7 of the paper).

    Args:
      image: [b, h, w, c] in [-1, 1]. With one channel, the image is grey, so a and b are 0; of
        four channels, the first three are the colour.

    Returns:
      Counts [b, bins] for each key of LAB_RANGES. Pixels outside the range count in the first or
      last bin.
    """
    rgb = jnp.repeat(image, 3, -1) if image.shape[-1] == 1 else image[..., :3]
    counts = {}
    for (name, (low, high)), values in zip(
        LAB_RANGES.items(), jnp.moveaxis(lab(rgb), -1, 0), strict=True
    ):
        bins = jnp.round(values.clip(low, high) - low).astype(jnp.int32)
        counts[name] = _count_values(bins, high - low + 1)
    return counts


def intersection(histogram: np.ndarray, other: np.ndarray) -> float:
    """Intersection of two histograms [bins], each scaled to sum to one: 0 to 1."""
    return float(np.minimum(histogram / histogram.sum(), other / other.sum()).sum())


def confusion_counts(
    truth: Array | np.ndarray, predicted: Array | np.ndarray, classes: int
) -> Array:
    """Confusion matrix of every image, in pixels.

    Args:
      truth: [b, h, w], the true class of every pixel. Pixels with `classes` or more do not count.
      predicted: [b, h, w], each below `classes`.
      classes: the number of classes.

    Returns:
      Counts [b, classes, classes]: rows are the true class, columns the predicted class.
    """
    pairs = truth.astype(jnp.int32) * classes + predicted.astype(jnp.int32)
    cells = jnp.where(truth < classes, pairs, classes**2)
    counts = _count_values(cells, classes**2 + 1)[:, :-1]  # without the pixels of no class
    return counts.reshape(-1, classes, classes)


def _count_values(values: Array, length: int) -> Array:
    """How often each of 0 .. length - 1 occurs in every image of [b, ...]: [b, length]."""
    flat = values.reshape(len(values), -1)
    return jax.vmap(lambda image: jnp.bincount(image, length=length))(flat)


def fcn_score(counts: np.ndarray) -> dict[str, float]:
    """The three numbers of the paper's tables 1 to 3 (Long et al. 2015, section 5).

    Classes that neither occur nor are predicted are left out. The per-class accuracy also leaves
    out classes that do not occur.

    Args:
      counts: [classes, classes], the confusion matrix of all images together.

    Returns:
      Values by metric; NaN if no pixel counts.
    """
    counts = np.asarray(counts, np.float64)
    right, true, predicted = np.diag(counts), counts.sum(1), counts.sum(0)
    union = true + predicted - right
    return {
        "per_pixel_accuracy": _mean_ratio(right.sum(keepdims=True), true.sum(keepdims=True)),
        "per_class_accuracy": _mean_ratio(right, true),
        "class_iou": _mean_ratio(right, union),
    }


def _mean_ratio(parts: np.ndarray, wholes: np.ndarray) -> float:
    nonzero = wholes > 0
    if not nonzero.any():
        return float("nan")
    return float(np.mean(parts[nonzero] / wholes[nonzero]))


# Metrics that are averaged over images: functions of outputs and targets [b, h, w, c] in [-1, 1]
# that return [b]. The keys are those of config.metrics.METRICS.
PER_IMAGE = {"l1": l1, "psnr": psnr, "ssim": ssim}
