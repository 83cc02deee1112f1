"""Pixels keep their values when channels, sizes and types change."""

import numpy as np
import pytest
from PIL import Image

from pix2pix_jax.data.images.pixels import (
    PILLOW_MODES,
    convert_array_channels,
    convert_channels,
    float_to_image,
    float_to_uint8,
    image_to_float,
    resize_image,
)


def test_uint8_to_float_and_back_changes_no_value():
    every = np.arange(256, dtype=np.uint8)[None]
    floats = image_to_float(Image.fromarray(every))
    assert floats.dtype == np.float32
    assert floats.shape == (1, 256, 1)
    assert (floats[0, 0], floats[0, -1]) == (-1, 1)
    assert (np.diff(floats[0, :, 0]) > 0).all()
    np.testing.assert_array_equal(float_to_uint8(floats)[..., 0], every)


def test_floats_are_rounded_and_clipped_to_uint8():
    assert float_to_uint8(np.float32([-9, -1, -0.999, 0, 0.999, 1, 9])).tolist() == [
        *(0, 0, 0, 128, 255, 255, 255)
    ]
    assert float_to_uint8(np.float32([0.5 / 127.5 - 1 + 1e-6])) == 1


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_floats_become_an_image_and_back(channels, mode):
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, channels), np.uint8)
    image = float_to_image(np.float32(pixels / 127.5 - 1))
    assert (image.mode, image.size) == (mode, (7, 5))
    np.testing.assert_array_equal(float_to_uint8(image_to_float(image)), pixels)


def test_transparent_parts_become_white_and_opaque_parts_keep_their_colour():
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, :, 3] = [
        0,
        255,
        51,
    ]  # transparent, opaque, opaque to a fifth
    shown = np.asarray(convert_channels(Image.fromarray(pixels), 3))
    assert shown[0].tolist() == [[255] * 3, [0] * 3, [204] * 3]
    np.testing.assert_array_equal(convert_channels(Image.fromarray(pixels), 4), pixels)


@pytest.mark.parametrize("given", PILLOW_MODES)
@pytest.mark.parametrize("wanted", PILLOW_MODES)
def test_arrays_and_images_change_their_channels_equally(given, wanted):
    pixels = np.random.default_rng(given).integers(0, 256, (6, 7, given), np.uint8)
    image = Image.fromarray(pixels[..., 0] if given == 1 else pixels)
    expected = image_to_float(convert_channels(image, wanted))
    found = convert_array_channels(image_to_float(image), wanted)
    assert found.shape == (6, 7, wanted)
    assert np.abs(found - expected).max() < 1.6 / 127.5  # Pillow rounds to 8 bits twice.


def test_a_resized_colour_does_not_depend_on_its_alpha():
    pixels = np.full((6, 6, 4), 200, np.uint8)
    pixels[..., 3] = 3
    small = resize_image(Image.fromarray(pixels), (4, 4), (0, 0, 6, 6))
    np.testing.assert_array_equal(small, pixels[:4, :4])
