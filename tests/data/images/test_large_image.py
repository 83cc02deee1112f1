"""Large images become floats part by part, with the values of a whole image; limits are kept."""

import io
import shutil

import numpy as np
import pytest
import tifffile
from helpers.refusals import refusal
from PIL import Image

from pix2pix_jax.data.images import full_depth, tiff_files
from pix2pix_jax.data.images.full_depth import encode_pixels, read_input_pixels
from pix2pix_jax.data.images.large_image import LargeImage
from pix2pix_jax.data.images.limits import PixelLimit

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (40, 30, 4), np.uint8)


def make_large(monkeypatch):
    for module in (full_depth, tiff_files):
        monkeypatch.setattr(module, "MAX_PIXELS", 1000)


@pytest.fixture
def large(monkeypatch):
    """Images of more than 1000 pixels count as large."""
    make_large(monkeypatch)


LAYOUTS = {
    "plain": {},
    "lzw": {"compression": "lzw"},
    "strips": {"compression": "deflate", "rowsperstrip": 7},
    "tiles": {"tile": (16, 16), "compression": "zstd"},
    "planes": {"planarconfig": "separate"},
    "turned": {"extratags": [(274, 3, 1, 6, True)]},
    "predictor": {"compression": "packbits", "predictor": 2},
}
BANDS = {  # the number of bands, and what they are
    "grey": (1, {"photometric": "minisblack"}),
    "rgb": (3, {"photometric": "rgb"}),
    "fourth band": (4, {"photometric": "rgb", "extrasamples": ["unspecified"]}),
    "multiplied": (4, {"photometric": "rgb", "extrasamples": ["assocalpha"]}),
    "grey alpha": (2, {"photometric": "minisblack", "extrasamples": ["unassalpha"]}),
    "grey multiplied": (2, {"photometric": "minisblack", "extrasamples": ["assocalpha"]}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("bands", BANDS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("is_big", [False, True])
def test_a_large_tiff_has_the_values_of_a_small_one(
    tmp_path, monkeypatch, layout, bands, dtype, order, is_big
):
    count, options = BANDS[bands]
    if layout == "planes" and count == 1:
        pytest.skip("one band has no planes")
    stored = NOISE[..., :count].astype(dtype)
    stored = stored if dtype == np.uint8 else stored * 257
    if layout == "planes":
        stored = np.moveaxis(stored, -1, 0)
    path = tmp_path / "a.tif"
    options = options | LAYOUTS[layout] | {"byteorder": order, "bigtiff": is_big}
    tifffile.imwrite(path, stored, **options)
    small = {channels: read_input_pixels(path, channels) for channels in (1, 3, 4)}
    make_large(monkeypatch)
    for channels, wanted in small.items():
        found = read_input_pixels(path, channels)
        assert isinstance(found.values, LargeImage)
        assert isinstance(found.values.image.pixels, np.memmap)
        assert (found.values.shape, found.notes) == (wanted.values.shape, wanted.notes)
        assert found.dtype == wanted.dtype == dtype
        for part in (slice(None), (slice(3, 9), slice(5, None))):
            part_found = np.asarray(found.values[part])
            np.testing.assert_allclose(part_found, wanted.values[part], atol=1e-6)


@pytest.mark.parametrize("bits", [2, 4])
def test_a_large_tiff_of_few_bits_has_the_values_of_a_small_one(tmp_path, monkeypatch, bits):
    levels = NOISE[..., 0] % (1 << bits)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, levels, photometric="minisblack", bitspersample=bits)
    wanted = levels / (2**bits - 1) * 2 - 1
    np.testing.assert_allclose(read_input_pixels(path, 1).values[..., 0], wanted, atol=1e-6)
    make_large(monkeypatch)
    found = np.asarray(read_input_pixels(path, 1).values)
    np.testing.assert_allclose(found[..., 0], wanted, atol=1e-6)


def test_further_pages_of_a_large_tiff_are_noted(tmp_path, large):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for _ in range(3):
            writer.write(NOISE[..., :3], photometric="rgb")
        writer.write(NOISE[::2, ::2, :3], photometric="rgb", subfiletype=1)
    found = read_input_pixels(tmp_path / "a.tif", 3)
    assert isinstance(found.values, LargeImage)
    assert found.notes == {"frames": "only the first of 3 frames is used"}


@pytest.mark.parametrize("is_part", [False, True])
def test_the_image_of_a_large_file_that_begins_with_a_thumbnail_is_read(tmp_path, large, is_part):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        thumbnail = np.ascontiguousarray(NOISE[::4, ::4, :3])
        writer.write(thumbnail, photometric="rgb", subfiletype=1, subifds=int(is_part))
        writer.write(NOISE[..., :3], photometric="rgb")
    found = read_input_pixels(tmp_path / "a.tif", 3)
    assert isinstance(found.values, LargeImage)
    np.testing.assert_array_equal(found.values.image.pixels, NOISE[..., :3])
    assert found.notes == {}


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_a_large_image_of_another_format_stays_integers(tmp_path, large, kind):
    path = tmp_path / "a.image"
    Image.fromarray(NOISE[..., :3]).save(path, kind)
    found = read_input_pixels(path, 3)
    np.testing.assert_array_equal(found.values.image.pixels, NOISE[..., :3])
    data = encode_pixels(found.values, found.dtype, ".png")
    np.testing.assert_array_equal(Image.open(io.BytesIO(data)), NOISE[..., :3])


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_an_image_above_the_limit_is_refused_with_the_fix(tmp_path, large, kind):
    Image.fromarray(NOISE[..., :3]).save(tmp_path / "a", kind)
    message = refusal(read_input_pixels, tmp_path / "a", 3, PixelLimit(1100, "give less"))
    assert message == (
        f"{tmp_path}/a: has 30x40 pixels, but an image may have at most 1,100; give less"
    )


@pytest.mark.parametrize("compression", [None, "lzw"])
def test_an_incomplete_large_tiff_is_refused(tmp_path, large, compression):
    tifffile.imwrite(tmp_path / "a.tif", NOISE[..., :3], photometric="rgb", compression=compression)
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(data[: len(data) // 2])
    assert refusal(read_input_pixels, tmp_path / "a.tif", 3).startswith(f"{tmp_path}/a.tif: ")


def test_a_temporary_file_that_does_not_fit_on_its_disk_is_refused(tmp_path, large, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    tifffile.imwrite(tmp_path / "a.tif", NOISE[..., :3], photometric="rgb", compression="lzw")
    assert "set TMPDIR to a folder on another disk" in refusal(
        read_input_pixels, tmp_path / "a.tif", 3
    )
