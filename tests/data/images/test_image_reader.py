"""One reader reads every image file, and the records that it makes decode to the same pixels."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from helpers.refusals import refusal
from PIL import Image, PngImagePlugin
from PIL.TiffImagePlugin import OPEN_INFO

from pix2pix_jax.data.images import image_files
from pix2pix_jax.data.images.decoded_image import split_pair, to_8_bits
from pix2pix_jax.data.images.image_files import decode_image, decode_pair
from pix2pix_jax.data.images.image_reader import read_image, record_bytes
from pix2pix_jax.data.images.pixels import convert_channels, image_to_uint8
from pix2pix_jax.errors import UsageError

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (12, 20, 5), np.uint8)
DEEP = RNG.integers(0, 65536, (12, 20, 5), np.uint16)
COMPRESSIONS = (None, "deflate", "lzw", "packbits", "zstd")
COLOURS = NOISE[:1, :1, :3].astype(np.uint16).repeat(256, 1)[0].T * 257  # of a palette


def encode(image, kind, **options):
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, kind, **options)
    return file.getvalue()


def tiff(pixels, planar="contig", **options):
    """The bytes of a TIFF file with pixels [h, w, c]."""
    file = io.BytesIO()
    planes = pixels if planar == "contig" else np.moveaxis(pixels, -1, 0)
    options = {"photometric": "rgb", "planarconfig": planar} | options
    tifffile.imwrite(file, planes, **options)
    return file.getvalue()


def read_record(data, image):
    """The image that training decodes from the record of a file."""
    return decode_image(record_bytes(data, image), "record")


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("kept", [NOISE, DEEP], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize(
    ("bands", "photometric", "extra"),
    [
        (3, "rgb", None),
        (3, "minisblack", [0, 0]),
        (4, "rgb", ["unspecified"]),
        (4, "rgb", ["unassalpha"]),
        (4, "minisblack", [0, 0, 0]),
        (4, "minisblack", [0, 0, 2]),
        (2, "minisblack", [2]),
    ],
)
def test_every_band_of_a_tiff_is_read(planar, compression, kept, bands, photometric, extra):
    wanted = kept[..., :bands]
    data = tiff(
        wanted, planar, photometric=photometric, extrasamples=extra, compression=compression
    )
    image = read_image(data, "a.tif")
    is_deep_grey = bands == 2 and kept is DEEP  # becomes RGB and alpha
    found = image.pixels[..., [0, 3]] if is_deep_grey else image.pixels
    np.testing.assert_array_equal(found, wanted)
    assert image.has_alpha == (extra is not None and extra[-1] in (2, "unassalpha"))
    assert ("bands" in image.notes) == (bands == 4 and not image.has_alpha)
    assert not image.notes_for(4)
    recorded = read_record(data, image)
    np.testing.assert_array_equal(recorded, to_8_bits(image))
    if bands == 4:
        upper = wanted if kept is NOISE else wanted >> 8
        np.testing.assert_array_equal(convert_channels(recorded, 4), upper)
    if bands >= 3 and not image.has_alpha:  # Nothing is blended with a fourth band.
        upper = wanted[..., :3] if kept is NOISE else wanted[..., :3] >> 8
        np.testing.assert_array_equal(convert_channels(recorded, 3), upper)


@pytest.mark.parametrize("kept", [NOISE, DEEP], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colours_that_are_stored_multiplied_by_alpha_are_restored(kept, planar):
    white = np.iinfo(kept.dtype).max
    alpha = np.maximum(kept[..., 3:4], white // 2)
    stored = np.round(kept[..., :3] * (alpha / white)).astype(kept.dtype)
    data = tiff(np.dstack([stored, alpha]), planar, extrasamples=["assocalpha"])
    image = read_image(data, "a.tif")
    assert image.has_alpha
    np.testing.assert_allclose(image.pixels[..., :3].astype(int), kept[..., :3], atol=2)
    np.testing.assert_array_equal(image.pixels[..., 3:], alpha)


def test_grey_values_that_are_stored_multiplied_by_alpha_become_every_number_of_channels():
    alpha = np.maximum(NOISE[..., 1:2], 128)
    stored = np.dstack([np.minimum(NOISE[..., :1], alpha), alpha])
    data = tiff(stored, photometric="minisblack", extrasamples=["assocalpha"])
    check_stays_as_it_is(data)
    wanted = stored[..., 0] * 255.0 / alpha[..., 0]
    np.testing.assert_allclose(read_image(data, "a.tif").pixels[..., 0], wanted, atol=1)


@pytest.mark.parametrize("mode", sorted({mode for mode, _ in OPEN_INFO.values()}))
def test_every_mode_of_a_record_becomes_every_number_of_channels(mode, monkeypatch):
    """Records contain the bytes of files, so a record may have every mode of Pillow's files."""
    image = Image.new(mode, (3, 2))
    if mode == "PA":
        image.putpalette(bytes(768))
    monkeypatch.setattr(image_files, "open_image", lambda *_: image)
    if mode in ("F", "I"):
        assert "so white is unknown" in refusal(decode_image, b"", "a.tif")
        return
    for channels in (1, 3, 4):
        found = convert_channels(decode_image(b"", "a.tif"), channels)
        assert image_to_uint8(found).shape == (2, 3, channels)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (
            tiff(NOISE, extrasamples=[0, 0]),
            "has 5 bands, and it is unclear which of them are the colours; save",
        ),
        (tiff(DEEP, extrasamples=[0, 2]), "has 5 bands"),
        (tiff(NOISE, photometric="separated", extrasamples=[0]), "has 5 bands"),
        (tiff(NOISE[..., :2], photometric="minisblack", extrasamples=[0]), "has 2 bands"),
        (tiff(NOISE.astype(np.int8)[..., 0], photometric="minisblack"), "are signed or 32-bit"),
        (tiff(DEEP.astype(np.int16)[..., 0], photometric="minisblack"), "are signed or 32-bit"),
        (tiff(DEEP.astype(np.uint32)[..., :3]), "the pixels are signed or 32-bit integers"),
        (tiff(DEEP.astype(np.float32)[..., :3]), "the pixels are floats"),
        (tiff(DEEP[..., 0], photometric="miniswhite"), "stores white as 0"),
        (
            tiff(DEEP[..., :3], photometric="cielab"),
            "is a TIFF file of a kind that is not read (CIELAB, 16 bits a channel, compression "
            "NONE); save the image as PNG, or as TIFF with grey or RGB values of 8 or 16 bits",
        ),
        (
            tiff(DEEP[..., 0], photometric="palette", colormap=np.zeros((3, 65536), np.uint16)),
            "(PALETTE, 16 bits a channel, compression NONE)",
        ),
        (
            tiff(NOISE[..., 0], photometric="miniswhite", byteorder=">", bigtiff=True),
            "(MINISWHITE, 8 bits a channel, compression NONE, big-endian)",
        ),
        (
            tiff(
                NOISE[..., 0],
                photometric="palette",
                colormap=COLOURS,
                compression="packbits",
                predictor=2,
            ),
            "(PALETTE, 8 bits a channel, compression PACKBITS with a predictor)",
        ),
        (tiff(NOISE[..., :3] > 127), "(RGB, 1 bits a channel, compression NONE)"),
    ],
)
def test_a_tiff_of_other_numbers_or_bands_is_refused(data, reason):
    message = refusal(read_image, data, "odd.tif")
    assert message.startswith("odd.tif: ")
    assert reason in message


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_an_incomplete_tiff_is_refused(part, compression):
    data = tiff(DEEP[..., :3], compression=compression)
    refusal(read_image, data[: int(len(data) * part)], "a.tif")


@pytest.mark.parametrize("seed", range(30))
def test_a_damaged_tiff_is_read_or_refused(seed):
    """Bytes of the table of tags are changed, so numbers are missing, wrong, or many."""
    rng = np.random.default_rng(seed)
    data = tiff((NOISE, DEEP)[seed % 2][..., : 3 + seed % 3 // 2], planar="contig")
    num_read = 0
    for _ in range(30):
        broken = bytearray(data)
        for at in rng.integers(8, 300, 3):
            broken[at] = rng.integers(256)
        try:
            record_bytes(bytes(broken), read_image(bytes(broken), "a.tif"))
            num_read += 1
        except UsageError:
            pass
    assert 0 < num_read < 30


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_file_of_16_bits_is_turned_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    kept = DEEP[..., :3]
    wanted = read_image(encode(kept[..., 0], "PNG", exif=exif), "a.png").pixels[..., 0]
    data = tiff(kept, extratags=[(274, 3, 1, orientation, True)])
    np.testing.assert_array_equal(read_image(data, "a.tif").pixels[..., 0], wanted)
    shown = decode_image(encode(NOISE[..., 0], "PNG", exif=exif), "a.png")
    assert wanted.shape == shown.size[::-1]


def ppm(magic, largest, pixels):
    order = ">u2" if largest > 255 else "u1"
    height, width = pixels.shape[:2]
    header = f"{magic}\n# a comment\n{width} {height}\n{largest}\n".encode()
    return header + pixels.astype(order).tobytes()


@pytest.mark.parametrize("largest", [255, 15, 4095, 65535])
@pytest.mark.parametrize(("magic", "channels"), [("P5", 1), ("P6", 3)])
def test_the_largest_value_of_a_ppm_is_white(largest, magic, channels):
    pixels = RNG.integers(0, largest + 1, (5, 7, channels))
    data = ppm(magic, largest, pixels)
    image = read_image(data, "a.ppm")
    white = 255 if largest <= 255 else 65535
    np.testing.assert_allclose(image.pixels, pixels * (white / largest), atol=1)
    assert image.pixels.dtype == (np.uint8 if white == 255 else np.uint16)
    np.testing.assert_array_equal(read_record(data, image), to_8_bits(image))


def test_a_value_above_the_largest_of_a_ppm_is_white():
    pixels = np.full((2, 3, 3), 1500)
    for magic, channels in (("P5", 1), ("P6", 3)):
        image = read_image(ppm(magic, 1000, pixels[..., :channels]), "a.ppm")
        assert (image.pixels == 65535).all()


@pytest.mark.parametrize(
    ("kind", "modes"),
    [
        ("PNG", ["1", "L", "LA", "P", "RGB", "RGBA"]),
        ("BMP", ["1", "L", "P", "RGB", "RGBA"]),
        ("TIFF", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"]),
        ("PPM", ["1", "L", "RGB"]),
        ("WEBP", ["RGB", "RGBA"]),
        ("GIF", ["L", "P", "RGBA"]),
        ("JPEG", ["L", "RGB", "CMYK"]),
    ],
)
def test_the_record_of_a_common_file_has_the_bytes_of_the_file(kind, modes):
    for mode in modes:
        image = Image.fromarray(NOISE[..., :3]).convert(mode)
        check_stays_as_it_is(encode(image, kind))


def check_stays_as_it_is(data):
    found = read_image(data, "a")
    assert record_bytes(data, found) is data
    for channels in (1, 3, 4):
        np.testing.assert_array_equal(
            convert_channels(to_8_bits(found), channels),
            convert_channels(decode_image(data, "a"), channels),
        )


@pytest.mark.parametrize("colours", [1, 3])
def test_a_transparent_colour_of_16_bits_is_transparent(colours):
    kept = DEEP[..., :colours]
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in kept)
    size = struct.pack(">II", *kept.shape[1::-1])
    chunks = [
        (b"IHDR", size + bytes([16, 0 if colours == 1 else 2, 0, 0, 0])),
        (b"tRNS", kept[2, 3].astype(">u2").tobytes()),
        (b"IDAT", zlib.compress(raw)),
        (b"IEND", b""),
    ]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    image = read_image(data, "a.png")
    np.testing.assert_array_equal(image.pixels[..., :colours], kept)
    assert image.has_alpha
    assert image.pixels[2, 3, -1] == 0
    assert image.pixels[0, 0, -1] == 65535
    recorded = np.asarray(convert_channels(read_record(data, image), 3))
    assert recorded[2, 3].tolist() == [255] * 3


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("deep", [False, True])
def test_a_png_may_have_any_amount_of_text(compressed, deep, monkeypatch):
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_MEMORY", 1_000_000)
    text = PngImagePlugin.PngInfo()
    for number in range(3):
        text.add_itxt(f"prompt{number}", "x" * 500_000, zip=compressed)
    text.add_text("parameters", "y" * 500_000, zip=True)
    kept = DEEP[..., 0] if deep else NOISE[..., :3]
    data = encode(kept, "PNG", pnginfo=text)
    image = read_image(data, "a.png")
    np.testing.assert_array_equal(image.pixels.squeeze(), kept)
    assert record_bytes(data, image) is data


def test_an_orientation_in_a_text_of_a_png_is_kept():
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    text.add_text("prompt", "x" * 3_000_000, zip=True)
    assert read_image(encode(NOISE[..., :3], "PNG", pnginfo=text), "a.png").pixels.shape == (
        *(20, 12, 3),
    )


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_further_frames_are_noted(kind):
    frames = [Image.fromarray(np.roll(NOISE[..., :3], n, 0)) for n in range(3)]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    assert read_image(data, "a").notes == {"frames": "only the first of 3 frames is used"}


def test_pages_that_form_a_circle_are_counted_once():
    file = io.BytesIO()
    frames = [Image.fromarray(NOISE[number:, :, :3]) for number in range(3)]
    frames[0].save(file, "TIFF", save_all=True, append_images=frames[1:])
    with tifffile.TiffFile(io.BytesIO(file.getvalue())) as opened:
        first, last = opened.pages[0].offset, opened.pages[2].offset
        end = last + 2 + 12 * len(opened.pages[2].tags)
    data = bytearray(file.getvalue())
    data[end : end + 4] = struct.pack("<I", first)  # after the last page comes the first
    assert read_image(bytes(data), "a.tif").notes == {
        "frames": "only the first of 3 frames is used"
    }


def test_smaller_copies_of_an_image_are_not_counted_as_frames():
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(NOISE[..., :3], photometric="rgb")
        writer.write(NOISE[::2, ::2, :3], photometric="rgb", subfiletype=1)
    assert read_image(file.getvalue(), "a.tif").notes == {}


@pytest.mark.parametrize("is_part", [False, True])
@pytest.mark.parametrize("is_big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("kept", "options"),
    [
        (NOISE[..., :3], {"photometric": "rgb"}),
        (DEEP[..., :3], {"photometric": "rgb"}),
        (NOISE[..., 0], {"photometric": "miniswhite"}),
        (NOISE[..., :3], {"photometric": "ycbcr", "compression": "jpeg", "subsampling": (1, 1)}),
    ],
    ids=["8 bits", "16 bits", "white is 0", "JPEG"],
)
def test_the_image_of_a_file_that_begins_with_a_thumbnail_is_read(
    kept, options, order, is_big, is_part
):
    """The thumbnail is a page before the image, or the image is a part of the thumbnail's page."""
    if is_big and order == ">" and options["photometric"] != "rgb":
        return  # Such files are refused.
    alone, file = io.BytesIO(), io.BytesIO()
    tifffile.imwrite(alone, kept, **options, byteorder=order, bigtiff=is_big)
    with tifffile.TiffWriter(file, byteorder=order, bigtiff=is_big) as writer:
        thumbnail = np.ascontiguousarray(kept[::4, ::4])
        writer.write(thumbnail, **options, subfiletype=1, subifds=int(is_part))
        writer.write(kept, **options)
    data = file.getvalue()
    wanted, found = read_image(alone.getvalue(), "a.tif"), read_image(data, "a.tif")
    np.testing.assert_array_equal(found.pixels, wanted.pixels)
    assert found.notes == {}
    np.testing.assert_array_equal(read_record(data, found), to_8_bits(found))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("compression", ["lzw", "deflate", "packbits", "zstd", "lzma"])
def test_the_predictor_of_every_compression_is_undone(bits, compression):
    kept = (NOISE if bits == 8 else DEEP)[..., :3]
    data = tiff(kept, compression=compression, predictor=2)
    image = read_image(data, "a.tif")
    np.testing.assert_array_equal(image.pixels, kept)
    np.testing.assert_array_equal(read_record(data, image), to_8_bits(image))


@pytest.mark.parametrize("kept", [NOISE, DEEP], ids=["8 bits", "16 bits"])
def test_the_predictor_of_an_uncompressed_file_is_ignored_as_by_other_programs(kept):
    data = tiff(kept[..., :3], extratags=[(317, 3, 1, 2, True)])
    np.testing.assert_array_equal(read_image(data, "a.tif").pixels, kept[..., :3])


def test_only_parts_that_are_transparent_are_noted():
    opaque, clear = NOISE[..., :4].copy(), NOISE[..., :4].copy()
    opaque[..., 3], clear[0, 0, 3] = 255, 0
    assert read_image(encode(opaque, "PNG"), "a.png").notes == {}
    image = read_image(encode(clear, "PNG"), "a.png")
    assert image.notes == {
        "alpha": "transparent parts are filled with white, because the run does not have 4 channels"
    }
    assert image.notes_for(4) == {}


def test_the_halves_of_a_file_are_those_of_its_record():
    data = encode(NOISE[:, :19, :3], "PNG")
    halves = split_pair([read_image(data, "pair")], ["pair"])
    for half, wanted in zip(halves, decode_pair([data], ["pair"]), strict=True):
        np.testing.assert_array_equal(half.pixels, image_to_uint8(wanted))
    thin = read_image(encode(NOISE[:, :1, :3], "PNG"), "thin.png")
    assert refusal(split_pair, [thin], ["thin.png"]).startswith("thin.png: is only 1 pixel wide")


def test_records_of_encoded_files_keep_their_bytes():
    for suffix in (".png", ".tif"):
        data = cv2.imencode(suffix, DEEP[..., [2, 1, 0]])[1].tobytes()
        image = read_image(data, f"a{suffix}")
        np.testing.assert_array_equal(image.pixels, DEEP[..., :3])
        # Records of such files stay as they are, so a dataset that is written again is the same.
        assert record_bytes(data, image) is data
