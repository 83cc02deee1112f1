"""Photos show what their label maps say."""

import numpy as np
import pytest

from pix2pix_jax.data.palettes import CMP
from pix2pix_jax.data.synthetic.paint import draw_facade


@pytest.fixture(scope="module")
def pairs():
    """Brightness of photos [n, h, w], and the class of every pixel."""
    photos, labels = zip(*(draw_facade(index, 96, 64) for index in range(12)), strict=True)
    colours = np.array(list(CMP.classes.values()))
    classes = (np.stack(labels)[..., None, :] == colours).all(-1)  # [n, h, w, class]
    assert (classes.sum(-1) == 1).all()
    return np.stack(photos).mean(-1), classes.argmax(-1)


def test_most_of_a_photo_can_be_foretold_from_its_labels(pairs):
    """Within a class of one building, brightness varies far less than between them."""
    for photo, label in zip(*pairs, strict=True):
        told = np.array([photo[label == place].mean() for place in label.ravel()])
        assert told.var() > 0.4 * photo.var()
        assert photo.std() > 15


def test_no_two_facades_are_alike(pairs):
    light, classes = pairs
    assert len({label.tobytes() for label in classes}) == len(classes)
    assert len({photo.tobytes() for photo in light}) == len(light)


def test_ambiguous_facades_are_the_same_buildings_painted_otherwise():
    """Same label maps; walls of a building no longer of the colour that its style has."""
    changed = 0
    for seed in range(8):
        (photo, label), (other, same) = (draw_facade(seed, 64, 64, a) for a in (False, True))
        np.testing.assert_array_equal(label, same)
        wall = (label == CMP.classes["facade"]).all(-1)
        changed += np.abs(photo[wall].mean(0) - other[wall].mean(0)).max() > 15
    assert changed > 5
