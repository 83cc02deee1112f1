"""Histograms of the colours of all outputs and of all targets in CIE Lab (figure 7 of the paper).

Pixels are counted over the whole split before the histograms are compared.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from pix2pix_jax.config.metrics import LAB_RANGES

# The matrix from linear sRGB to XYZ, and the XYZ of its white point, D65 (IEC 61966-2-1).
SRGB_TO_XYZ = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ],
    np.float32,
)
WHITE_D65 = np.array([0.95047, 1.0, 1.08883], np.float32)


def srgb_to_lab(image: Array) -> Array:
    """Converts sRGB to CIE Lab under D65.

    Args:
      image: [..., 3] in [-1, 1].

    Returns:
      [..., 3]: L from 0 to 100, and a and b, which are 0 for greys.
    """
    rgb = (image + 1) / 2
    linear = jnp.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    relative_matrix = (SRGB_TO_XYZ / WHITE_D65[:, None]).T
    xyz = jnp.matmul(linear, relative_matrix, precision=jax.lax.Precision.HIGHEST)
    root = jnp.where(xyz > 0.008856, jnp.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = jnp.moveaxis(root, -1, 0)
    return jnp.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def lab_histograms(image: Array) -> dict[str, Array]:
    """The histograms of L, a and b of every image.

    Args:
      image: [b, h, w, c] in [-1, 1]. If c is 1, the image is grey, so a and b are 0. If c is 4, the
        last channel is alpha and is ignored.

    Returns:
      Numbers of pixels [b, bins] for each key of LAB_RANGES. Pixels outside the range count in the
      first or last bin.
    """
    rgb = jnp.repeat(image, 3, -1) if image.shape[-1] == 1 else image[..., :3]
    channels = jnp.moveaxis(srgb_to_lab(rgb), -1, 0)  # [3, b, h, w]
    histograms = {}
    for (name, (low, high)), values in zip(LAB_RANGES.items(), channels, strict=True):
        bins = jnp.round(values.clip(low, high) - low).astype(jnp.int32).reshape(len(values), -1)
        histograms[name] = jax.vmap(partial(jnp.bincount, length=high - low + 1))(bins)
    return histograms


def histogram_intersection(histogram: np.ndarray, other: np.ndarray) -> float:
    """The share that two histograms have in common (Swain and Ballard 1991).

    Args:
      histogram: [bins], numbers of pixels.
      other: [bins], numbers of pixels; the total number may differ.

    Returns:
      0 to 1; 1 for histograms that are equal up to a factor.
    """
    return float(np.minimum(histogram / histogram.sum(), other / other.sum()).sum())
