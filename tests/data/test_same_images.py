"""Every image file is the same image for `prepare` and for `translate`, or is refused by both.

The files are drawn: formats, kinds of pixels, bands, bits, compressions, orientations, and damage.
"""

import io
import warnings

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from pix2pix_jax.data.builders import read_pair
from pix2pix_jax.data.examples import decode_record
from pix2pix_jax.data.images.full_depth import read_input_pixels
from pix2pix_jax.data.images.pixels import convert_channels, image_to_float
from pix2pix_jax.data.layout.roles import PairFiles
from pix2pix_jax.data.layout.walk import Source
from pix2pix_jax.errors import UsageError

LEVEL = 2 / 255  # one of 255 levels between -1 and 1
PROFILES = [ImageCms.ImageCmsProfile(ImageCms.createProfile(name)) for name in ("sRGB", "LAB")]
PROFILE_BYTES = [None, b"damaged", *(profile.tobytes() for profile in PROFILES)]


@st.composite
def tiff_files(draw):
    """The bytes of a TIFF file that tifffile writes."""
    bands = draw(st.sampled_from([1, 2, 3, 4, 5]))
    dtype = draw(st.sampled_from(["u1", "u2", "i1", "i2", "u4", "f4"]))
    planar = draw(st.sampled_from(["contig", "separate"])) if bands > 1 else None
    kinds = ["minisblack", "rgb"] if bands >= 3 else ["minisblack", "miniswhite"]
    photometric = draw(st.sampled_from(kinds if bands != 2 else ["minisblack"]))
    extra = bands - (3 if photometric == "rgb" else 1)
    pixels = _draw_pixels(draw, bands, dtype)
    planes = np.moveaxis(pixels, -1, 0) if planar == "separate" else pixels
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        planes[..., 0] if bands == 1 else planes,
        photometric=photometric,
        planarconfig=planar,
        extrasamples=draw(st.lists(st.sampled_from([0, 1, 2]), min_size=extra, max_size=extra)),
        compression=draw(st.sampled_from([None, "lzw", "deflate", "zstd"])),
        byteorder=draw(st.sampled_from("<>")),
        rowsperstrip=draw(st.sampled_from([None, 3])),
        extratags=[(274, 3, 1, draw(st.integers(1, 8)), True)],
    )
    return file.getvalue()


@st.composite
def pillow_files(draw):
    """The bytes of an image file that Pillow writes."""
    mode = draw(st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"]))
    kind = draw(st.sampled_from(["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM"]))
    image = Image.fromarray(_draw_pixels(draw, 4, "u1")).convert("RGB").convert(mode)
    exif = Image.Exif()
    exif[0x0112] = draw(st.integers(0, 9))
    options = {
        "exif": exif,
        "icc_profile": draw(st.sampled_from(PROFILE_BYTES)),
        "save_all": draw(st.booleans()),
    }
    if options["save_all"]:
        options["append_images"] = [image]
    if kind == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_text("prompt", "x" * draw(st.sampled_from([1, 2_000_000])), zip=True)
    if mode in ("L", "P", "RGB") and kind in ("PNG", "GIF"):
        options["transparency"] = (1, 2, 3) if mode == "RGB" else 7
    file = io.BytesIO()
    try:
        image.save(file, kind, **options)
    except (OSError, ValueError, TypeError, KeyError):  # The format does not know the mode.
        return b""
    return file.getvalue()


@st.composite
def deep_files(draw):
    """The bytes of a 16-bit PNG or PPM file."""
    bands = draw(st.sampled_from([1, 3, 4]))
    pixels = _draw_pixels(draw, bands, "u2")
    if bands == 4 or draw(st.booleans()):
        return cv2.imencode(".png", pixels)[1].tobytes()
    largest = draw(st.sampled_from([256, 1023, 4095, 65535]))
    magic, values = "P5" if bands == 1 else "P6", np.minimum(pixels, largest).astype(">u2")
    return f"{magic} {pixels.shape[1]} {pixels.shape[0]} {largest}\n".encode() + values.tobytes()


def _draw_pixels(draw, bands, dtype):
    """Noise [h, w, bands]; the last band is sometimes full, as alpha often is."""
    height, width, seed = draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(0, 99))
    noise = np.random.default_rng(seed).integers(0, 65536, (height, width, bands))
    noise = noise.astype(dtype) if dtype != "u1" else (noise >> 8).astype("u1")
    if draw(st.booleans()) and dtype in ("u1", "u2"):
        noise[..., -1] = np.iinfo(dtype).max
    return noise


@st.composite
def damaged(draw, files):
    """The bytes of a file; sometimes cut off, or with other bytes in the middle."""
    data = bytearray(draw(files))
    damage = draw(st.sampled_from(["none", "none", "none", "end", "bytes"]))
    if damage == "end":
        del data[draw(st.integers(0, len(data))) :]
    if damage == "bytes" and data:
        for _ in range(4):
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


def read_both(path, channels):
    """The image of a file for `translate` and for training, as floats; or both error lines."""
    try:
        translated = read_input_pixels(path, channels)
    except UsageError as error:
        translated = str(error)
    source = Source(path.parent, str(path.parent))
    try:
        pair = read_pair(PairFiles("pair", (path, path)), source)
        record = {"name": b"pair", "files": pair.files}
        trained = [convert_channels(side, channels) for side in decode_record(record)]
        trained = [image_to_float(side) for side in trained]
    except UsageError as error:
        trained = str(error)
    return translated, trained


@pytest.mark.parametrize("files", [tiff_files(), pillow_files(), deep_files()])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_training_and_translate_see_the_same_image(tmp_path_factory, files, data):
    path = tmp_path_factory.mktemp("drawn") / "a.png"
    path.write_bytes(data.draw(damaged(files)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow and tifffile warn about damaged files.
        for channels in (1, 3, 4):
            translated, trained = read_both(path, channels)
            if isinstance(translated, str):
                assert translated == trained
                continue
            tolerance = 1e-6 if translated.dtype == np.uint8 else 2 * LEVEL
            for side in trained:
                np.testing.assert_allclose(side, translated.values, atol=tolerance)
