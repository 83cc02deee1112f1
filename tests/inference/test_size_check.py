"""The line about an image of another size than in training says what to do."""

import pytest

from pix2pix_jax.inference.size_check import describe_size


@pytest.mark.parametrize(
    ("size", "was_resized", "ends"),
    [
        ((200, 150), False, "give --resize, or --tile=64 to translate tiles"),
        ((200, 150), True, "images of 150x200 were resized to 32x32, so give --resize"),
        (
            (64, 128),
            False,
            "if the image shows A and B side by side, give --half=left or --half=right",
        ),
    ],
)
def test_the_line_about_the_size_advises_resize_tile_or_half(size, was_resized, ends):
    line = describe_size(size, (32, 32), was_resized, "--tile=64")
    height, width = size
    assert line.startswith(f"has {width}x{height} pixels (width x height), but the generator was ")
    assert line.endswith(ends)
