"""The results of a sweep: results.json, results.md and the page."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.evaluations import VARIANTS, write_evaluation

from pix2pix_jax.runs.workdir import SweepFolder
from pix2pix_jax.sweeps.results import write_results


def rows_of(workdir):
    return {row["name"]: row for row in json.loads((workdir / "results.json").read_text())["rows"]}


def lines_of(workdir):
    """The cells of results.md, without the line below the header."""
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in (workdir / "results.md").read_text().splitlines()
        if line.startswith("|")
    ]
    return [lines[0], *lines[2:]]


@pytest.fixture
def finished_folder(plan, tmp_path):
    """A folder in which all variants are evaluated, each with another class IOU."""
    for (name, config), iou in zip(plan.variants, (0.08, 0.081, 0.16, 0.161), strict=True):
        write_evaluation(config, tmp_path / name, "val", iou)
    return tmp_path


def test_rows_show_the_mean_and_the_spread_over_seeds(plan, finished_folder):
    write_results(plan, SweepFolder(finished_folder), "val")
    rows = rows_of(finished_folder)
    assert list(rows) == ["little", "big", "ground truth"]
    assert [row["receptive_field"] for row in rows.values()] == [16, 16, None]
    for name, values in (("little", [0.08, 0.081]), ("big", [0.16, 0.161])):
        row = rows[name]
        iou = row["metrics"]["class_iou"]
        assert iou["values"] == values
        np.testing.assert_allclose(iou["mean"], np.mean(values))
        np.testing.assert_allclose(iou["spread"], np.std(values, ddof=1))
        assert row["metrics"]["psnr"] == {"mean": None, "spread": None, "values": [None, None]}
    truth = {"class_iou": {"mean": 0.9, "spread": None, "values": [0.9]}}
    assert rows["ground truth"]["metrics"] == truth
    assert lines_of(finished_folder) == [
        ["variant", "receptive field", "runs", "class IOU", "paper", "PSNR (dB)"],
        ["little", "16x16", "2 of 2", "0.081 ± 0.001", "", "∞"],
        ["big", "16x16", "2 of 2", "0.161 ± 0.001", "0.17", "∞"],
        ["ground truth", "", "", "0.900", "0.21", ""],
    ]


def test_the_note_says_what_was_compared(plan, finished_folder):
    """The note names the steps, so that nobody mistakes the table of a short trial for a result."""
    name, config = plan.variants[3]
    longer = (name, replace(config, train=replace(config.train, steps=16_000)))
    for variants, steps in (
        (plan.variants, "8 steps"),
        ([*plan.variants[:3], longer], "8 steps or 16,000 steps"),
    ):
        write_results(plan._replace(variants=variants), SweepFolder(finished_folder), "val")
        sentence = f"synthetic_facades at 32x32: 1 pair of the val split, after {steps}."
        for file in ("results.md", "report/index.html"):
            assert sentence in (finished_folder / file).read_text()


def test_each_segmenter_has_its_own_ground_truth_row(plan, tmp_path):
    for (name, config), truth in zip(plan.variants, (0.8, 0.7, 0.8, 0.8), strict=True):
        write_evaluation(config, tmp_path / name, "val", 0.5, truth, segmenter=f"of {truth}")
    write_results(plan, SweepFolder(tmp_path), "val")
    assert [line[0] for line in lines_of(tmp_path)[3:]] == [
        "ground truth of little/seed0", "ground truth of little/seed1",
    ]  # fmt: skip
    # The paper has this class IOU for the ground truth.
    assert [line[4] for line in lines_of(tmp_path)[3:]] == ["0.21", "0.21"]
    for name in ("results.md", "report/index.html"):
        assert "come from 2 segmenters, so they are not comparable" in (tmp_path / name).read_text()


def test_rounding_does_not_split_the_ground_truth_row(plan, tmp_path):
    """Runs of an array job on different machines differ in the last digits."""
    for index, (name, config) in enumerate(plan.variants):
        write_evaluation(config, tmp_path / name, "val", 0.5, 0.9 + index * 1e-7)
    write_results(plan, SweepFolder(tmp_path), "val")
    assert [line[0] for line in lines_of(tmp_path)] == ["variant", "little", "big", "ground truth"]
    assert "so they are not comparable" not in (tmp_path / "results.md").read_text()


def test_a_run_that_fails_after_its_evaluation_stays_in_the_table(plan, finished_folder):
    """A run fails, for example, if its data were moved away before the sweep ran again."""
    for name in VARIANTS[:2]:
        (finished_folder / name / "failed.txt").write_text("no route to host\n")
    (finished_folder / VARIANTS[1] / "evaluation_val.json").unlink()
    write_results(plan, SweepFolder(finished_folder), "val")
    row = rows_of(finished_folder)["little"]
    assert [run["name"] for run in row["runs"]] == VARIANTS[:1]
    assert row["failed"] == dict.fromkeys(VARIANTS[:2], "no route to host")
    assert lines_of(finished_folder)[1][2] == "1 of 2; failed: no route to host"


def test_the_note_warns_if_runs_have_different_pairs(plan, finished_folder):
    """A folder may get more pairs between two tasks of an array job, for example."""
    path = finished_folder / VARIANTS[3] / "evaluation_val.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data": "others"}))
    for expected, variants in ((True, plan.variants), (False, plan.variants[:3])):
        write_results(plan._replace(variants=variants), SweepFolder(finished_folder), "val")
        text = (finished_folder / "results.md").read_text()
        assert ("evaluated on 2 different sets of pairs" in text) == expected


def test_an_evaluation_without_its_pictures_is_not_finished(plan, finished_folder):
    (finished_folder / VARIANTS[0] / "report").rename(finished_folder / "elsewhere")
    write_results(plan, SweepFolder(finished_folder), "val")
    assert rows_of(finished_folder)["little"]["missing"] == VARIANTS[:1]


def test_rows_may_differ_in_data_and_metrics(plan, tmp_path):
    """Without common pairs, the page has a table and charts but no pictures."""
    for name, config in plan.variants:
        write_evaluation(config, tmp_path / name, "val", 0.5)
    path = tmp_path / "little" / "seed0" / "evaluation_val.json"
    evaluation = json.loads(path.read_text())
    evaluation |= {"metrics": {"l1": 0.2}, "ground_truth": {}, "pairs": [{"name": "other"}]}
    path.write_text(json.dumps(evaluation | {"segmenter": None}))
    write_results(plan._replace(variants=plan.variants[::2]), SweepFolder(tmp_path), "val")
    assert "so they are not comparable" not in (tmp_path / "results.md").read_text()
    page = (tmp_path / "report" / "index.html").read_text()
    assert "Pictures" not in page
    assert page.count("<svg") == 3 + 3  # class IOU, L1 and PSNR; the histograms


def test_pairs_of_the_same_name_but_other_data_are_not_shown_side_by_side(plan, finished_folder):
    """Facades and maps both have a pair "1"; the input of one is not the input of the other."""
    path = finished_folder / VARIANTS[2] / "evaluation_val.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data": "others"}))
    write_results(plan, SweepFolder(finished_folder), "val")
    assert "<h2>Pictures" not in (finished_folder / "report" / "index.html").read_text()


def test_a_pair_with_a_deleted_picture_is_left_out(plan, finished_folder):
    write_results(plan, SweepFolder(finished_folder), "val")
    assert "<h2>Pictures" in (finished_folder / "report" / "index.html").read_text()
    pictures = finished_folder / VARIANTS[0] / "report" / "evaluation_val"
    next(pictures.rglob("*.png")).unlink()
    write_results(plan, SweepFolder(finished_folder), "val")
    assert "<h2>Pictures" not in (finished_folder / "report" / "index.html").read_text()


def test_every_reason_of_failure_is_shown_once_and_shortened(plan, tmp_path):
    for name in VARIANTS:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "failed.txt").write_text(
            f"too | {name[:3]}" + "!" * 300 * (name[0] == "b")
        )
    write_results(plan, SweepFolder(tmp_path), "val")
    text = (tmp_path / "results.md").read_text()
    assert text.count("0 of 2; failed: too \\| lit |") == 1
    assert text.count("0 of 2; failed: too \\| big" + "!" * 191 + " ... |") == 1
    assert rows_of(tmp_path)["big"]["failed"][VARIANTS[2]] == "too | big" + "!" * 300


@pytest.mark.parametrize(
    ("segmenter", "expected"),
    [
        ("2fd4e1c6", "read by a segmenter"),
        ("nearest colour", "read off the colours"),
        (None, "over the runs of a row. All 4 runs have no FCN-score"),
    ],
)
def test_the_note_says_how_classes_were_read(plan, tmp_path, segmenter, expected):
    for name, config in plan.variants:
        write_evaluation(config, tmp_path / name, "val", 0.5, segmenter=segmenter)
    write_results(plan, SweepFolder(tmp_path), "val")
    for name in ("results.md", "report/index.html"):
        text = (tmp_path / name).read_text()
        assert expected in text
        assert ("segmenter" in text) == (segmenter == "2fd4e1c6")


def test_one_run_has_no_spread(plan, tmp_path):
    """Nothing speaks of a mean, a spread or a ground truth that is not there."""
    name, config = plan.variants[0]
    write_evaluation(config, tmp_path / name, "val", 0.5)
    path = tmp_path / name / "evaluation_val.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"ground_truth": {}}))
    write_results(plan._replace(variants=plan.variants[:1]), SweepFolder(tmp_path), "val")
    table, page = (tmp_path / "results.md").read_text(), report_text(tmp_path)
    assert "| 0.500 |" in table
    assert "standard deviation" not in table + page
    assert "<p>A dot is a run.</p>" in page


def report_text(folder):
    return (folder / "report" / "index.html").read_text()


def test_the_page_explains_the_signs_of_its_charts(plan, finished_folder):
    write_results(plan, SweepFolder(finished_folder), "val")
    page = report_text(finished_folder)
    assert "A dot is a run, a bar is the mean of a row and a dashed line is the ground" in page


def test_commands_in_the_note_are_code_on_the_page(plan, tmp_path):
    for name, config in plan.variants:
        write_evaluation(config, tmp_path / name, "val", 0.5, segmenter=None)
    (tmp_path / VARIANTS[0] / "failed.txt").write_text("<b> run `pix2pix train`")
    write_results(plan, SweepFolder(tmp_path), "val")
    page = report_text(tmp_path)
    assert "`" not in page
    assert "<code>pix2pix evaluate --workdir=RUN</code> prints the reason" in page
    assert "&lt;b&gt; run <code>pix2pix train</code>" in page
    assert "`pix2pix evaluate --workdir=RUN`" in (tmp_path / "results.md").read_text()


def test_the_note_says_where_the_scores_of_the_paper_come_from(plan, finished_folder):
    plan = plan._replace(paper_table="table 1: Cityscapes")
    sentence = 'The columns "paper" have the scores of the paper (table 1: Cityscapes).'
    for paper, expected in ((plan.paper, True), ({"big": {"lab_l": 0.8}}, False)):
        write_results(plan._replace(paper=paper), SweepFolder(finished_folder), "val")
        assert (sentence in (finished_folder / "results.md").read_text()) == expected
