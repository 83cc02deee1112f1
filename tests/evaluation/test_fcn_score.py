"""The FCN-score equals counts made by hand."""

import numpy as np

from pix2pix_jax.evaluation.fcn_score import confusion_matrices, fcn_score

# Rows are true classes. Class 2 occurs but is never predicted, class 3 is predicted but does not
# occur, class 4 neither occurs nor is predicted. 255 is no class.
TRUTH = np.array([[[0, 0, 0, 1], [1, 1, 2, 2]], [[0, 0, 255, 255], [1, 1, 1, 1]]])
PREDICTED = np.array([[[0, 0, 1, 1], [1, 3, 0, 1]], [[0, 1, 2, 0], [1, 1, 1, 0]]])
MATRICES = np.array(
    [
        [[2, 1, 0, 0, 0], [0, 2, 0, 1, 0], [1, 1, 0, 0, 0], [0] * 5, [0] * 5],
        [[1, 1, 0, 0, 0], [1, 3, 0, 0, 0], [0] * 5, [0] * 5, [0] * 5],
    ]
)


def test_each_image_has_its_own_confusion_matrix():
    np.testing.assert_array_equal(confusion_matrices(TRUTH, PREDICTED, 5), MATRICES)


def test_fcn_score_follows_the_definitions_of_long_et_al():
    """8 of 14 pixels are right: 3 of 5, 5 of 7 and 0 of 2 in classes 0 to 2.

    The unions of classes 0 to 3 have 7, 10, 2 and 1 pixels.
    """
    score = fcn_score(MATRICES.sum(0))
    np.testing.assert_allclose(score["per_pixel_accuracy"], 8 / 14)
    np.testing.assert_allclose(score["per_class_accuracy"], (3 / 5 + 5 / 7 + 0) / 3)
    np.testing.assert_allclose(score["class_iou"], (3 / 7 + 5 / 10 + 0 + 0) / 4)


def test_fcn_score_is_one_for_the_truth_and_nan_without_pixels():
    assert set(fcn_score(np.diag([3, 0, 5])).values()) == {1.0}
    assert all(np.isnan(value) for value in fcn_score(np.zeros((3, 3))).values())
