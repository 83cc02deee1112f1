"""Photos of drawn facades follow from their label maps."""

import numpy as np
import pytest

from pix2pix_jax.data.images.palettes import CMP
from pix2pix_jax.data.synthetic.paint import draw_facade


@pytest.fixture(scope="module")
def pairs():
    """Brightness of photos [n, h, w], and the class of every pixel."""
    photos, labels = zip(*(draw_facade(index, 96, 64) for index in range(12)), strict=True)
    colours = np.array(list(CMP.classes.values()))
    classes = (np.stack(labels)[..., None, :] == colours).all(-1)  # [n, h, w, class]
    assert (classes.sum(-1) == 1).all()
    return np.stack(photos).mean(-1), classes.argmax(-1)


def test_most_of_the_brightness_of_a_photo_follows_from_its_labels(pairs):
    """The means of the classes have over 40% of the variance of a photo."""
    for photo, label in zip(*pairs, strict=True):
        means = np.array([photo[label == number].mean() for number in label.ravel()])
        assert means.var() > 0.4 * photo.var()
        assert photo.std() > 15


def test_every_facade_is_different(pairs):
    light, classes = pairs
    assert len({label.tobytes() for label in classes}) == len(classes)
    assert len({photo.tobytes() for photo in light}) == len(light)


def test_ambiguous_facades_are_the_same_buildings_in_other_colours():
    """Label maps are equal; most walls no longer have the colour of their style."""
    changed = 0
    for seed in range(8):
        (photo, label), (other, same) = (draw_facade(seed, 64, 64, a) for a in (False, True))
        np.testing.assert_array_equal(label, same)
        wall = (label == CMP.classes["facade"]).all(-1)
        changed += np.abs(photo[wall].mean(0) - other[wall].mean(0)).max() > 15
    assert changed > 5
