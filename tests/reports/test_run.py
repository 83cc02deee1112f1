"""The page of a run: its curves, samples and config."""

import errno
import html
import json
import os
import re
import shutil

import jax
import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image, ImageColor

from pix2pix_jax.config import Config, Train
from pix2pix_jax.reports.run import (
    SMOOTHING_WINDOW,
    draw_curve,
    metric_unit,
    smooth,
    write_run_page,
)
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.storage.files import atomic_file


@pytest.fixture
def plotted_lines(monkeypatch):
    """A list that collects the steps and values of every plotted line."""
    lines = []
    monkeypatch.setattr(Axes, "plot", lambda axes, *line, **style: lines.append(line))
    return lines


@pytest.mark.parametrize("count", [1, 2, 3, SMOOTHING_WINDOW, 50])
def test_the_smoothed_curve_of_a_ramp_is_the_ramp(count):
    """A moving average of past points alone would lag behind."""
    ramp = [(100 * i, 3.0 - 0.5 * i) for i in range(count)]
    np.testing.assert_allclose(smooth(ramp), ramp)


def test_points_on_a_line_stay_on_the_line_at_uneven_steps():
    steps = np.cumsum(np.random.default_rng(0).integers(1, 100, 40))
    smoothed = np.array(smooth([(step, 2.0 * step - 7) for step in steps.tolist()]))
    np.testing.assert_allclose(smoothed[:, 1], 2 * smoothed[:, 0] - 7)
    assert (np.diff(smoothed[:, 0]) > 0).all()


def test_a_jump_is_smoothed_equally_on_both_sides():
    """The smoothed curve is halfway at the jump itself, so it does not lag."""
    smoothed = smooth([(i, float(np.sign(i - 20))) for i in range(41)])
    values = np.array(smoothed)[:, 1]
    np.testing.assert_allclose(values, -values[::-1], atol=1e-12)
    assert values[20] == 0
    reach = SMOOTHING_WINDOW // 2
    assert set(values[: 20 - reach]) == {-1.0}
    assert set(values[21 + reach :]) == {1.0}


def test_smoothing_reduces_noise_by_the_root_of_the_window():
    noise = np.random.default_rng(0).standard_normal(5000)
    smoothed = np.array(smooth(list(enumerate(noise.tolist()))))[:, 1]
    np.testing.assert_allclose(smoothed.std(), SMOOTHING_WINDOW**-0.5, rtol=0.1)
    np.testing.assert_allclose(smoothed[100], noise[94:107].mean())
    assert (smoothed[0], smoothed[-1]) == (noise[0], noise[-1])


@pytest.mark.parametrize("name", ["loss/generator_l1", "gradient/generator", "images_per_second"])
def test_curves_of_training_are_smoothed(name, plotted_lines):
    draw_curve(name, [{"step": s, name: v} for s, v in enumerate((0.9, 0.1, 0.5), 1)])
    logged, smoothed = (list(values) for _, values in plotted_lines)
    assert logged == [0.9, 0.1, 0.5]
    assert smoothed == pytest.approx([0.9, 0.5, 0.5])


@pytest.mark.parametrize("name", ["validation/l1", "evaluation/psnr"])
def test_curves_of_validation_and_evaluation_are_not_smoothed(name, plotted_lines):
    draw_curve(name, [{"step": s, name: v} for s, v in enumerate((3, 1, 2), 1)])
    assert [list(values) for _, values in plotted_lines] == [[3, 1, 2]] * 2


def test_lines_that_lack_a_metric_are_left_out_of_its_curve(plotted_lines):
    lines = [
        {"step": 1, "loss/discriminator": 0.5, "validation/l1": 0.3},
        {"step": 2, "validation/l1": 0.2},
        {"step": 4, "loss/discriminator": 0.7},
    ]
    draw_curve("loss/discriminator", lines)
    assert plotted_lines == [((1, 4), (0.5, 0.7))] * 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [("evaluation/psnr", "dB"), ("evaluation/class_iou", "0 to 1"), ("logits/real", "logit"),
     ("validation/l1", "mean |difference|, 0 to 2"), ("images_per_second", "images / s"),
     ("loss/generator_l1", "mean |difference|, 0 to 2"),
     ("loss/discriminator", "mean over patches"), ("gradient/generator", "norm")],
)  # fmt: skip
def test_every_curve_has_its_unit(name, expected):
    assert metric_unit(name) == expected


def test_the_report_shows_curves_samples_and_config(tmp_path):
    workdir = Workdir(tmp_path / "<run> & co")
    workdir.samples_folder.mkdir(parents=True)
    lines = [{"step": s, "images_per_second": 2.0, "validation/l1": 1.0} for s in (1, 2, 3, 4)]
    lines[1]["loss/discriminator"] = 0.2
    workdir.metrics_file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for step in (2, 4, 6):  # the run was set back to step 4
        Image.new("RGB", (8, 8), "red").save(workdir.sample_file(step))
    write_run_page(workdir, Config(seed=7), 5)  # stopped after the last log line
    page = workdir.report_page.read_text()
    assert page.count("<svg") == 3  # two metrics and the speed
    assert "&lt;run&gt; &amp; co: step 5 of 80000" in page
    assert page.index("step_00000004.png") < page.index("step_00000002.png")
    assert "step_00000006.png" not in page
    assert '"seed": 7' in html.unescape(page)
    assert f"jax {jax.__version__}, " in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "")
    write_run_page(workdir, Config(seed=7), 5)
    assert workdir.report_page.read_text() == page


def test_the_report_forgets_the_samples_of_steps_that_are_repeated(tmp_path):
    """A run that resumed from an older step shows no picture of its former steps."""
    workdir = Workdir(tmp_path)
    workdir.samples_folder.mkdir(parents=True)
    for step in (4, 8):
        Image.new("RGB", (8, 8), "red").save(workdir.sample_file(step))
    for last in (8, 5):
        line = {"step": last, "validation/l1": 0.5}
        workdir.metrics_file.write_text(json.dumps(line) + "\n")
        write_run_page(workdir, Config(), last)
    assert list(workdir.report_samples_folder.iterdir()) == [workdir.report_sample_file(4)]
    assert workdir.sample_steps() == [4, 8]


def test_a_run_without_a_log_has_no_page_yet(tmp_path):
    write_run_page(Workdir(tmp_path), Config(), 1)
    assert not Workdir(tmp_path).report_page.exists()


def test_a_page_without_samples_says_when_they_are_drawn(tmp_path):
    workdir = Workdir(tmp_path)
    workdir.metrics_file.write_text('{"step": 350, "validation/l1": 0.5}\n')
    write_run_page(workdir, Config(train=Train(sample_every=500)), 390)
    page = workdir.report_page.read_text()
    assert f"{tmp_path.name}: step 390 of 80000" in page
    assert "There are no samples yet. The run draws them every 500 steps" in page
    assert "pairs above" not in page


def linked_pictures(page):
    """The files of the pictures that a page shows."""
    links = re.findall(r'<img[^>]* src="([^"]+)"', page.read_text())
    return [page.parent / html.unescape(link) for link in links]


@pytest.mark.parametrize("has_links", [True, False])
def test_a_report_that_is_copied_alone_keeps_its_samples(tmp_path, monkeypatch, has_links):
    """A resumed run draws a sample again; the report then shows the new picture."""

    def refuse(*_):
        raise OSError(errno.EPERM, "this disk has no hard links")

    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    workdir = Workdir(tmp_path / "run")
    workdir.samples_folder.mkdir(parents=True)
    workdir.metrics_file.write_text('{"step": 8, "validation/l1": 0.5}\n')
    for colour in ("red", "green"):
        with atomic_file(workdir.sample_file(8)) as partial:
            Image.new("RGB", (8, 8), colour).save(partial, "PNG")
        write_run_page(workdir, Config(), 8)
        copy = shutil.copytree(workdir.report_folder, tmp_path / colour)
        [picture] = linked_pictures(copy / "index.html")
        assert picture.resolve().is_relative_to(copy)
        with Image.open(picture) as image:
            assert image.getpixel((0, 0)) == ImageColor.getrgb(colour)[:3]
