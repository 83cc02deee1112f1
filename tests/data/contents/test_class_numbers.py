"""Numbers of classes are told from values, such as depth, by their large areas and random steps."""

import tracemalloc
from functools import partial

import cv2
import numpy as np
import pytest

from pix2pix_jax.config import Config, Data
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.data.contents.class_numbers import (
    look_like_classes,
    measure_smoothness,
    read_numbers,
)
from pix2pix_jax.data.contents.collector import ContentsCollector
from pix2pix_jax.data.contents.lines import contents_lines
from pix2pix_jax.data.images.decoded_image import DecodedImage
from pix2pix_jax.data.images.palettes import CMP, nearest_class
from pix2pix_jax.data.synthetic.paint import draw_facade

SIDE = 96  # height and width of all images


def draw_labels(rng):
    """The classes 0 to 11 of a drawn facade."""
    return nearest_class(draw_facade(int(rng.integers(1000)), SIDE, SIDE)[1], CMP)


def draw_blocks(rng, classes=8, block=8):
    """Blocks of random classes."""
    small = rng.integers(0, classes, (SIDE // block, SIDE // block))
    return np.kron(small, np.ones((block, block), int))


def draw_cells(rng, count):
    """Areas around random points; the numbers of the points are random, from 0 to `count`."""
    points, y = rng.integers(0, SIDE, (12, 2)), np.arange(SIDE)
    squares = (y[:, None, None] - points[:, 0]) ** 2 + (y[None, :, None] - points[:, 1]) ** 2
    return rng.integers(0, count + 1, 12)[squares.argmin(-1)]


def draw_cityscapes(rng):
    """Classes from 0 to 33, and 255 for pixels without a class."""
    cells = draw_cells(rng, 34)
    return np.where(cells == 34, 255, cells)


def draw_instances(rng):
    """The background is 0, and all objects of all images have numbers from 1."""
    return np.where(draw_labels(rng) == 2, draw_cells(rng, 200), 0)


def draw_raster(rng):
    """Touching objects that are numbered from left to right."""
    columns, rows = (np.sort(rng.integers(0, SIDE, 9)) for _ in range(2))
    numbers = np.searchsorted(rows, np.arange(SIDE))[:, None] * 10
    return numbers + np.searchsorted(columns, np.arange(SIDE))


def draw_mask(rng, radius=3):
    """A mask of 0 and 1 with few ones."""
    y, x = rng.integers(5, SIDE - 5, 2)
    return cv2.circle(np.zeros((SIDE, SIDE), np.uint8), (int(x), int(y)), radius, 1, -1)


def draw_lines(rng):
    """A mask of 0 and 1 with thin lines."""
    points = rng.integers(0, SIDE, (1, 8, 1, 2))
    return cv2.polylines(np.zeros((SIDE, SIDE), np.uint8), list(points), False, 1)


def draw_trimap(rng):
    """Foreground 1, background 2 and their border 3."""
    mask = draw_mask(rng, 20)
    border = cv2.dilate(mask, np.ones((5, 5))) - cv2.erode(mask, np.ones((5, 5)))
    return np.where(border > 0, 3, 2 - mask)


def draw_smooth(rng, highest=200.0, detail=9):
    """A smooth picture such as a depth map, with values from 0 to `highest`."""
    small = rng.random((detail, detail), np.float32)
    smooth = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return np.interp(smooth, (smooth.min(), smooth.max()), (0, highest))


def draw_photo(rng, highest=200.0, noise=2.0):
    """A smooth picture with objects and noise."""
    photo = draw_smooth(rng, detail=24) * 0.5 + draw_labels(rng) * 9
    return np.clip(photo + rng.normal(0, noise, photo.shape), 0, 200) * (highest / 200)


def on_black(draw, rng):
    """A round picture on a black background, as of MRI and CT."""
    mask = cv2.circle(np.zeros((SIDE, SIDE), np.uint8), (SIDE // 2, SIDE // 2), SIDE // 3, 1, -1)
    return draw(rng) * mask


def with_holes(rng):
    """Depth whose upper half has no value."""
    return np.where(np.arange(SIDE)[:, None] < SIDE * 0.55, 0, draw_smooth(rng))


def draw_lidar(rng):
    """Depth with a value in every twentieth pixel."""
    return np.where(rng.random((SIDE, SIDE)) < 0.05, draw_smooth(rng), 0)


def draw_art(rng):
    """A coloured drawing of few flat colours, none of which is brighter than 200."""
    return rng.integers(0, 200, (21, 3))[draw_cells(rng, 20)]


def collect(draw, dtype: type = np.uint8, count=40):
    """The facts about pairs whose A is drawn."""
    collector, rng = ContentsCollector("folders"), np.random.default_rng(0)
    for index in range(count):
        a = np.asarray(draw(rng)).astype(dtype).reshape(SIDE, SIDE, -1)
        b = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        collector.add("train", f"{index}.png", DecodedImage(a), DecodedImage(b), SIDE)
    return collector.finish()


@pytest.mark.parametrize(
    "draw",
    [
        draw_blocks,
        draw_labels,
        partial(draw_cells, count=150),
        draw_cityscapes,
        draw_instances,
        draw_raster,
        draw_mask,
        draw_lines,
        draw_trimap,
        lambda rng: draw_cells(rng, 12)[..., None] * [1, 0, 0],
    ],
    ids=["blocks", "facades", "150", "33 and 255", "instances", "raster", "mask", "lines", "trimap"]
    + ["in one channel"],
)
def test_class_numbers_give_the_line_about_colours(draw):
    for dtype in (np.uint8, np.uint16):
        [levels] = collect(draw, dtype).sides["A"].levels
        is_marked = dtype == np.uint16 and levels.highest == 255  # 255 is no mark in 16 bits
        assert look_like_classes(levels) or is_marked, levels


@pytest.mark.parametrize(
    ("draw", "is_silent"),
    [
        (draw_smooth, True),
        (with_holes, True),
        (draw_lidar, True),
        (partial(draw_smooth, highest=30), False),
        (partial(on_black, draw_photo), True),
        (partial(on_black, partial(draw_photo, highest=100)), False),
        (partial(draw_photo, highest=12), False),
        (partial(draw_photo, highest=12, noise=20), False),
        (lambda rng: draw_photo(rng)[..., None] * [0.06, 0.05, 0.03], False),
        (lambda rng: draw_photo(rng) // 16, False),
        (draw_art, True),
    ],
    ids=["depth", "holes", "lidar", "dark depth", "MRI", "dark MRI", "dark", "dark and noisy"]
    + ["dark colours", "posterised", "art"],
)
def test_values_are_not_taken_for_class_numbers(draw, is_silent):
    contents = collect(draw)
    [levels] = contents.sides["A"].levels
    assert not look_like_classes(levels), levels
    data = resolve(Config(data=Data(name="folder", source="pairs"))).data
    warnings = [line for line in contents_lines(contents, data) if "WARNING" in line]
    assert is_silent == (not warnings)
    assert all("so the network would see dark images" in line for line in warnings)


def test_class_numbers_are_not_called_grey_images():
    contents = collect(lambda rng: np.repeat(draw_blocks(rng)[..., None], 3, 2))
    assert contents.sides["A"].grey == 40
    data = resolve(Config(data=Data(name="folder", source="pairs"))).data
    [warning] = [line for line in contents_lines(contents, data) if line.startswith("WARNING")]
    assert "look like class numbers" in warning
    assert not any("grey in all images" in line for line in contents_lines(contents, data))


def test_a_large_image_is_measured_in_little_memory():
    numbers = np.repeat(np.arange(256, dtype=np.uint8), 2**14).reshape(2048, 2048)
    numbers[:, :1000] = 0  # the most common number of the image, but not of the first rows
    numbers[:500] = np.maximum(numbers[:500], 1)
    tracemalloc.start()
    smoothness = measure_smoothness(numbers)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * numbers.nbytes
    here, there = numbers[:-1].T[::4], numbers[1:].T[::4]
    assert smoothness is not None
    assert smoothness.flatness == (here == there)[here != 0].mean()


def test_numbers_are_in_equal_channels_or_in_one_channel():
    numbers = np.arange(12, dtype=np.uint8).reshape(3, 4)
    zero = np.zeros_like(numbers)
    for channels in ([numbers], [numbers] * 3, [numbers, zero, zero], [zero, zero, numbers]):
        np.testing.assert_array_equal(read_numbers(np.dstack(channels)), numbers)
    assert read_numbers(np.dstack([numbers, numbers + 1, numbers])) is None
    np.testing.assert_array_equal(read_numbers(np.dstack([zero] * 3)), zero)
