"""A run knows the form of its pairs, so only the input of each pair is translated."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.states import state_of
from PIL import Image

from pix2pix_jax.config import Config, Data, Model
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.inference.demo.demo import decode_input
from pix2pix_jax.inference.half_cutter import HalfCutter
from pix2pix_jax.inference.options import TranslateOptions, check_options, tile_flag
from pix2pix_jax.inference.translate import translate_files
from pix2pix_jax.interop.import_weights import write_run
from pix2pix_jax.runs.pairs import run_contents
from pix2pix_jax.runs.workdir import Workdir


@pytest.fixture(scope="module", params=["AtoB", "BtoA"])
def run(request, tmp_path_factory):
    """The workdir and the config of a run on drawn facades, which are side by side."""
    workdir = Workdir(tmp_path_factory.mktemp("run"))
    model = Model(features=8, depth=3, discriminator="patch16", discriminator_features=4)
    config = resolve(Config(data=Data(image_size=(32, 32), direction=request.param), model=model))
    write_run(workdir, config, state_of(config))
    return workdir, config


def write_images(folder):
    """Writes A, B, and A and B side by side; returns the arrays of A and B."""
    a, b = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    for name, pixels in (("A/1", a), ("B/1", b), ("pair", np.hstack([a, b]))):
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return a, b


def translate(run, source, output, **options):
    workdir, config = run
    assert translate_files(config, workdir, str(source), output, TranslateOptions(**options)) == 0
    return {
        str(path.relative_to(output)): np.asarray(Image.open(path))
        for path in sorted(output.rglob("*.png"))
    }


def test_a_side_by_side_pair_is_cut_to_the_input(run, tmp_path, capsys):
    write_images(tmp_path / "in")
    found = translate(run, tmp_path / "in", tmp_path / "out")
    side, half = ("A", "left") if run[1].data.direction == "AtoB" else ("B", "right")
    assert found.keys() == {f"{side}/1.png", "pair.png"}
    np.testing.assert_array_equal(found["pair.png"], found[f"{side}/1.png"])
    out = capsys.readouterr().out
    assert f"only its {half} half is translated" in out
    assert "in: skipped 1 image in folders " in out


def test_the_flag_decides_which_half_is_translated(run, tmp_path):
    write_images(tmp_path / "in")
    whole = translate(run, tmp_path / "in/pair.png", tmp_path / "none", half="none")
    assert whole["pair.png"].shape == (32, 64, 3)
    for side, half in (("A", "left"), ("B", "right")):
        [alone] = translate(run, tmp_path / "in" / side, tmp_path / side, half="none").values()
        cut = translate(run, tmp_path / "in/pair.png", tmp_path / half, half=half)
        np.testing.assert_array_equal(cut["pair.png"], alone)


def test_the_demo_cuts_an_upload_that_shows_a_pair(run, tmp_path):
    workdir, config = run
    a, b = write_images(tmp_path)
    cutter = HalfCutter(config.data, run_contents(workdir, config.data))
    body = (tmp_path / "pair.png").read_bytes()
    expected = a if config.data.direction == "AtoB" else b
    np.testing.assert_array_equal(np.asarray(decode_input(config, body, cutter)), expected)


def test_the_painted_canvas_is_never_cut(run, tmp_path):
    workdir, config = run
    contents = run_contents(workdir, config.data)
    sizes = replace(contents.sides["A"].sizes, proportions=[0.5])
    sides = {name: replace(side, sizes=sizes) for name, side in contents.sides.items()}
    cutter = HalfCutter(config.data, replace(contents, sides=sides))  # a pair is a square
    canvas, _ = write_images(tmp_path)
    body = (tmp_path / "A/1.png").read_bytes()
    np.testing.assert_array_equal(decode_input(config, body, cutter, True), canvas)
    assert not np.array_equal(decode_input(config, body, cutter), canvas)


def test_folders_have_no_meaning_for_a_run_with_the_form_halves(run, tmp_path):
    write_images(tmp_path / "in")
    _, config = run
    data = replace(config.data, name="folder", source="pairs", form="halves")
    workdir, halves = Workdir(tmp_path / "run"), replace(config, data=data)
    write_run(workdir, halves, state_of(halves))
    found = translate((workdir, halves), tmp_path / "in", tmp_path / "out")
    assert found.keys() == {"A/1.png", "B/1.png", "pair.png"}


@pytest.mark.parametrize("size", [(64, 64), (512, 512), (24, 40)])
def test_the_tile_size_in_the_advice_is_accepted(size):
    config = resolve(Config(data=Data(image_size=size)))
    name, side = tile_flag(config).split("=")
    assert (name, int(side) >= min(size)) == ("--tile", True)
    check_options(config, TranslateOptions(tile=int(side)))
    assert tile_flag(config) in TranslateOptions().pixel_limit(config).fix
