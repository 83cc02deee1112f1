"""Files of every kind become the right pixels, and broken ones are named."""

import io

import numpy as np
import pytest
from helpers.refusals import refusal
from PIL import Image

from pix2pix_jax.data.image_files import (
    MODES,
    convert_array_channels,
    convert_channels,
    decode,
    resize,
    split_pair,
    to_float,
    to_image,
    to_uint8,
)

NOISE = np.random.default_rng(0).integers(0, 256, (6, 10, 3), np.uint8)


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options) -> bytes:
    """The bytes of an image file."""
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_a_lossless_file_keeps_every_pixel(kind):
    np.testing.assert_array_equal(decode(encoded(NOISE, kind), "noise"), NOISE)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_rounded_to_8(kind):
    deep = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    image = decode(encoded(deep, kind), "deep")
    assert image.mode == "L"
    assert image.getpixel((255, 255)) == 255
    np.testing.assert_array_equal(image, (deep.astype(int) + 128) // 257)


def test_a_cmyk_jpeg_has_the_colours_it_prints():
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    image = decode(encoded(red, "JPEG", quality=95), "red.jpg")
    assert image.mode == "CMYK"
    np.testing.assert_allclose(image.convert("RGB").getpixel((8, 8)), (255, 0, 0), atol=2)


def test_a_palette_gives_its_colours():
    colours = np.uint8([[255, 0, 0], [0, 85, 255], [170, 255, 85]])
    image = Image.fromarray(np.uint8([[0, 1, 2], [2, 1, 0]]), "P")
    image.putpalette(colours.tobytes())
    found = decode(encoded(image), "palette.png").convert("RGB")
    np.testing.assert_array_equal(found, colours[[[0, 1, 2], [2, 1, 0]]])


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda pixels: pixels),
        (2, lambda pixels: pixels[:, ::-1]),
        (3, lambda pixels: pixels[::-1, ::-1]),
        (6, lambda pixels: np.rot90(pixels, -1)),
        (8, np.rot90),
    ],
)
def test_a_photo_is_turned_upright(kind, orientation, upright):
    exif = Image.Exif()
    exif[0x0112] = orientation
    lying = np.asarray(decode(encoded(NOISE, kind), "lying"))
    turned = decode(encoded(NOISE, kind, exif=exif), "turned")
    np.testing.assert_array_equal(turned, upright(lying))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not an image",
        encoded(NOISE, "JPEG")[:-20],
        encoded(NOISE, "JPEG")[:100],
        encoded(NOISE, "PNG")[:-40],
        encoded(NOISE, "WEBP")[:-20],
    ],
    ids=["empty", "text", "most of a JPEG", "head of a JPEG", "most of a PNG", "most of a WebP"],
)
def test_a_broken_file_is_named(data):
    message = refusal(decode, data, "cats/tom.jpg")
    assert message.startswith("cats/tom.jpg: cannot be read as an image (")
    assert "0x" not in message  # no address, so the same every time


def test_an_empty_file_is_called_empty():
    assert "(it is empty)" in refusal(decode, b"", "tom.jpg")


def test_the_halves_of_an_image_are_a_and_b():
    a, b = split_pair([encoded(NOISE)], ["pair"])
    np.testing.assert_array_equal(a, NOISE[:, :5])
    np.testing.assert_array_equal(b, NOISE[:, 5:])


def test_an_odd_column_in_the_middle_is_left_out():
    a, b = split_pair([encoded(NOISE[:, :9])], ["pair"])
    np.testing.assert_array_equal(a, NOISE[:, :4])
    np.testing.assert_array_equal(b, NOISE[:, 5:9])


def test_two_files_are_a_and_b_whatever_their_sizes():
    a, b = split_pair([encoded(NOISE), encoded(NOISE[:3, :4], "BMP")], ["a", "b"])
    np.testing.assert_array_equal(a, NOISE)
    np.testing.assert_array_equal(b, NOISE[:3, :4])


def test_an_image_too_narrow_for_two_is_named():
    assert refusal(split_pair, [encoded(NOISE[:, :1])], ["thin.png"]).startswith("thin.png: ")


def test_floats_and_bytes_are_exact_inverses():
    every = np.arange(256, dtype=np.uint8)[None]
    floats = to_float(Image.fromarray(every))
    assert floats.dtype == np.float32
    assert floats.shape == (1, 256, 1)
    assert (floats[0, 0], floats[0, -1]) == (-1, 1)
    assert (np.diff(floats[0, :, 0]) > 0).all()
    np.testing.assert_array_equal(to_uint8(floats)[..., 0], every)


def test_bytes_are_rounded_and_clipped():
    assert to_uint8(np.float32([-9, -1, -0.999, 0, 0.999, 1, 9])).tolist() == [
        *(0, 0, 0, 128, 255, 255, 255)
    ]
    assert to_uint8(np.float32([0.5 / 127.5 - 1 + 1e-6])) == 1


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_pixels_become_an_image_and_back(channels, mode):
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, channels), np.uint8)
    image = to_image(np.float32(pixels / 127.5 - 1))
    assert (image.mode, image.size) == (mode, (7, 5))
    np.testing.assert_array_equal(to_uint8(to_float(image)), pixels)


def test_the_broken_one_of_two_files_is_named():
    assert refusal(split_pair, [encoded(NOISE), b""], ["a.png", "b.png"]).startswith("b.png: ")


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_whose_white_is_unknown_are_refused(mode):
    file = io.BytesIO()
    Image.new(mode, (4, 4), 1).save(file, "TIFF")
    assert "32 bits a pixel" in refusal(decode, file.getvalue(), "scan.tif")


def test_what_is_transparent_becomes_white_and_the_rest_keeps_its_colour():
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, :, 3] = [0, 255, 51]  # black: not there, there, there to a fifth
    shown = np.asarray(convert_channels(Image.fromarray(pixels), 3))
    assert shown[0].tolist() == [[255] * 3, [0] * 3, [204] * 3]
    np.testing.assert_array_equal(convert_channels(Image.fromarray(pixels), 4), pixels)


@pytest.mark.parametrize("given", MODES)
@pytest.mark.parametrize("wanted", MODES)
def test_arrays_change_their_channels_as_images_do(given, wanted):
    pixels = np.random.default_rng(given).integers(0, 256, (6, 7, given), np.uint8)
    image = Image.fromarray(pixels[..., 0] if given == 1 else pixels)
    expected = to_float(convert_channels(image, wanted))
    found = convert_array_channels(to_float(image), wanted)
    assert found.shape == (6, 7, wanted)
    assert np.abs(found - expected).max() < 1.6 / 127.5  # of 8 bits, which Pillow rounds twice


def test_a_resized_colour_does_not_depend_on_its_alpha():
    pixels = np.full((6, 6, 4), 200, np.uint8)
    pixels[..., 3] = 3
    small = resize(Image.fromarray(pixels), (4, 4), (0, 0, 6, 6))
    np.testing.assert_array_equal(small, pixels[:4, :4])
