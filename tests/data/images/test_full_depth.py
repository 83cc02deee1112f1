"""Pixels of 16 bits keep their depth; tests/inference/test_translate.py tries every format."""

import cv2
import numpy as np
import pytest

from pix2pix_jax.data.images import decoded_image
from pix2pix_jax.data.images.full_depth import encode_pixels, read_input_pixels


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", [".png", ".npy"])
def test_16_bit_values_are_read_as_they_were_written(tmp_path, channels, suffix):
    values = np.random.default_rng(0).uniform(-1, 1, (5, 7, channels)).astype(np.float32)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(encode_pixels(values, np.dtype(np.uint16), suffix))
    found = read_input_pixels(path, channels)
    assert (found.dtype, found.is_npy) == (np.uint16, suffix == ".npy")
    np.testing.assert_allclose(found.values, values, atol=1.1 / 65535)


def test_a_bug_is_not_reported_as_a_broken_file(tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint16))

    def fail(*_):
        raise TypeError("a bug")

    monkeypatch.setattr(decoded_image, "convert_array_channels", fail)
    with pytest.raises(TypeError, match="a bug"):
        read_input_pixels(tmp_path / "a.png", 3)
