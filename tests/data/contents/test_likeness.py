"""The pixels of a set of images tell side-by-side pairs from single pictures."""

import cv2
import numpy as np
import pytest

from pix2pix_jax.data.contents.likeness import (
    have_common_outlines,
    look_like_single_pictures,
    measure_likeness,
)
from pix2pix_jax.data.synthetic.paint import draw_facade

PAIRS = [draw_facade(seed, 96, 96, ambiguous=True) for seed in range(20)]
PHOTOS, LABELS = [[pair[index] for pair in PAIRS] for index in (0, 1)]
GREYS = [np.repeat(cv2.cvtColor(x, cv2.COLOR_RGB2GRAY)[..., None], 3, 2) for x in PHOTOS]


def measure(images):
    return [likeness for image in images if (likeness := measure_likeness(image))]


def side_by_side(first, second):
    return [np.hstack(pair) for pair in zip(first, second, strict=True)]


def random_pictures(count, height, width):
    """Smooth pictures without any structure that halves could have in common."""
    rng = np.random.default_rng(0)
    small = (rng.integers(0, 256, (9, 13, 3), np.uint8) for _ in range(count))
    return [
        cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC) for picture in small
    ]


@pytest.mark.parametrize(
    "pairs",
    [
        side_by_side(PHOTOS, LABELS),
        side_by_side(LABELS, PHOTOS),
        side_by_side(GREYS, PHOTOS),
        side_by_side(PHOTOS, [255 - photo for photo in PHOTOS]),
        [image.astype(np.uint16) * 16 for image in side_by_side(PHOTOS, LABELS)],
        [np.pad(image, ((8, 8), (0, 0), (0, 0))) for image in side_by_side(PHOTOS, LABELS)],
    ],
    ids=["photo, label", "label, photo", "grey, colour", "negative", "12 bits", "border"],
)
def test_every_single_pair_looks_like_a_pair(pairs):
    likenesses = measure(pairs)
    assert have_common_outlines(likenesses)
    assert not look_like_single_pictures(likenesses)
    assert not any(look_like_single_pictures([likeness]) for likeness in likenesses)


@pytest.mark.parametrize(
    "pictures",
    [
        PHOTOS,
        LABELS,
        [photo[..., :1] for photo in PHOTOS],
        [photo[:, :-1] for photo in PHOTOS],
        [label // 64 for label in LABELS],
        random_pictures(10, 200, 300),
    ],
    ids=["photos", "labels", "grey", "odd width", "ids", "smooth"],
)
def test_single_pictures_do_not_look_like_pairs(pictures):
    assert look_like_single_pictures(measure(pictures))


def test_noise_and_empty_images_are_neither_pairs_nor_single_pictures():
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (64, 128, 3), np.uint8) for _ in range(5)]
    for images in (noise, [np.zeros((64, 128, 3), np.uint8)], [np.full((64, 128, 1), 255, "u1")]):
        likenesses = measure(images)
        assert not look_like_single_pictures(likenesses)
        assert not have_common_outlines(likenesses)


def test_tiny_images_are_not_measured():
    assert measure([np.zeros((15, 64, 3), np.uint8), np.zeros((64, 31, 3), np.uint8)]) == []
    assert not look_like_single_pictures([])
