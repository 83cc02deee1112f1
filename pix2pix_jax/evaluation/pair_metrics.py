"""Metrics of a single pair: how close an output is to its target.

The score of a split is the mean over its pairs.
"""

import dm_pix
import jax.numpy as jnp
from jax import Array

from pix2pix_jax.config.metrics import SSIM_WINDOW


def l1(output: Array, target: Array) -> Array:
    """The mean absolute error of each pair.

    Args:
      output: [b, h, w, c] in [-1, 1].
      target: [b, h, w, c] in [-1, 1].

    Returns:
      [b], 0 to 2; 0 for equal images.
    """
    return jnp.abs(output - target).mean((1, 2, 3))


def psnr(output: Array, target: Array) -> Array:
    """The peak signal-to-noise ratio of each pair: 10 log10(range² / mean squared error).

    Args:
      output: [b, h, w, c] in [-1, 1].
      target: [b, h, w, c] in [-1, 1].

    Returns:
      [b], in dB; infinite for equal images.
    """
    # dm_pix expects a value range of 1. Dividing by 2 is exact.
    return jnp.asarray(dm_pix.psnr(output / 2, target / 2))


def ssim(output: Array, target: Array) -> Array:
    """The structural similarity index of each pair (Wang et al. 2004).

    The index is the mean over all channels and over all windows inside the image. A window is
    Gaussian, 11x11 pixels with sigma 1.5.

    Args:
      output: [b, h, w, c] in [-1, 1], at least as large as a window.
      target: [b, h, w, c] in [-1, 1].

    Returns:
      [b], -1 to 1; 1 for equal images.
    """
    output, target = (output + 1) / 2, (target + 1) / 2  # constants of SSIM assume values in [0, 1]
    return jnp.asarray(dm_pix.ssim(output, target, filter_size=SSIM_WINDOW))


# Every key is also a key of config.metrics.METRICS.
PAIR_METRICS = {"l1": l1, "psnr": psnr, "ssim": ssim}
