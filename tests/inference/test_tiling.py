"""Tiles cover an image and blend without seams; padding mirrors the edges."""

import numpy as np

from pix2pix_jax.data.images.decoded_image import DecodedImage
from pix2pix_jax.data.images.large_image import LargeImage
from pix2pix_jax.inference.tiling import blend_ramp, pad_centered, tile_starts, translate_tiles


def test_tiles_of_a_pointwise_network_leave_no_seam():
    image = np.random.default_rng(0).standard_normal((70, 45, 3)).astype(np.float32)
    for side in (16, 32, 64):
        blended = np.concatenate(list(translate_tiles(np.tanh, image, side)))
        np.testing.assert_allclose(blended, np.tanh(image), atol=1e-6)


def test_a_large_image_is_translated_in_tiles_as_a_small_one_is():
    pixels = np.random.default_rng(0).integers(0, 256, (150, 45, 3), np.uint8)
    for image in (pixels, pixels[:20], pixels[:, :9]):
        large = LargeImage(DecodedImage(image), 3)
        values = np.asarray(large)
        for side in (16, 64):
            wanted = np.concatenate(list(translate_tiles(np.tanh, values, side)))
            bands = list(translate_tiles(np.tanh, large, side))
            np.testing.assert_array_equal(np.concatenate(bands), wanted)
            assert wanted.shape == image.shape


def test_every_row_of_tiles_is_read_once():
    reads = []

    class Image(np.ndarray):
        def __getitem__(self, part):
            reads.append((part.start, part.stop))
            return np.asarray(self)[part]

    image = np.zeros((40, 300, 1), np.float32).view(Image)
    list(translate_tiles(np.tanh, image, 16))
    assert reads == [(top, top + 16) for top in tile_starts(40, 16)]


def test_memory_holds_only_the_rows_of_a_few_tiles():
    image = np.zeros((400, 160, 1), np.float32)
    bands = list(translate_tiles(np.tanh, image, 16))
    assert sum(map(len, bands)) == 400
    assert max(map(len, bands)) <= 16


def test_tiles_cover_the_image_and_neighbours_fade_into_each_other():
    for length, side in ((64, 64), (65, 64), (500, 64), (111, 16)):
        starts = tile_starts(length, side)
        assert (starts[0], starts[-1]) == (0, length - side)
        assert all(b - a <= side - side // 4 for a, b in zip(starts, starts[1:], strict=False))
    weight = blend_ramp(16)
    np.testing.assert_allclose(weight[:5], [0.125, 0.375, 0.625, 0.875, 1])
    np.testing.assert_array_equal(weight, weight[::-1])
    one = pad_centered(np.ones((1, 1, 3), np.float32), 8, 8)[0]
    np.testing.assert_array_equal(one, np.ones((8, 8, 3)))
