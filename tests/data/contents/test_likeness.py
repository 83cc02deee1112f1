"""The pixels of a set of images tell side-by-side pairs from single pictures."""

import cv2
import numpy as np
import pytest

from pix2pix_jax.data.contents.likeness import (
    have_common_outlines,
    look_like_pairs,
    look_like_single_pictures,
    measure_likeness,
    median_shift,
)
from pix2pix_jax.data.synthetic.paint import draw_facade

PAIRS = [draw_facade(seed, 96, 96, ambiguous=True) for seed in range(20)]
PHOTOS, LABELS = [[pair[index] for pair in PAIRS] for index in (0, 1)]
GREYS = [np.repeat(cv2.cvtColor(x, cv2.COLOR_RGB2GRAY)[..., None], 3, 2) for x in PHOTOS]


def measure(images):
    return [likeness for image in images if (likeness := measure_likeness(image))]


def side_by_side(first, second):
    return [np.hstack(pair) for pair in zip(first, second, strict=True)]


def with_gap(pairs, gap, colour, border=0, quality=None):
    """Pairs with a gap of `gap` columns between A and B, and a border around both."""
    images = []
    for first, second in pairs:
        columns = np.full((len(first), gap, 3), colour, np.uint8)
        image = np.hstack([first, columns, second])
        image = np.pad(image, ((border,) * 2, (border,) * 2, (0, 0)), constant_values=colour)
        if quality:
            data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
            image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        images.append(image)
    return images


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
    assert median_shift(likenesses) == 0
    assert not any(look_like_single_pictures([likeness]) for likeness in likenesses)


@pytest.mark.parametrize("colour", [255, 0, 128], ids=["white", "black", "grey"])
@pytest.mark.parametrize(
    ("gap", "border", "quality"),
    [(2, 0, None), (4, 0, None), (8, 0, None), (16, 0, None), (3, 0, None), (4, 0, 75)]
    + [(8, 8, None), (16, 4, None), (6, 12, None), (6, 12, 75)],
)
def test_a_gap_between_the_halves_makes_no_single_pictures(gap, border, quality, colour):
    likenesses = measure(with_gap(PAIRS, gap, colour, border, quality))
    assert have_common_outlines(likenesses)
    assert look_like_pairs(likenesses)
    assert sum(look_like_single_pictures([likeness]) for likeness in likenesses) <= 1
    assert abs(median_shift(likenesses) - (gap // 2 - border)) <= (0 if quality is None else 2)


@pytest.mark.parametrize("colour", [255, 0])
def test_single_pictures_with_an_empty_middle_or_a_border_do_not_look_like_pairs(colour):
    framed = [np.pad(x, ((9, 9), (9, 9), (0, 0)), constant_values=colour) for x in PHOTOS]
    assert look_like_single_pictures(measure(framed))
    objects = np.full((len(PHOTOS), 96, 144, 3), colour, np.uint8)
    for index, picture in enumerate(objects):
        for x in (40, 100):
            centre = (x, 30 + index)
            cv2.circle(picture, centre, 30, (90, 40 + 5 * index, 160), -1)
    assert not look_like_pairs(measure(objects[:, :, 5:]))


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
    assert not look_like_pairs(measure(pictures))


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
    assert not look_like_pairs([])
    assert median_shift([]) == 0
