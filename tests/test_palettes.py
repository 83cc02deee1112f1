"""Colours to classes."""

import numpy as np
import pytest
from PIL import Image

from pix2pix_jax.data.palettes import IGNORED, PALETTES, class_map, nearest_class


@pytest.mark.parametrize("name", PALETTES)
def test_every_colour_is_its_own_class_also_through_noise(name):
    palette = PALETTES[name]
    colours = np.array([*palette.classes.values(), *palette.ignored])
    expected = [*range(len(palette.classes))] + [IGNORED] * len(palette.ignored)
    assert nearest_class(colours.astype(np.uint8), palette).tolist() == expected
    # Up to a third of the way to the next colour, as the farthest that JPEG moves a flat field.
    apart = np.linalg.norm(colours[:, None] - colours, axis=-1) + 1e9 * np.eye(len(colours))
    noise = np.random.default_rng(0).normal(size=(20, len(colours), 3))
    noise *= (apart.min(1) / 3)[:, None] / np.linalg.norm(noise, axis=-1, keepdims=True)
    noisy = np.clip(colours + noise, 0, 255).round().astype(np.uint8)
    assert (nearest_class(noisy, palette) == expected).all()


def test_palettes_have_the_classes_that_are_scored():
    assert {name: len(palette.classes) for name, palette in PALETTES.items()} == {
        "synthetic_facades": 12,
        "facades": 12,
        "cityscapes": 19,
    }


def test_nearest_is_by_distance_in_rgb():
    palette = PALETTES["facades"]
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    colours = np.array(list(palette.classes.values()))
    distances = ((pixels[:, :, None].astype(int) - colours) ** 2).sum(-1)
    found = nearest_class(pixels, palette)
    nearest = np.take_along_axis(distances, found[..., None].astype(int), -1)[..., 0]
    np.testing.assert_array_equal(nearest, distances.min(-1))


def test_a_label_map_of_any_mode_has_classes():
    palette = PALETTES["synthetic_facades"]
    image = Image.new("RGB", (4, 2), palette.classes["shop"]).convert("P")
    assert (np.asarray(class_map(image, palette)) == 11).all()
