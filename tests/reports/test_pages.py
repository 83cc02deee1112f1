"""The pages in a real browser: no errors on the console, all pictures visible, sorting works."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pix2pix_jax.config.resume import identity
from pix2pix_jax.evaluation.evaluate import write_pictures
from pix2pix_jax.reports.evaluation import render_evaluation_page
from pix2pix_jax.reports.run import write_run_page
from pix2pix_jax.runs.workdir import SweepFolder, Workdir
from pix2pix_jax.sweeps.results import write_results
from pix2pix_jax.sweeps.sweep_file import SweepPlan

NAMES = ["a <b> & c", "folder/d e", "ünicode", 'q"uote', "plain"]
L1 = [0.3, 0.1, 0.5, 0.2, 0.4]
PSNR = [12.0, None, 9.0, 20.0, 11.0]


@pytest.fixture(params=[(1200, 900), (360, 740)], ids=["desk", "phone"])
def open_page(browser, request):
    """A function that opens a page on a screen of a given size, and fails on errors."""
    errors, schemes = [], set()

    def open_on_screen(path):
        width, height = request.param
        page = browser.new_page(viewport={"width": width, "height": height})
        page.on("console", lambda message: errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("requestfailed", lambda request: errors.append(request.url))
        page.on("request", lambda request: schemes.add(request.url.partition(":")[0]))
        page.goto(path.as_uri())
        # Only wide tables scroll sideways, not the whole page.
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        return page

    yield open_on_screen
    assert errors == []
    assert schemes <= {"file", "data"}  # The page uses no network.


def picture_widths(page):
    """Natural widths of all pictures, after scrolling to each of them."""
    for image in page.locator("img").all():
        image.scroll_into_view_if_needed()
    page.wait_for_function("[...document.images].every(image => image.complete)")
    return page.evaluate("[...document.images].map(image => image.naturalWidth)")


def write_evaluation(config, folder, split="val"):
    """Writes an evaluation of five pairs, with its pictures and page."""
    workdir, rng = Workdir(folder), np.random.default_rng(0)
    for name in NAMES:
        pictures = {kind: rng.uniform(-1, 1, (8, 12, 3)) for kind in ("input", "output", "target")}
        write_pictures(workdir.evaluation_pictures_folder(split), name, pictures)
    pairs = [{"name": n, "l1": a, "psnr": b} for n, a, b in zip(NAMES, L1, PSNR, strict=True)]
    counts = {"lab_l": [1] * 101, "lab_a": [2] * 221, "lab_b": [3] * 221}
    evaluation = {
        "split": split, "step": config.train.steps, "seed": config.seed, "images": len(NAMES),
        "config_sha256": identity(config), "segmenter": "judge", "pairs": pairs, "data": "",
        "metrics": {"class_iou": 0.5, "l1": 0.3}, "ground_truth": {"class_iou": 0.9},
        "lab_histograms": {"output": counts, "target": counts},
    }  # fmt: skip
    text = render_evaluation_page(workdir, evaluation, workdir.evaluation_pictures_folder(split))
    workdir.evaluation_page(split).write_text(text, encoding="utf-8")
    workdir.evaluation_file(split).write_text(json.dumps(evaluation))


def pair_names(page):
    return page.evaluate(
        "[...document.querySelectorAll('.pairs figcaption')].map(c => c.textContent.split(': ')[0])"
    )


def test_pairs_are_shown_and_sorted(small, tmp_path, open_page):
    write_evaluation(small, tmp_path)
    page = open_page(tmp_path / "report" / "evaluation_val.html")
    assert picture_widths(page) == [12] * 15
    assert pair_names(page) == sorted(NAMES)
    worst = [name for _, name in sorted(zip(L1, NAMES, strict=True), reverse=True)]
    for choice, expected in (
        ("worst L1 first", worst),
        ("best L1 first", worst[::-1]),
        # An infinite PSNR is the best there is.
        ("worst PSNR (dB) first", ["ünicode", "plain", "a <b> & c", 'q"uote', "folder/d e"]),
        ("best PSNR (dB) first", ["folder/d e", 'q"uote', "a <b> & c", "plain", "ünicode"]),
        ("by name", sorted(NAMES)),
    ):
        page.select_option("#order", label=choice)
        assert pair_names(page) == expected, choice


def test_the_page_of_a_sweep_shows_every_variant(small, tmp_path, open_page):
    variants = [
        (f"{row}/seed{s}", replace(small, seed=s)) for row in ("L1+GAN", "b") for s in (0, 1)
    ]
    for name, config in variants:
        write_evaluation(config, tmp_path / name)
    paper = {"b": {"class_iou": 0.17}}
    write_results(SweepPlan("Rows & columns", variants, paper), SweepFolder(tmp_path), "val")
    page = open_page(tmp_path / "report" / "index.html")
    assert picture_widths(page) == [12] * (5 * 4)  # five pairs: input, two rows, ground truth
    assert page.locator("h1").text_content() == "Rows & columns"
    heads = page.locator(".grid span").all_text_contents()
    assert heads == ["input", "L1+GAN", "b", "ground truth"]
    assert page.locator("tr").count() == 4
    titles = page.locator("svg").count()
    assert titles == 2 + 3  # two metrics; the histograms of L, a and b


def test_the_page_of_a_run_shows_curves_and_samples(small, tmp_path, open_page):
    lines = [{"step": s, "loss/generator_l1": 1 / s, "evaluation/l1": s / 10} for s in (1, 2, 3)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "samples").mkdir()
    for step in (1, 3):
        Image.new("RGB", (30, 20)).save(tmp_path / "samples" / f"step_{step:08d}.png")
    write_run_page(Workdir(tmp_path), small, 3)
    page = open_page(tmp_path / "report" / "index.html")
    page.locator("summary").click()
    assert picture_widths(page) == [30, 30]
    # Samples of 32x32 are enlarged to three times their width.
    shown = page.evaluate("document.images[0].clientWidth")
    assert shown == min(3 * 3 * 32, page.viewport_size["width"] - 32)
    assert page.locator("svg").count() == 2
    assert "Best by L1 so far: step 1, 0.100" in page.text_content("body")
