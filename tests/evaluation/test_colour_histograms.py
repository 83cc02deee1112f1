"""Conversion to CIE Lab equals scikit-image; histograms equal counts by numpy."""

from itertools import product

import jax
import numpy as np
from skimage import color

from pix2pix_jax.config.metrics import LAB_RANGES
from pix2pix_jax.evaluation.colour_histograms import (
    histogram_intersection,
    lab_histograms,
    srgb_to_lab,
)


def test_lab_equals_scikit_image():
    """Levels near 0 are included, because a line replaces the root there."""
    levels = [0, 1, 2, 3, 5, 10, 11, 20, 64, 100, 150, 200, 254, 255]
    rgb = np.array(list(product(levels, repeat=3)), np.float32)
    np.testing.assert_allclose(
        jax.jit(srgb_to_lab)(rgb / 127.5 - 1),
        color.rgb2lab(rgb.astype(np.float64) / 255),
        atol=1e-4,
    )


def test_histograms_count_every_pixel_in_the_bin_of_its_colour():
    image = np.random.default_rng(1).uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)
    counts = lab_histograms(image)
    values = color.rgb2lab((image.astype(np.float64) + 1) / 2)
    for channel, (name, (low, high)) in enumerate(LAB_RANGES.items()):
        for i in range(2):
            edges = (low - 0.5, high + 0.5)
            expected, _ = np.histogram(values[i, ..., channel], high - low + 1, edges)
            # A value within rounding of an edge may fall on either side.
            assert np.abs(np.asarray(counts[name][i]) - expected).sum() <= 2
        assert np.asarray(counts[name]).sum(1).tolist() == [256, 256]


def test_histograms_count_white_and_ignore_alpha():
    white = np.ones((1, 4, 4, 3), np.float32)
    assert np.asarray(lab_histograms(white)["lab_l"])[0, 100] == 16
    with_alpha = np.concatenate([white, -white[..., :1]], -1)
    assert np.asarray(lab_histograms(with_alpha)["lab_l"])[0, 100] == 16


def test_all_greys_fall_into_the_central_bin_of_a_and_b():
    """A little noise changes nothing, because all greys lie at 0 and no bin has an edge at 0."""
    grey = (np.arange(256, dtype=np.float32) / 127.5 - 1).reshape(1, 16, 16, 1)
    noise = np.random.default_rng(0).uniform(-0.001, 0.001, (1, 16, 16, 3)).astype(np.float32)
    for image in (grey, grey + noise):
        counts = lab_histograms(image)
        for name in ("lab_a", "lab_b"):
            assert np.asarray(counts[name])[0, 110] == 256


def test_histogram_intersection_is_the_common_share():
    assert histogram_intersection(np.array([3, 1, 0]), np.array([0, 2, 2])) == 0.25
    assert histogram_intersection(np.array([3, 1]), np.array([30, 10])) == 1
    assert histogram_intersection(np.array([3, 0]), np.array([0, 10])) == 0
