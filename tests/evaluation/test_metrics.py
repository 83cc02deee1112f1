"""Metrics equal scikit-image, and counts made by hand."""

from itertools import product

import jax
import numpy as np
import pytest
from pydantic import ValidationError
from skimage import color
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pix2pix_jax.config import Config
from pix2pix_jax.config.files import override
from pix2pix_jax.config.metrics import FCN_SCORE, LAB_RANGES, METRICS
from pix2pix_jax.config.schema import Train, first_error
from pix2pix_jax.evaluation import metrics
from pix2pix_jax.evaluation.metrics import (
    confusion_counts,
    fcn_score,
    intersection,
    lab,
    lab_histograms,
)


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
    np.testing.assert_allclose(metrics.psnr(*pairs), expected, atol=1e-4)


def test_ssim_equals_scikit_image(pairs):
    """Wang et al. 2004: Gaussian windows, biased variances."""
    expected = [
        structural_similarity(
            unit(o), unit(t), data_range=1, channel_axis=-1,
            gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        )
        for o, t in zip(*pairs, strict=True)
    ]  # fmt: skip
    np.testing.assert_allclose(metrics.ssim(*pairs), expected, atol=1e-4)


def test_l1_is_the_mean_over_pixels_and_channels(pairs):
    output, target = pairs
    expected = [
        np.abs(o.astype(np.float64) - t).mean() for o, t in zip(output, target, strict=True)
    ]
    np.testing.assert_allclose(metrics.l1(*pairs), expected, rtol=1e-5)


def test_equal_images_get_the_best_values(pairs):
    _, target = pairs
    assert (np.asarray(metrics.l1(target, target)) == 0).all()
    assert np.isposinf(np.asarray(metrics.psnr(target, target))).all()
    np.testing.assert_allclose(metrics.ssim(target, target), 1, atol=1e-6)


def test_lab_equals_scikit_image():
    """Levels near 0 are included, where a line replaces the root."""
    levels = [0, 1, 2, 3, 5, 10, 11, 20, 64, 100, 150, 200, 254, 255]
    rgb = np.array(list(product(levels, repeat=3)), np.float32)
    np.testing.assert_allclose(
        jax.jit(lab)(rgb / 127.5 - 1), color.rgb2lab(rgb.astype(np.float64) / 255), atol=1e-4
    )


def test_histograms_count_every_pixel_in_the_bin_of_its_colour():
    image = np.random.default_rng(1).uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)
    counts = lab_histograms(image)
    values = color.rgb2lab(unit(image))
    for place, (name, (low, high)) in enumerate(LAB_RANGES.items()):
        for i in range(2):
            edges = (low - 0.5, high + 0.5)
            expected, _ = np.histogram(values[i, ..., place], high - low + 1, edges)
            # A value within rounding of an edge may fall on either side.
            assert np.abs(np.asarray(counts[name][i]) - expected).sum() <= 2
        assert np.asarray(counts[name]).sum(1).tolist() == [256, 256]


def test_histograms_count_white_and_ignore_alpha():
    white = np.ones((1, 4, 4, 3), np.float32)
    assert np.asarray(lab_histograms(white)["lab_l"])[0, 100] == 16
    with_alpha = np.concatenate([white, -white[..., :1]], -1)
    assert np.asarray(lab_histograms(with_alpha)["lab_l"])[0, 100] == 16


def test_all_greys_fall_into_the_central_bin_of_a_and_b():
    """Also with a little noise, because no edge of a bin is at 0, where all greys lie."""
    grey = (np.arange(256, dtype=np.float32) / 127.5 - 1).reshape(1, 16, 16, 1)
    noise = np.random.default_rng(0).uniform(-0.001, 0.001, (1, 16, 16, 3)).astype(np.float32)
    for image in (grey, grey + noise):
        counts = lab_histograms(image)
        for name in ("lab_a", "lab_b"):
            assert np.asarray(counts[name])[0, 110] == 256


def test_histogram_intersection_is_the_common_share():
    assert intersection(np.array([3, 1, 0]), np.array([0, 2, 2])) == 0.25
    assert intersection(np.array([3, 1]), np.array([30, 10])) == 1
    assert intersection(np.array([3, 0]), np.array([0, 10])) == 0


# Rows are true classes. Class 2 occurs but is never predicted, class 3 is predicted but does not
# occur, class 4 neither occurs nor is predicted. 255 is no class.
TRUTH = np.array([[[0, 0, 0, 1], [1, 1, 2, 2]], [[0, 0, 255, 255], [1, 1, 1, 1]]])
PREDICTED = np.array([[[0, 0, 1, 1], [1, 3, 0, 1]], [[0, 1, 2, 0], [1, 1, 1, 0]]])
COUNTS = np.array(
    [
        [[2, 1, 0, 0, 0], [0, 2, 0, 1, 0], [1, 1, 0, 0, 0], [0] * 5, [0] * 5],
        [[1, 1, 0, 0, 0], [1, 3, 0, 0, 0], [0] * 5, [0] * 5, [0] * 5],
    ]
)


def test_each_image_has_its_own_confusion_matrix():
    np.testing.assert_array_equal(confusion_counts(TRUTH, PREDICTED, 5), COUNTS)
    np.testing.assert_array_equal(
        jax.jit(confusion_counts, static_argnums=2)(TRUTH, PREDICTED, 5), COUNTS
    )


def test_fcn_score_follows_the_definitions_of_long_et_al():
    """8 of 14 pixels are right; 3 of 5, 5 of 7 and 0 of 2 in classes 0 to 2; unions 7, 10, 2, 1."""
    score = fcn_score(COUNTS.sum(0))
    np.testing.assert_allclose(score["per_pixel_accuracy"], 8 / 14)
    np.testing.assert_allclose(score["per_class_accuracy"], (3 / 5 + 5 / 7 + 0) / 3)
    np.testing.assert_allclose(score["class_iou"], (3 / 7 + 5 / 10 + 0 + 0) / 4)


def test_fcn_score_of_the_truth_is_one_and_of_no_pixels_is_nan():
    assert set(fcn_score(np.diag([3, 0, 5])).values()) == {1.0}
    assert all(np.isnan(value) for value in fcn_score(np.zeros((3, 3))).values())


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_can_decide_which_checkpoint_is_best(name):
    assert override(Config(), {"train.best_metric": name}).train.best_metric == name


@pytest.mark.parametrize("value", ["fid", 3, None, ["l1"]])
def test_an_unknown_best_metric_is_refused_with_all_names(value):
    names = ", ".join(map(repr, METRICS)).replace(", 'lab_b'", " or 'lab_b'")
    with pytest.raises(ValidationError) as error:
        Train(best_metric=value)
    assert first_error(error.value) == f"best_metric: input should be {names}, not {value!r}"


def test_every_metric_of_the_table_is_computed():
    assert FCN_SCORE == ("per_pixel_accuracy", "per_class_accuracy", "class_iou")
    assert LAB_RANGES == {"lab_l": (0, 100), "lab_a": (-110, 110), "lab_b": (-110, 110)}
    assert [name for name in METRICS if not METRICS[name].higher_is_better] == ["l1"]
    computed = {*metrics.PER_IMAGE, *LAB_RANGES, *fcn_score(np.eye(2))}
    assert computed == set(METRICS)
