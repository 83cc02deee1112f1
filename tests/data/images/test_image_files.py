"""Image files of every kind become the right pixels; errors name the broken files."""

import io

import numpy as np
import pytest
from helpers.refusals import refusal
from PIL import Image

from pix2pix_jax.data.images import image_files
from pix2pix_jax.data.images.image_files import decode_image, decode_pair
from pix2pix_jax.data.images.limits import MAX_PIXELS

NOISE = np.random.default_rng(0).integers(0, 256, (6, 10, 3), np.uint8)


def encode_image(image: Image.Image | np.ndarray, kind: str = "PNG", **options) -> bytes:
    """Encodes an image as the bytes of an image file."""
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_a_lossless_file_keeps_every_pixel(kind):
    np.testing.assert_array_equal(decode_image(encode_image(NOISE, kind), "noise"), NOISE)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_rounded_to_8(kind):
    deep = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    image = decode_image(encode_image(deep, kind), "deep")
    assert image.mode == "L"
    assert image.getpixel((255, 255)) == 255
    np.testing.assert_array_equal(image, (deep.astype(int) + 128) // 257)


def test_a_cmyk_jpeg_keeps_its_colours():
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    image = decode_image(encode_image(red, "JPEG", quality=95), "red.jpg")
    assert image.mode == "CMYK"
    np.testing.assert_allclose(image.convert("RGB").getpixel((8, 8)), (255, 0, 0), atol=2)


def test_an_image_with_a_palette_has_the_colours_of_the_palette():
    colours = np.uint8([[255, 0, 0], [0, 85, 255], [170, 255, 85]])
    image = Image.fromarray(np.uint8([[0, 1, 2], [2, 1, 0]]), "P")
    image.putpalette(colours.tobytes())
    found = decode_image(encode_image(image), "palette.png").convert("RGB")
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
    stored = np.asarray(decode_image(encode_image(NOISE, kind), "stored"))
    turned = decode_image(encode_image(NOISE, kind, exif=exif), "turned")
    np.testing.assert_array_equal(turned, upright(stored))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not an image",
        encode_image(NOISE, "JPEG")[:-20],
        encode_image(NOISE, "JPEG")[:100],
        encode_image(NOISE, "PNG")[:-40],
        encode_image(NOISE, "WEBP")[:-20],
    ],
    ids=["empty", "text", "most of a JPEG", "head of a JPEG", "most of a PNG", "most of a WebP"],
)
def test_the_error_for_a_broken_file_names_the_file(data):
    message = refusal(decode_image, data, "cats/tom.jpg")
    assert message.startswith("cats/tom.jpg: cannot be read as an image (")
    # Without an address in memory, the line is the same every time.
    assert "0x" not in message


def test_an_empty_file_is_reported_as_empty():
    assert "(the file is empty)" in refusal(decode_image, b"", "tom.jpg")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\0\0\0\x20ftypheic" + bytes(90), "is a HEIF image (HEIC); convert it to PNG or JPEG"),
        (b"\0\0\0\x20ftypavif" + bytes(90), "is an AVIF image; convert it to PNG or JPEG"),
        (b"\n<!DOCTYPE html><html>", "is a web page, not the image; download the image again"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer, not the image"),
        (bytes(5000), "is an empty copy: all bytes are zero; copy the image again"),
    ],
)
def test_another_file_with_the_name_of_an_image_is_called_what_it_is(data, kind):
    assert refusal(decode_image, data, "tom.jpg").startswith(f"tom.jpg: {kind}")


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif"])
def test_the_content_of_a_file_counts_and_not_its_suffix(name):
    for kind in ("PNG", "BMP", "TIFF", "PPM"):
        np.testing.assert_array_equal(decode_image(encode_image(NOISE, kind), name), NOISE)


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded():
    side = int(MAX_PIXELS**0.5) + 1
    data = encode_image(Image.new("1", (side, side)))
    assert len(data) < 100_000
    assert refusal(decode_image, data, "big.png") == (
        f"big.png: has {side}x{side} pixels, but an image may have at most 100,000,000; scale the "
        "image down or remove it"
    )


@pytest.mark.parametrize(("mode", "kind"), [("I", "signed or 32-bit integers"), ("F", "floats")])
def test_an_image_of_32_bits_is_refused_because_its_white_is_unknown(mode, kind):
    data = encode_image(Image.new(mode, (4, 4), 1), "TIFF")
    assert f"the pixels are {kind}, so white is unknown; scale them" in refusal(
        decode_image, data, "scan.tif"
    )


def test_a_bug_is_not_reported_as_a_broken_file(monkeypatch):
    def fail(*_):
        raise TypeError("a bug")

    monkeypatch.setattr(image_files, "bits_per_channel", fail)
    with pytest.raises(TypeError, match="a bug"):
        decode_image(encode_image(NOISE, "TIFF"), "noise.tif")


def test_the_halves_of_an_image_are_a_and_b():
    a, b = decode_pair([encode_image(NOISE)], ["pair"])
    np.testing.assert_array_equal(a, NOISE[:, :5])
    np.testing.assert_array_equal(b, NOISE[:, 5:])


def test_an_odd_column_in_the_middle_belongs_to_neither_half():
    a, b = decode_pair([encode_image(NOISE[:, :9])], ["pair"])
    np.testing.assert_array_equal(a, NOISE[:, :4])
    np.testing.assert_array_equal(b, NOISE[:, 5:9])


def test_two_files_are_a_and_b_and_may_differ_in_size():
    a, b = decode_pair([encode_image(NOISE), encode_image(NOISE[:3, :4], "BMP")], ["a", "b"])
    np.testing.assert_array_equal(a, NOISE)
    np.testing.assert_array_equal(b, NOISE[:3, :4])


def test_the_error_for_an_image_too_narrow_for_two_halves_names_the_file():
    assert refusal(decode_pair, [encode_image(NOISE[:, :1])], ["thin.png"]).startswith("thin.png: ")


def test_the_error_for_a_pair_names_its_broken_file():
    assert refusal(decode_pair, [encode_image(NOISE), b""], ["a.png", "b.png"]).startswith(
        "b.png: "
    )
