"""Translations of files of every format: their values, size and depth, and error lines."""

import errno
import io
import os
import struct
from dataclasses import replace

import cv2
import jax
import numpy as np
import pytest
import tifffile
from helpers.command_line import jpeg, refused, run
from helpers.refusals import refusal
from PIL import Image

from pix2pix_jax.config import Config, Data, Loss, Model
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.data.images import full_depth, tiff_files
from pix2pix_jax.data.layout.own_images import MANIFEST
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.gan.random import stream_key
from pix2pix_jax.gan.state import create_state
from pix2pix_jax.inference import options as option_module
from pix2pix_jax.inference import outputs, translation_writer
from pix2pix_jax.inference.options import TranslateOptions
from pix2pix_jax.inference.outputs import OutputFolder
from pix2pix_jax.inference.translate import translate_files
from pix2pix_jax.inference.translator import Translator
from pix2pix_jax.interop.import_weights import write_run
from pix2pix_jax.reports.translation import PAGE
from pix2pix_jax.runs.workdir import Workdir


def make_run(workdir, **data):
    """A run whose generator has weights large enough to change an image visibly."""
    config = Config(
        data=Data(image_size=(32, 32), **data),
        model=Model(features=8, depth=3, discriminator="patch16", discriminator_features=4),
        loss=Loss(),
    )
    config = resolve(config)
    state = jax.device_get(create_state(config))
    params = jax.tree.map(lambda x: 4 * x if x.ndim == 4 else x, state.generator.params)
    state = state.replace(generator=state.generator.replace(params=params))
    write_run(Workdir(workdir), config, state)
    return config, params


@pytest.fixture(scope="module")
def colour(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("colour")
    return (workdir, *make_run(workdir))


def noise(height, width, channels=3, dtype=np.uint8, seed=0):
    rng = np.random.default_rng(seed)
    shape = (height, width, channels) if channels else (height, width)
    return rng.integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def translate(colour, source, output, **options):
    workdir, config, _ = colour
    return translate_files(
        config, Workdir(workdir), str(source), output, TranslateOptions(**options)
    )


def expected(colour, values, seed=0, sample=0):
    """The output [h, w, 3] of the network itself, in [-1, 1]; `values` must need no padding."""
    _, config, params = colour
    key = jax.random.fold_in(stream_key(replace(config, seed=seed), "translations"), sample)
    apply = jax.jit(make_generator(config).apply)
    return np.asarray(apply({"params": params}, values[None], key[None])[0])


def load_image(path):
    with Image.open(path) as image:
        return image.copy()


def as_bytes(values, white=255):
    return np.clip(np.round((values + 1) * white / 2), 0, white)


def test_an_image_is_translated_by_the_network(colour, tmp_path):
    pixels = noise(32, 40)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert translate(colour, tmp_path / "a.png", tmp_path / "out") == 0
    found = np.asarray(load_image(tmp_path / "out" / "a.png"))
    wanted = as_bytes(expected(colour, pixels / np.float32(127.5) - 1))
    assert wanted.std() > 20
    assert np.abs(found - wanted).max() <= 1
    assert "before" in (tmp_path / "out" / PAGE).read_text()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.png", PAGE, MANIFEST}


def test_sides_that_cannot_be_halved_are_padded_and_cropped_back(colour, tmp_path):
    pixels = noise(31, 43)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert translate(colour, tmp_path / "a.png", tmp_path / "out") == 0
    found = np.asarray(load_image(tmp_path / "out" / "a.png"))
    mirrored = np.pad(pixels, [(0, 1), (2, 3), (0, 0)], "reflect") / np.float32(127.5) - 1
    wanted = as_bytes(expected(colour, mirrored))[0:31, 2:45]
    assert np.abs(found - wanted).max() <= 1


def test_a_translation_does_not_depend_on_other_images(colour, tmp_path):
    for index in range(8):
        values = noise(32, 32, seed=index).astype(np.float32) / 127.5 - 1
        for folder in ("all", *(["one"] if index == 5 else [])):
            (tmp_path / folder).mkdir(exist_ok=True)
            np.save(tmp_path / folder / f"{index}.npy", values)
    for folder in ("all", "one"):
        assert translate(colour, tmp_path / folder, tmp_path / f"{folder}_out") == 0
    alone, among = (np.load(tmp_path / f"{folder}_out" / "5.npy") for folder in ("one", "all"))
    assert alone.dtype == np.float32
    np.testing.assert_allclose(alone, among, atol=1e-5)
    others = [np.load(tmp_path / "all_out" / f"{index}.npy") for index in (0, 1)]
    assert np.abs(others[0] - others[1]).max() > 0.1


def encode(pixels, kind, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def with_cv2(pixels, suffix):
    order = [2, 1, 0, 3][: pixels.shape[-1]]
    return cv2.imencode(suffix, pixels[..., order])[1].tobytes()


def tiff(pixels, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


RGB, DEEP = noise(24, 40), noise(24, 40, dtype=np.uint16)
CLEAR = np.dstack([RGB, np.full((24, 40), 255, np.uint8)])
DEEP_CLEAR = np.dstack([DEEP, np.full((24, 40), 65535, np.uint16)])
# The bytes of each file, and the image that the file shows.
FILES = {
    "png": (encode(RGB, "PNG"), RGB),
    "webp": (encode(RGB, "WebP", lossless=True), RGB),
    "bmp": (encode(RGB, "BMP"), RGB),
    "tif": (encode(RGB, "TIFF"), RGB),
    "jpg": (jpeg(40, 24), np.asarray(Image.open(io.BytesIO(jpeg(40, 24))))),
    "grey.png": (encode(RGB[..., 0], "PNG"), np.dstack([RGB[..., 0]] * 3)),
    "deep.png": (with_cv2(DEEP, ".png"), DEEP),
    "deep.tif": (with_cv2(DEEP, ".tif"), DEEP),
    "planar.tif": (tiff(np.moveaxis(DEEP, -1, 0), photometric="rgb"), DEEP),
    "deep_grey.png": (encode(DEEP[..., 0], "PNG"), np.dstack([DEEP[..., 0]] * 3)),
    "opaque.png": (encode(CLEAR, "PNG"), RGB),
    "deep_opaque.png": (with_cv2(DEEP_CLEAR, ".png"), DEEP),
    "deep_opaque.tif": (with_cv2(DEEP_CLEAR, ".tif"), DEEP),
    "deep_clear.png": (
        with_cv2(np.dstack([DEEP, 0 * DEEP[..., 0]]), ".png"),
        np.full_like(DEEP, 65535),
    ),
    "clear.png": (encode(np.dstack([RGB, 0 * RGB[..., 0]]), "PNG"), np.full_like(RGB, 255)),
}


@pytest.mark.parametrize("name", FILES)
def test_the_translation_of_every_format_keeps_size_and_bit_depth(colour, tmp_path, name, capsys):
    content, pixels = FILES[name]
    (tmp_path / name.replace("deep.", "d.")).write_bytes(content)
    source = tmp_path / name.replace("deep.", "d.")
    if "." not in name:
        source = source.rename(tmp_path / f"a.{name}")
    assert translate(colour, source, tmp_path / "out") == 0
    [path] = (tmp_path / "out").glob("*.png")
    assert path.stem == source.stem
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert (found.dtype, found.shape) == (pixels.dtype, pixels.shape)
    white = np.iinfo(pixels.dtype).max
    wanted = as_bytes(expected(colour, pixels / np.float32(white / 2) - 1), white)
    assert np.abs(found - wanted).max() <= max(1, white // 10_000)
    out = capsys.readouterr().out
    assert ("transparent parts are filled with white" in out) == ("clear" in name)


def with_tag(content, tag, value):
    """Changes the value of a tag, a 16-bit number, in the bytes of a TIFF file."""
    offset = int.from_bytes(content[4:8], "little") + 2
    while int.from_bytes(content[offset : offset + 2], "little") != tag:
        offset += 12
    return content[: offset + 8] + struct.pack("<H", value) + content[offset + 10 :]


ODD = {
    "twelve.tif": (with_tag(tiff(DEEP[..., 0]), 258, 12), "has 12 bits a channel"),
    "negative.tif": (tiff(DEEP[..., 0], photometric="miniswhite"), "stores white as 0"),
    "five.tif": (tiff(np.dstack([DEEP, DEEP[..., :2]]), photometric="rgb"), "has 5 bands"),
}


def test_unsupported_images_of_16_bits_are_refused(colour, tmp_path, capsys):
    (tmp_path / "plain.tif").write_bytes(tiff(DEEP[..., 0]))
    for name, (content, _) in ODD.items():
        (tmp_path / name).write_bytes(content)
    assert translate(colour, tmp_path, tmp_path / "out") == 2
    lines = capsys.readouterr().err.splitlines()
    for name, (_, reason) in ODD.items():
        [line] = [line for line in lines if line.startswith(f"{tmp_path}/{name}: ")]
        assert reason in line
    found = cv2.imread(str(tmp_path / "out" / "plain.png"), cv2.IMREAD_UNCHANGED)
    wanted = as_bytes(
        expected(colour, np.dstack([DEEP[..., 0]] * 3) / np.float32(65535 / 2) - 1), 65535
    )
    assert np.abs(found[..., ::-1] - wanted).max() <= 6


def test_every_error_of_a_decoder_is_reported(colour, tmp_path, capsys):
    """The second image of a TIFF is damaged; Pillow reads all images of a TIFF to count them."""
    frames = [Image.fromarray(RGB), Image.fromarray(RGB)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    content = (tmp_path / "a.tif").read_bytes()
    rng = np.random.default_rng(0)
    for index in range(40):
        broken = bytearray(content)
        for at in rng.integers(len(content) // 2, len(content), 30):
            broken[at] = rng.integers(256)
        (tmp_path / f"b{index}.tif").write_bytes(broken)
    assert translate(colour, tmp_path, tmp_path / "out") in (0, 2)
    capsys.readouterr()
    assert (tmp_path / "out" / "a.png").exists()


def test_rotated_cmyk_palette_and_animated_images_keep_their_upright_size(colour, tmp_path, capsys):
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "turned.jpg").write_bytes(encode(RGB, "JPEG", exif=exif))
    deep = Image.fromarray(DEEP[..., 0])
    deep.save(tmp_path / "turned16.png", exif=exif)
    deep.save(tmp_path / "turned16_.tif", exif=exif)
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "cmyk.jpg")
    Image.fromarray(RGB).convert("P").save(tmp_path / "palette.png")
    frames = [Image.fromarray(noise(24, 40, seed=seed)) for seed in (1, 2)]
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:])
    assert translate(colour, tmp_path, tmp_path / "out") == 0
    sizes = {path.stem: load_image(path).size for path in (tmp_path / "out").glob("*.png")}
    assert sizes == {
        "turned": (24, 40),
        "turned16": (24, 40),
        "turned16_": (24, 40),
        "cmyk": (40, 24),
        "palette": (40, 24),
        "moving": (40, 24),
    }
    assert (
        "in 1 of 6 images, only the first of 2 frames is used (moving.webp)"
        in capsys.readouterr().out
    )
    png, tif = (
        cv2.imread(str(tmp_path / "out" / f"{name}.png"), cv2.IMREAD_UNCHANGED)[..., ::-1]
        for name in ("turned16", "turned16_")
    )
    np.testing.assert_array_equal(png, tif)
    upright = np.dstack([np.rot90(DEEP[..., 0], -1)] * 3) / np.float32(65535 / 2) - 1
    assert np.abs(png - as_bytes(expected(colour, upright), 65535)).max() <= 6


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((8, 8, 3), np.float32) + 2, "has values outside [-1, 1]"),
        (np.full((8, 8, 3), np.nan, np.float32), "has values that are infinite or NaN"),
        (np.zeros((8, 8, 3), np.int64), "the array has the type int64"),
        (np.zeros((8, 8, 2), np.uint8), "has 2 channels, but the run was trained on 3"),
        (np.zeros((3,), np.uint8), "the array has the shape (3,)"),
        (np.zeros((0, 8), np.uint8), "the array has the shape (0, 8)"),
        (np.array([{}]), "cannot be read as an array"),
    ],
)
def test_arrays_that_are_not_images_are_refused(colour, tmp_path, array, reason, capsys):
    np.save(tmp_path / "a.npy", array)
    assert translate(colour, tmp_path / "a.npy", tmp_path / "out") == 2
    assert reason in capsys.readouterr().err


def test_a_file_with_several_arrays_is_refused(colour, tmp_path, capsys):
    np.savez(tmp_path / "a.npz", np.zeros((8, 8, 3)), np.zeros((8, 8, 3)))
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    assert translate(colour, tmp_path / "a.npy", tmp_path / "out") == 2
    assert "a.npy: contains several arrays; save each" in capsys.readouterr().err


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float16])
def test_an_array_is_translated_to_an_array_and_an_image(colour, tmp_path, dtype):
    floats = np.issubdtype(dtype, np.floating)
    array = (noise(16, 16) / 127.5 - 1).astype(dtype) if floats else noise(16, 16, dtype=dtype)
    np.save(tmp_path / "a.npy", array)
    assert translate(colour, tmp_path / "a.npy", tmp_path / "out") == 0
    found = np.load(tmp_path / "out" / "a.npy")
    image = cv2.imread(str(tmp_path / "out" / "a.png"), cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert (found.dtype, found.shape) == (dtype, array.shape)
    assert image.dtype == (np.uint8 if floats else dtype)
    shown = as_bytes(found.astype(np.float64)) if floats else found
    assert np.abs(image.astype(int) - shown).max() <= (1 if dtype == np.float16 else 0)


def test_floats_without_negative_values_print_a_note(colour, tmp_path, capsys):
    for name, least in (("dark", -0.1), ("light", 0)):
        np.save(tmp_path / f"{name}.npy", np.linspace(least, 1, 192, dtype=np.float32))
        values = np.load(tmp_path / f"{name}.npy").reshape(8, 8, 3)
        np.save(tmp_path / f"{name}.npy", values)
    assert translate(colour, tmp_path, tmp_path / "out") == 0
    out = capsys.readouterr().out
    assert "in 1 of 2 images, all values are 0 or more" in out
    assert "dark.npy: " not in out


def test_no_page_is_written_without_translations(colour, tmp_path, capsys):
    (tmp_path / "a.png").touch()
    (tmp_path / "b.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "c.png").symlink_to(tmp_path / "c.png")
    assert translate(colour, tmp_path, tmp_path / "out") == 2
    out, err = capsys.readouterr()
    assert PAGE not in out
    assert f"{tmp_path}/b.png: cannot be read (No such file or directory); make the file" in err
    assert f"{tmp_path}/c.png: cannot be read (Too many levels of symbolic links)" in err
    assert "all 3 files could not be translated" in err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {MANIFEST}


def test_the_line_about_a_single_file_that_fails_has_no_count(colour, tmp_path, capsys):
    (tmp_path / "a.png").touch()
    assert translate(colour, tmp_path / "a.png", tmp_path / "out") == 2
    assert (
        "\nthe only file could not be translated; see the lines above\n" in capsys.readouterr().err
    )


def test_the_page_shows_samples_and_failures(colour, tmp_path):
    (tmp_path / "<b>.png").touch()
    Image.fromarray(RGB).save(tmp_path / "a.png")
    assert translate(colour, tmp_path, tmp_path / "out", samples=2) == 2
    page = (tmp_path / "out" / PAGE).read_text()
    assert [page.count(f"<span>{kind}</span>") for kind in ("before", "sample 1", "sample 2")] == [
        1,
        1,
        1,
    ]
    assert "Not translated: 1" in page
    assert "&lt;b&gt;.png: cannot be read" in page


def test_the_page_of_a_stopped_command_shows_the_finished_translations(
    colour, tmp_path, monkeypatch
):
    for index in range(3):
        Image.fromarray(noise(8, 8 * index + 8)).save(tmp_path / f"{index}.png")
    write, written = OutputFolder.write, []

    def write_first_only(*arguments):
        if written:
            raise SystemExit(130)
        written.append(write(*arguments))

    monkeypatch.setattr(OutputFolder, "write", write_first_only)
    with pytest.raises(SystemExit):
        translate(colour, tmp_path, tmp_path / "out")
    page = (tmp_path / "out" / PAGE).read_text()
    assert page.count("<figure") == 1
    assert "The command stopped after 1 of 3 images." in page


def test_unreadable_files_are_named_and_all_other_files_are_translated(colour, tmp_path, capsys):
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("hello")
    (folder / "cut.jpg").write_bytes(jpeg()[:400])
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(b"")
    for name in ("a.jpg", "sub/b ü\n.jpg"):
        (folder / name).write_bytes(jpeg(16, 24))
    assert translate(colour, folder, tmp_path / "out") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    for name in ("empty.png", "text.png", "cut.jpg"):
        assert sum(f"{folder}/{name}: cannot be read" in line for line in lines) == 1
    assert "3 of 5 files could not be translated" in lines[-1]
    outputs = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.png")}
    assert outputs == {"a.png", "sub/b ü\n.png"}


def test_names_that_are_not_utf8_are_reported(colour, tmp_path, capsys):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    Image.fromarray(RGB).save(os.fsdecode(bytes(tmp_path) + b"/\xff.png"))
    for _ in range(2):
        assert translate(colour, tmp_path, tmp_path / "out") == 2
        err = capsys.readouterr().err
        assert "\\udcff.png: has a path that is not UTF-8; rename the file or its folder" in err
    assert (tmp_path / "out" / "a.png").exists()


def test_the_error_for_an_output_that_cannot_be_written_names_the_file(colour, tmp_path, capsys):
    for name in ("a", "b"):
        Image.fromarray(RGB).save(tmp_path / f"{name}.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").mkdir()
    (tmp_path / "out" / MANIFEST).write_bytes(b'"a.png"\n\xff\n')
    assert translate(colour, tmp_path / "?.png", tmp_path / "out") == 2
    assert f"{tmp_path}/out/a.png: cannot be written (Is a directory)" in capsys.readouterr().err
    assert (tmp_path / "out" / "b.png").is_file()


def test_an_error_of_the_manifest_has_a_fix(tmp_path, monkeypatch):
    class Broken(io.BytesIO):
        def write(self, _):
            raise OSError(errno.EINVAL, "Invalid argument")

    with OutputFolder(tmp_path) as folder, monkeypatch.context() as broken:
        broken.setattr(folder, "_file", Broken())
        assert "; make the file writable, then run" in refusal(folder.add_to_manifest, "a.png")


def test_a_full_disk_stops_the_command_with_one_line(colour, tmp_path, monkeypatch):
    for index in range(3):
        Image.fromarray(noise(8, 8 * index + 8)).save(tmp_path / f"{index}.png")
    encode, count = outputs.encode_pixels, []

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    def fills(*arguments):
        count.append(arguments)
        return encode(*arguments) if len(count) == 1 else full()

    monkeypatch.setattr(outputs, "encode_pixels", fills)
    monkeypatch.setattr(translation_writer, "write_translation_page", full)
    message = refusal(lambda: translate(colour, tmp_path, tmp_path / "out"))
    reason = "cannot be written (No space left on device); make room on the disk, then run"
    assert f"{tmp_path}/out/1.png: {reason}" in message
    assert len(count) == 2


def test_files_that_translate_did_not_write_are_never_replaced(colour, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "in" / name).write_bytes(jpeg(8, 8))
    out = tmp_path / "out"
    assert translate(colour, tmp_path / "in" / "a.jpg", out) == 0
    assert translate(colour, tmp_path / "in" / "a.jpg", out) == 0  # replaces its own earlier file
    for name, options in (
        ("b.png", {}),
        ("a_sample2.png", {"samples": 2}),
    ):
        (out / name).write_bytes(b"another program's")
        message = refusal(
            lambda options=options: translate(colour, tmp_path / "in", out, **options)
        )
        assert f"{name} exists and was not written by translate" in message
        assert (out / name).read_bytes() == b"another program's"
        (out / name).unlink()
    # A name that this command could have written, but did not, is not replaced either.
    (tmp_path / "in" / "c.jpg").touch()
    assert translate(colour, tmp_path / "in", out) == 2
    for name in ("c.png", "a.npy"):
        (out / name).write_bytes(b"another program's")
        message = refusal(lambda: translate(colour, tmp_path / "in", out))
        assert f"{name} exists and was not written by translate" in message
        (out / name).unlink()
    (tmp_path / "in" / "c.jpg").unlink()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / PAGE).write_text("another page")
    message = refusal(lambda: translate(colour, tmp_path / "in", tmp_path / "other"))
    assert f"{PAGE} exists and was not written by translate" in message
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "sub").symlink_to(tmp_path / "other")
    (tmp_path / "in" / "sub").mkdir()
    (tmp_path / "in" / "sub" / "c.jpg").write_bytes(jpeg(8, 8))
    message = refusal(lambda: translate(colour, tmp_path / "in", tmp_path / "linked"))
    assert "leads out of the output folder" in message


def test_decoders_that_start_programs_are_not_used(colour, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")
    assert translate(colour, tmp_path / "a.png", tmp_path / "out") == 2
    assert "a.png: is a PostScript document; convert it to PNG or JPEG" in capsys.readouterr().err


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(colour, tmp_path, capsys):
    Image.new("1", (20_000, 10_000)).save(tmp_path / "a.png")
    assert translate(colour, tmp_path / "a.png", tmp_path / "out") == 2
    assert "has 20000x10000 pixels, but an image may have at most" in capsys.readouterr().err


def test_dropout_depends_on_seed_and_sample_or_is_off(colour, tmp_path):
    pixels = noise(32, 32)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    values = pixels / np.float32(127.5) - 1

    def outputs(name, **options):
        assert translate(colour, tmp_path / "a.png", tmp_path / name, **options) == 0
        return {p.stem: np.asarray(load_image(p), int) for p in (tmp_path / name).glob("*.png")}

    drawn = outputs("drawn", samples=3, seed=5)
    assert sorted(drawn) == ["a_sample1", "a_sample2", "a_sample3"]
    for index in range(3):
        wanted = as_bytes(expected(colour, values, 5, index))
        assert np.abs(drawn[f"a_sample{index + 1}"] - wanted).max() <= 1
    assert np.abs(drawn["a_sample1"] - drawn["a_sample2"]).max() > 10
    np.testing.assert_array_equal(outputs("again", seed=5)["a"], drawn["a_sample1"])
    without_dropout = outputs("without", use_dropout=False, seed=5)["a"]
    np.testing.assert_array_equal(without_dropout, outputs("again2", use_dropout=False)["a"])
    _, config, params = colour
    plain = jax.jit(make_generator(config).apply)({"params": params}, values[None])[0]
    assert np.abs(without_dropout - as_bytes(np.asarray(plain))).max() <= 1
    assert "all samples are equal" in refusal(
        lambda: translate(colour, tmp_path / "a.png", tmp_path / "x", samples=2, use_dropout=False)
    )


def test_images_are_converted_to_the_channels_of_the_run(tmp_path):
    workdir = tmp_path / "run"
    config, _ = make_run(workdir, input_channels=1, target_channels=4)
    Image.fromarray(RGB).save(tmp_path / "a.png")
    Image.fromarray(RGB).convert("L").save(tmp_path / "b.png")
    cv2.imwrite(str(tmp_path / "c.png"), DEEP[..., ::-1])
    assert (
        translate_files(
            config, Workdir(workdir), str(tmp_path / "*.png"), tmp_path / "out", TranslateOptions()
        )
        == 0
    )
    images = {path.stem: load_image(path) for path in (tmp_path / "out").glob("*.png")}
    assert images["a"].mode == images["b"].mode == "RGBA"
    assert cv2.imread(str(tmp_path / "out" / "c.png"), -1).shape == (24, 40, 4)
    difference = np.asarray(images["a"], int) - np.asarray(images["b"], int)
    assert np.abs(difference).max() <= 8  # Pillow rounds the grey


def test_a_run_with_2_input_channels_translates_arrays(tmp_path):
    workdir = tmp_path / "run"
    config, _ = make_run(workdir, input_channels=2, target_channels=5)
    np.save(tmp_path / "a.npy", noise(16, 16, 2))
    Image.fromarray(RGB).save(tmp_path / "b.png")
    assert (
        translate_files(
            config, Workdir(workdir), str(tmp_path / "a.npy"), tmp_path / "out", TranslateOptions()
        )
        == 0
    )
    assert np.load(tmp_path / "out" / "a.npy").shape == (16, 16, 5)
    assert not (tmp_path / "out" / "a.png").exists()
    assert (
        translate_files(
            config, Workdir(workdir), str(tmp_path / "b.png"), tmp_path / "out", TranslateOptions()
        )
        == 2
    )


def test_a_large_image_is_translated_by_tiles_without_seams(colour, tmp_path):
    y, x = np.mgrid[:90, :130] / 20
    smooth = np.stack([np.sin(x), np.cos(y), np.sin(x + y)], -1).astype(np.float32)
    np.save(tmp_path / "a.npy", smooth)
    for name, tile in (("whole", None), ("tiles", 64)):
        assert (
            translate(colour, tmp_path / "a.npy", tmp_path / name, tile=tile, use_dropout=False)
            == 0
        )
    whole, tiles = (np.load(tmp_path / name / "a.npy") for name in ("whole", "tiles"))
    assert whole.shape == tiles.shape == (90, 130, 3)
    for axis in (0, 1):  # No edge of a tile shows as a jump between two lines of pixels.
        jumps = [np.abs(np.diff(y, axis=axis)).mean((1 - axis, 2)) for y in (whole, tiles)]
        assert jumps[1].max() < 1.5 * jumps[0].max()
    assert "give --tile=64" in refusal(
        lambda: translate(colour, tmp_path / "a.npy", tmp_path / "x", tile=60)
    )


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_an_image_too_large_for_memory_is_translated_by_tiles(
    colour, tmp_path, capsys, monkeypatch, suffix
):
    source = tmp_path / f"a{suffix}"
    Image.fromarray(noise(90, 130)).save(source)
    assert translate(colour, source, tmp_path / "small", tile=64) == 0
    for module in (option_module, full_depth, tiff_files):
        monkeypatch.setattr(module, "MAX_PIXELS", 10_000)
    assert translate(colour, source, tmp_path / "large", tile=64) == 0
    small, large = (load_image(tmp_path / name / "a.png") for name in ("small", "large"))
    np.testing.assert_array_equal(small, large)
    capsys.readouterr()
    assert translate(colour, source, tmp_path / "refused") == 2
    assert "at most 10,000; give --tile=32 to translate tiles" in capsys.readouterr().err
    monkeypatch.setattr(option_module, "MAX_PIXELS_OF_TILED", 11_000)
    assert translate(colour, source, tmp_path / "refused", tile=64) == 2
    assert "at most 11,000; give --max_megapixels" in capsys.readouterr().err
    assert translate(colour, source, tmp_path / "raised", tile=64, max_megapixels=1) == 0
    assert translate(colour, source, tmp_path / "whole", max_megapixels=1) == 0


def test_images_can_be_resized_to_the_size_of_training_and_back(colour, tmp_path):
    y, x = np.mgrid[:64, :96] / 40
    smooth = np.stack([np.sin(x), np.cos(y), np.sin(x + y)], -1).astype(np.float32)
    np.save(tmp_path / "a.npy", smooth)
    assert translate(colour, tmp_path / "a.npy", tmp_path / "out", resize=True) == 0

    def at(image, *size):  # resizes with Pillow, channel by channel
        channels = (Image.fromarray(image[..., n]).resize(size, 3) for n in range(3))
        return np.clip(np.stack(list(map(np.asarray, channels)), -1), -1, 1)

    wanted = at(expected(colour, at(smooth, 32, 32)), 96, 64)
    assert wanted.std() > 0.1
    np.testing.assert_allclose(np.load(tmp_path / "out" / "a.npy"), wanted, atol=1e-5)
    message = refusal(lambda: translate(colour, tmp_path / "a.npy", tmp_path, resize=True, tile=64))
    assert message == "--tile, --resize: cannot be given together; leave one of them out"


def test_the_warning_about_another_size_comes_before_the_first_translation(
    colour, tmp_path, capsys, monkeypatch
):
    for name, size in (("a", (32, 32)), ("b", (40, 32)), ("c", (48, 32))):
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
    translated = []

    def note_translation(self, images, sample):
        translated.append(capsys.readouterr().out)
        return images

    monkeypatch.setattr(Translator, "translate", note_translation)
    assert translate(colour, tmp_path / "a.png", tmp_path / "out") == 0
    assert translate(colour, tmp_path / "b.png", tmp_path / "out", resize=True) == 0
    assert translate(colour, tmp_path / "b.png", tmp_path / "out", tile=32) == 0
    assert "WARNING" not in "".join(translated) + capsys.readouterr().out
    translated.clear()
    assert translate(colour, tmp_path / "[abc].png", tmp_path / "out") == 0
    _, warning = translated[0].splitlines()
    assert warning == (
        f"WARNING: {tmp_path}/b.png has 40x32 pixels (width x height), but the generator was "
        "trained with 32x32; if the results are poor, give --resize, or --tile=32 to translate "
        "tiles"
    )
    later = "".join(translated[1:]) + capsys.readouterr().out
    first, second = later.splitlines()
    assert first.startswith("WARNING: 2 of 3 images had another size than in training")
    assert second.startswith("3 images in ")


def test_translate_runs_from_the_command_line(colour, tmp_path):
    workdir, *_ = colour
    (tmp_path / "a.jpg").write_bytes(jpeg(16, 24))
    where = (f"--workdir={workdir}", f"--input={tmp_path}", f"--output={tmp_path / 'out'}")
    status, out, err = run("translate", *where, "--seed=3", "--samples=2", "--tile=8", fork=False)
    assert (status, err) == (0, "")
    assert "1 image in" in out
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {
        "a_sample1.png",
        "a_sample2.png",
    }
    refused("--input: is missing", "translate", where[0])
    refused("config.json: not found", "translate", f"--workdir={tmp_path}", *where[1:])
    refused("model.features", "translate", *where, "--config.model.features=9")
    refused("no checkpoint 7", "translate", *where, "--step=7")


def test_max_images_translates_the_first_images_and_says_of_how_many(colour, tmp_path):
    workdir, _, _ = colour
    (tmp_path / "images").mkdir()
    for name in ("d", "a", "c", "b"):
        Image.fromarray(noise(32, 32)).save(tmp_path / "images" / f"{name}.png")
    for limit, count, names in ((2, "2 of 4 images", "ab"), (9, "4 images", "abcd")):
        output = tmp_path / f"out{limit}"
        status, out, _ = run(
            "translate", f"--workdir={workdir}", f"--input={tmp_path}/images",
            f"--output={output}", f"--max_images={limit}",
        )  # fmt: skip
        assert status == 0
        assert f"translating {count} to {output} with step 0" in out
        assert sorted(path.stem for path in output.glob("*.png")) == list(names)
