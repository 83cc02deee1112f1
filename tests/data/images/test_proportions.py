"""Proportions are equal up to rounding, and tell halves of pairs from whole pairs."""

import pytest

from pix2pix_jax.data.images.proportions import HalfProportions, have_same_proportions


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ((200, 300), (300, 200), False),
        ((200, 300), (100, 150), True),
        ((67, 100), (200, 300), True),  # rounded to whole pixels
        ((256, 256), (257, 257), True),
        ((256, 256), (256, 260), False),
        ((4, 8), (4, 6), False),
    ],
)
def test_proportions_are_equal_up_to_rounding(a, b, same):
    assert have_same_proportions(a, b) == have_same_proportions(b, a) == same


@pytest.mark.parametrize(
    ("halves", "ratio", "part"),
    [
        ([1.0], 1.0, "half"),
        ([1.0], 2.0, "pair"),
        ([1.0], 1.5, "neither"),
        ([0.75, 1.5], 1.5, "either"),
        ([3.0, 1.0], 1.0199, "half"),
        ([3.0, 1.0], 1.0201, "neither"),
        ([3.0, 1.0], 2 * 0.9801, "pair"),
        ([3.0, 1.0], 2 * 0.9799, "neither"),
        ([], 1.0, "neither"),
    ],
)
def test_an_image_may_show_a_half_or_a_whole_pair(halves, ratio, part):
    assert HalfProportions(halves).part_of(ratio) == part
