"""Metrics of single pairs equal scikit-image and numpy."""

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pix2pix_jax.evaluation.pair_metrics import l1, psnr, ssim


@pytest.fixture(scope="module")
def pairs():
    """Outputs and targets [5, 48, 40, 3]: noisy, flat, pale, one wrong pixel, one wrong level."""
    rng = np.random.default_rng(0)
    target = rng.integers(0, 255, (5, 48, 40, 3)).astype(np.float32) / 127.5 - 1
    output = target.copy()
    output[0] = np.clip(target[0] + rng.normal(0, 0.3, target[0].shape), -1, 1)
    output[1] = target[1].mean((0, 1))
    output[2] = np.clip(target[2] * 0.5 + 0.2, -1, 1)
    output[3, 0, 0] = 0
    output[4, 0, 0, 0] += 1 / 127.5
    return output, target


def unit(image):
    return (image.astype(np.float64) + 1) / 2


def test_psnr_equals_scikit_image(pairs):
    expected = [
        peak_signal_noise_ratio(unit(t), unit(o), data_range=1) for o, t in zip(*pairs, strict=True)
    ]
    np.testing.assert_allclose(psnr(*pairs), expected, atol=1e-4)


def test_ssim_equals_scikit_image(pairs):
    """Wang et al. 2004: Gaussian windows, biased variances."""
    expected = [
        structural_similarity(
            unit(o), unit(t), data_range=1, channel_axis=-1,
            gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        )
        for o, t in zip(*pairs, strict=True)
    ]  # fmt: skip
    np.testing.assert_allclose(ssim(*pairs), expected, atol=1e-4)


def test_l1_is_the_mean_over_pixels_and_channels(pairs):
    output, target = pairs
    expected = [
        np.abs(o.astype(np.float64) - t).mean() for o, t in zip(output, target, strict=True)
    ]
    np.testing.assert_allclose(l1(*pairs), expected, rtol=1e-5)


def test_equal_images_get_the_best_values(pairs):
    _, target = pairs
    assert (np.asarray(l1(target, target)) == 0).all()
    assert np.isposinf(np.asarray(psnr(target, target))).all()
    np.testing.assert_allclose(ssim(target, target), 1, atol=1e-6)
