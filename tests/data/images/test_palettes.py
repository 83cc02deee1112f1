"""Colours of label maps become classes, even if the colours are noisy."""

import numpy as np
import pytest
from PIL import Image

from pix2pix_jax.data.images.palettes import (
    CITYSCAPES,
    CMP,
    CMP_PUBLIC,
    IGNORED,
    PALETTES,
    best_palette,
    class_map,
    nearest_class,
)

ALL = [palette for palettes in PALETTES.values() for palette in palettes]


@pytest.mark.parametrize("palette", ALL)
def test_every_colour_of_a_palette_is_one_class_even_with_noise(palette):
    colours = np.array([*palette.classes.values(), *palette.ignored])
    expected = [*range(len(palette.classes))] + [IGNORED] * len(palette.ignored)
    assert nearest_class(colours.astype(np.uint8), palette).tolist() == expected
    # The noise moves a colour at most a third of the way to the next colour. JPEG moves the colour
    # of a flat area no further.
    apart = np.linalg.norm(colours[:, None] - colours, axis=-1) + 1e9 * np.eye(len(colours))
    noise = np.random.default_rng(0).normal(size=(20, len(colours), 3))
    noise *= (apart.min(1) / 3)[:, None] / np.linalg.norm(noise, axis=-1, keepdims=True)
    noisy = np.clip(colours + noise, 0, 255).round().astype(np.uint8)
    assert (nearest_class(noisy, palette) == expected).all()


def test_each_palette_has_the_number_of_classes_that_its_dataset_scores():
    assert {name: [len(p.classes) for p in palettes] for name, palettes in PALETTES.items()} == {
        "synthetic_facades": [12],
        "facades": [12, 12],
        "cityscapes": [19],
    }
    assert list(CMP.classes) == list(CMP_PUBLIC.classes)


@pytest.mark.parametrize(
    ("palette", "pixel", "expected"),
    [
        (CITYSCAPES, (128, 64, 128), "road"),
        (CITYSCAPES, (70, 130, 180), "sky"),
        (CITYSCAPES, (0, 0, 142), "car"),
        (CITYSCAPES, (0, 0, 230), "motorcycle"),
        (CMP, (0, 0, 170), "background"),
        (CMP, (0, 85, 255), "window"),
        (CMP, (170, 0, 0), "shop"),
        # Pixels of the first label map of the public facades, as its JPEG has them.
        (CMP_PUBLIC, (0, 61, 245), "facade"),
        (CMP_PUBLIC, (7, 123, 255), "window"),
        (CMP_PUBLIC, (67, 192, 212), "cornice"),
        (CMP_PUBLIC, (194, 253, 65), "balcony"),
        (CMP_PUBLIC, (244, 238, 38), "blind"),
        (CMP_PUBLIC, (153, 4, 33), "shop"),
    ],
)
def test_known_colours_have_their_published_classes(palette, pixel, expected):
    index = nearest_class(np.array(pixel, np.uint8), palette)
    assert list(palette.classes)[int(index)] == expected


def test_the_nearest_class_has_the_smallest_distance_in_rgb():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    colours = np.array(list(CMP.classes.values()))
    distances = ((pixels[:, :, None].astype(int) - colours) ** 2).sum(-1)
    found = nearest_class(pixels, CMP)
    nearest = np.take_along_axis(distances, found[..., None].astype(int), -1)[..., 0]
    np.testing.assert_array_equal(nearest, distances.min(-1))


def test_a_label_map_may_have_another_mode_than_rgb():
    image = Image.new("RGB", (4, 2), CMP.classes["shop"]).convert("P")
    assert (np.asarray(class_map(image, CMP)) == 11).all()


@pytest.mark.parametrize("palette", [CMP, CMP_PUBLIC])
def test_the_palette_of_facades_is_recognised(palette):
    """The facade of one palette has nearly the colour of the background of the other palette."""
    rng = np.random.default_rng(0)
    colours = np.array(list(palette.classes.values()))
    maps = colours[rng.choice(3, (4, 16, 16))] + rng.integers(-3, 4, (4, 16, 16, 3))
    labels = [Image.fromarray(m.clip(0, 255).astype(np.uint8)) for m in maps]
    found, distance = best_palette(PALETTES["facades"], labels)
    assert found == palette
    assert 0 < distance < 6


def test_photos_are_far_from_a_palette():
    """The distance is the median over pixels: from grey 128 to white, 127 * sqrt(3)."""
    grey = [Image.new("RGB", (8, 8), (128, 128, 128))] * 3 + [Image.new("RGB", (8, 8))]
    palette = CITYSCAPES._replace(classes={"white": (255, 255, 255)}, ignored=((0, 0, 0),))
    _, distance = best_palette([palette], grey)
    np.testing.assert_allclose(distance, 127 * 3**0.5, rtol=1e-5)
