"""Colours that a profile describes become sRGB, unless they are sRGB already."""

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms

from pix2pix_jax.data.contents.facts import add_notes
from pix2pix_jax.data.images.decoded_image import to_8_bits
from pix2pix_jax.data.images.full_depth import encode_pixels
from pix2pix_jax.data.images.image_files import decode_image
from pix2pix_jax.data.images.image_reader import encode_integers, read_image, record_bytes
from pix2pix_jax.data.images.png_chunks import add_chunk

NOISE = np.random.default_rng(0).integers(0, 256, (12, 20, 4), np.uint8)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swap_primaries(profile):
    """A profile in which red and green are swapped: far from sRGB, so the colours must change."""
    tags = {profile[at : at + 4]: at for at in range(132, 132 + 12 * profile[131], 12)}
    swapped = bytearray(profile)
    for a, b in ((b"rXYZ", b"gXYZ"),):
        swapped[tags[a] + 4 : tags[a] + 12] = profile[tags[b] + 4 : tags[b] + 12]
        swapped[tags[b] + 4 : tags[b] + 12] = profile[tags[a] + 4 : tags[a] + 12]
    return bytes(swapped)


SWAPPED = swap_primaries(SRGB)


def encode(pixels, kind, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("channels", [3, 4])
def test_the_colours_of_another_profile_are_converted(kind, channels):
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    data = encode(NOISE[..., :channels], kind, icc_profile=SWAPPED, **options)
    image = read_image(data, "a")
    wanted = NOISE[..., [1, 0, 2, 3][:channels]].astype(int)
    np.testing.assert_allclose(image.pixels, wanted, atol=2)
    assert image.notes["sRGB"].endswith("colours are converted to sRGB")
    recorded = decode_image(record_bytes(data, image), "record")
    np.testing.assert_array_equal(recorded, to_8_bits(image))


def test_the_colours_of_a_palette_are_converted():
    image = Image.fromarray(NOISE[..., :3]).convert("P")
    file = io.BytesIO()
    image.save(file, "PNG", icc_profile=SWAPPED)
    wanted = np.asarray(image.convert("RGB"))[..., [1, 0, 2]].astype(int)
    np.testing.assert_allclose(read_image(file.getvalue(), "a").pixels, wanted, atol=2)


def test_an_image_that_is_srgb_stays_as_it_is():
    for options in ({}, {"icc_profile": SRGB}):
        data = encode(NOISE[..., :3], "PNG", **options)
        image = read_image(data, "a")
        np.testing.assert_array_equal(image.pixels, NOISE[..., :3])
        assert image.notes == {}
        assert record_bytes(data, image) is data


@pytest.mark.parametrize(
    ("profile", "note"),
    [
        (b"not a profile", "is damaged or is for another colour space than RGB"),
        (SRGB[:16] + b"CMYK" + SRGB[20:], "is damaged or is for another colour space than RGB"),
    ],
)
def test_a_profile_that_cannot_be_applied_is_noted(profile, note):
    image = read_image(encode(NOISE[..., :3], "PNG", icc_profile=profile), "a")
    np.testing.assert_array_equal(image.pixels, NOISE[..., :3])
    assert note in image.notes["damaged profile"]


def test_a_profile_may_have_megabytes():
    large = SWAPPED + bytes(3_000_000)
    image = read_image(encode(NOISE[..., :3], "PNG", icc_profile=large), "a")
    assert image.notes["sRGB"].endswith("colours are converted to sRGB")


@pytest.mark.parametrize(
    ("index", "mode", "is_noted"),
    [("R03", "RGB", True), ("R98", "RGB", False), ("R03", "L", False)],
)
def test_a_colour_photo_that_is_adobe_rgb_only_in_exif_is_noted(index, mode, is_noted):
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.IFD.Interop] = {1: index}
    photo = Image.fromarray(NOISE[..., :3]).convert(mode)
    image = read_image(encode(np.asarray(photo), "JPEG", exif=exif), "a.jpg")
    assert ("the colours are Adobe RGB" in image.notes.get("Adobe RGB", "")) == is_noted


def test_16_bits_keep_their_colours_and_the_profile_is_noted():
    file = io.BytesIO()
    deep = NOISE[..., :3].astype(np.uint16) * 257
    tifffile.imwrite(file, deep, photometric="rgb", iccprofile=SWAPPED)
    image = read_image(file.getvalue(), "a.tif")
    np.testing.assert_array_equal(image.pixels, deep)
    assert "is not applied to images of 16 bits a channel" in image.notes["profile"]


def test_grey_levels_are_kept_because_they_may_be_classes():
    image = read_image(encode(NOISE[..., 0], "PNG", icc_profile=SWAPPED), "a")
    np.testing.assert_array_equal(image.pixels[..., 0], NOISE[..., 0])
    assert image.notes == {}


def test_cmyk_without_a_profile_is_noted():
    file = io.BytesIO()
    Image.fromarray(NOISE[..., :3]).convert("CMYK").save(file, "TIFF")
    assert "only roughly right" in read_image(file.getvalue(), "a.tif").notes["CMYK"]


@pytest.mark.parametrize("profile", [SRGB, b"damaged"])
def test_cmyk_with_a_profile_that_cannot_be_applied_is_noted(profile):
    file = io.BytesIO()
    Image.fromarray(NOISE[..., :3]).convert("CMYK").save(file, "JPEG", icc_profile=profile)
    assert read_image(file.getvalue(), "a.jpg").notes["CMYK profile"] == (
        "CMYK colours are only roughly right, because the colour profile is damaged or is for "
        "another colour space than CMYK"
    )


SRGB_POINTS = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
P3_POINTS = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    ("chunks", "colours"),
    [
        ({b"cICP": bytes([12, 13, 0, 1])}, "primaries 12 and transfer 13 in cICP"),
        ({b"cICP": bytes([9, 16, 0, 1])}, "primaries 9 and transfer 16 in cICP"),
        ({b"cICP": bytes([1, 8, 0, 1]), b"sRGB": b"\0"}, "primaries 1 and transfer 8 in cICP"),
        ({b"cICP": bytes([1, 13, 0, 1]), b"gAMA": struct.pack(">I", 100_000)}, None),
        ({b"cICP": bytes([1, 1, 0, 1])}, None),
        ({b"gAMA": struct.pack(">I", 100_000)}, "gamma 1 in gAMA"),
        ({b"gAMA": struct.pack(">I", 45_455)}, None),
        ({b"gAMA": struct.pack(">I", 100_000), b"sRGB": b"\0"}, None),
        ({b"cHRM": struct.pack(">8I", *P3_POINTS)}, "other primaries in cHRM"),
        ({b"cHRM": struct.pack(">8I", *SRGB_POINTS)}, None),
    ],
)
def test_the_colours_of_a_png_without_a_profile_are_noted(bits, chunks, colours):
    kept = NOISE[..., :3] if bits == 8 else NOISE[..., :3].astype(np.uint16) * 257
    data = encode_integers(kept)
    for kind, content in chunks.items():
        data = add_chunk(data, kind, content)
    image = read_image(data, "a.png")
    np.testing.assert_array_equal(image.pixels, kept)
    note = f"the colours are not sRGB ({colours}), and are not converted to sRGB"
    assert image.notes == ({colours.split()[-1]: note} if colours else {})
    assert record_bytes(data, image) is data


def test_files_whose_colours_are_stored_in_different_ways_are_counted_apart():
    plain = encode_integers(NOISE[..., :3])
    files = {
        "gamma.png": add_chunk(plain, b"gAMA", struct.pack(">I", 100_000)),
        "damaged.png": encode(NOISE[..., :3], "PNG", icc_profile=b"damaged"),
        "primaries.png": add_chunk(plain, b"cHRM", struct.pack(">8I", *P3_POINTS)),
        "gamma 2.png": add_chunk(plain, b"gAMA", struct.pack(">I", 50_000)),
    }
    notes = {}
    for name, data in files.items():
        add_notes(notes, name, read_image(data, name).notes)
    assert [(note.text[:36], note.files.names) for note in notes.values()] == [
        ("the colours are not sRGB (gamma 1 in", ["gamma.png", "gamma 2.png"]),
        ("the colour profile is not applied, b", ["damaged.png"]),
        ("the colours are not sRGB (other prim", ["primaries.png"]),
    ]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_translations_say_that_they_are_srgb(dtype):
    data = encode_pixels(np.zeros((4, 4, 3)), np.dtype(dtype), ".png")
    image = Image.open(io.BytesIO(data))
    image.load()
    assert image.info["srgb"] == 0
    assert struct.unpack_from(">I4s", data, 33) == (1, b"sRGB")
