"""Images that show A and B side by side are cut to the half that is the input."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pix2pix_jax.config import Data
from pix2pix_jax.data.contents.facts import drawn_contents
from pix2pix_jax.data.images.full_depth import FilePixels
from pix2pix_jax.inference.half_cutter import HalfCutter
from pix2pix_jax.inference.inputs import InputFile, LoadedImage

SQUARE = drawn_contents(Data(image_size=(32, 32)))


def with_proportions(proportions):
    sizes = replace(SQUARE.sides["A"].sizes, proportions=proportions)
    return replace(
        SQUARE, sides={name: replace(s, sizes=sizes) for name, s in SQUARE.sides.items()}
    )


@pytest.mark.parametrize(
    ("contents", "shape", "half"),
    [
        (SQUARE, (32, 64), "left"),
        (SQUARE, (300, 601), "left"),
        (SQUARE, (32, 32), "none"),
        (SQUARE, (32, 48), "none"),
        (SQUARE, (64, 32), "none"),
        (with_proportions([0.75]), (200, 300), "left"),
        (with_proportions([0.75]), (200, 400), "none"),
        (with_proportions([0.75, 1.5]), (200, 300), "none"),  # a half of a pair of another size
        (replace(SQUARE, form="folders"), (32, 64), "none"),
        (None, (32, 64), "none"),
    ],
)
def test_only_images_with_the_proportions_of_pairs_are_cut(contents, shape, half):
    assert HalfCutter(Data(), contents).find_half(*shape) == half
    other = {"left": "right", "none": "none"}[half]
    assert HalfCutter(Data(direction="BtoA"), contents).find_half(*shape) == other


@pytest.mark.parametrize("half", ["left", "right", "none"])
def test_half_cuts_every_image_if_the_flag_is_given(half):
    values = np.arange(10, dtype=np.float32).reshape(1, 5, 2)
    expected = {"left": values[:, :2], "right": values[:, 3:], "none": values}[half]
    for contents in (None, SQUARE):
        cutter = HalfCutter(Data(), contents, half)
        np.testing.assert_array_equal(cutter.cut(values), expected)
        assert cutter.num_cut == (half != "none")
    assert HalfCutter(Data(), SQUARE, half).cut(values[:, :1]).shape == (1, 1, 2)


def load(name, height, width):
    pixels = FilePixels(np.zeros((height, width, 3), np.float32), np.dtype(np.uint8), {})
    return LoadedImage(InputFile(Path(name), name), pixels)


def test_cut_images_and_possible_pairs_are_reported_once(capsys):
    cutter = HalfCutter(Data(), with_proportions([0.75, 1.5]))
    images = [load("a\n\x1b[31m", 20, 60), load("b", 20, 60), load("c", 20, 30), load("d", 20, 15)]
    widths = [image.input.values.shape[1] for image in cutter.cut_all(images)]
    assert widths == [30, 30, 30, 15]
    cutter.print_summary(4)
    first, count, unclear = capsys.readouterr().out.splitlines()
    assert first.startswith(
        "a\\n\\x1b[31m: has the proportions of the run's side-by-side pairs, so only its "
    )
    assert count == "2 of 4 images: only the left half is translated"
    assert unclear.startswith("WARNING: 1 of 4 images, first c, may be whole pairs or single ")
    assert unclear.endswith("give --half=left")
