"""The evaluate command, and the evaluations of a run while it trains."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.command_line import ROOT, folder_of, jpeg, metrics, refused, run, saved_arrays, train
from helpers.pairs import folder_data
from helpers.refusals import refusal
from helpers.shared_folders import copy_once
from PIL import Image

from pix2pix_jax.cli.main import run_command
from pix2pix_jax.config import Config
from pix2pix_jax.config.files import override, read_config, write_config
from pix2pix_jax.config.metrics import METRICS, Metric
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.data.contents.facts import dataset_contents, write_contents
from pix2pix_jax.data.prepare import prepare
from pix2pix_jax.errors import UsageError
from pix2pix_jax.evaluation import evaluate as evaluate_module
from pix2pix_jax.evaluation.evaluate import EvaluateOptions, check_halves, evaluate
from pix2pix_jax.evaluation.evaluation_file import read_evaluation, read_finished_evaluation
from pix2pix_jax.evaluation.pair_metrics import PAIR_METRICS
from pix2pix_jax.evaluation.scorer import SplitScores
from pix2pix_jax.runs.workdir import Workdir

EVALUATE = ("--config.train.evaluate_every=3", "--config.train.best_metric=ssim")


@pytest.fixture(scope="module")
def evaluated_run(tiny_flags, tmp_path_factory):
    """The workdir and the stdout of a run that is evaluated every third step of twelve.

    The run keeps three checkpoints.
    """

    def train_and_evaluate(folder):
        status, out, err = train(tiny_flags, folder / "run", 12, *EVALUATE)
        assert (status, err) == (0, "")
        (folder / "stdout.txt").write_text(out)

    folder = copy_once(tmp_path_factory, "evaluated", train_and_evaluate)
    return folder / "run", (folder / "stdout.txt").read_text()


def test_training_evaluates_itself_and_keeps_the_best_checkpoint(evaluated_run):
    workdir, out = evaluated_run
    scores = {s: line for s, line in metrics(workdir).items() if "evaluation/ssim" in line}
    assert sorted(scores) == [3, 6, 9, 12]
    for name in ("l1", "psnr", "ssim", "lab_l", "lab_a", "lab_b"):
        assert all(np.isfinite(line[f"evaluation/{name}"]) for line in scores.values())
    best = max(scores, key=lambda step: scores[step]["evaluation/ssim"])
    assert f"best by ssim is step {best};" in out
    kept = {int(path.name) for path in (workdir / "checkpoints").iterdir()}
    assert kept == {best, 9, 12}
    assert f"Best by SSIM so far: step {best}" in (workdir / "report/index.html").read_text()


@pytest.mark.slow
def test_evaluating_during_training_changes_no_bit_and_resumes_exactly(
    tiny_flags, uninterrupted_run, evaluated_run, tmp_path
):
    workdir, _ = evaluated_run
    assert saved_arrays(workdir, 12) == saved_arrays(uninterrupted_run, 12)
    assert train(tiny_flags, tmp_path, 6, *EVALUATE)[0] == 0
    assert train(tiny_flags, tmp_path, 12, *EVALUATE)[0] == 0
    assert metrics(tmp_path) == metrics(workdir)


def test_evaluate_writes_scores_and_a_page(evaluated_run):
    """The scores equal those that training logged for the same step."""
    workdir, _ = evaluated_run
    status, out, err = run("evaluate", f"--workdir={workdir}", "--no_fcn_score", fork=False)
    assert (status, err) == (0, "")
    assert "SSIM" in out
    evaluation = json.loads((workdir / "evaluation_val.json").read_text())
    expected = {"split": "val", "step": 12, "seed": 0, "images": 2}
    assert {key: evaluation[key] for key in expected} == expected
    assert len(evaluation["config_sha256"]) == 64
    logged = metrics(workdir)[12]
    for name, value in evaluation["metrics"].items():
        np.testing.assert_allclose(value, logged[f"evaluation/{name}"], rtol=1e-5)
    assert len(list((workdir / "report" / "evaluation_val" / "output").iterdir())) == 2
    assert (workdir / "report" / "evaluation_val.html").exists()
    _, out, _ = run("evaluate", f"--workdir={workdir}", "--no_fcn_score", "--step=9")
    assert f"{workdir}/evaluation_val.json: the evaluation of step 12 is replaced" in out
    best = max(
        s for s in metrics(workdir) if f"step {s};" in evaluated_run[1].partition("best by")[2]
    )
    run("evaluate", f"--workdir={workdir}", "--no_fcn_score", "--step=best")
    assert json.loads((workdir / "evaluation_val.json").read_text())["step"] == best
    run("evaluate", f"--workdir={workdir}", "--no_fcn_score", "--step=9", "--split=test")
    evaluation = json.loads((workdir / "evaluation_test.json").read_text())
    assert (evaluation["split"], evaluation["step"], evaluation["images"]) == ("test", 9, 2)
    assert sum(evaluation["lab_histograms"]["target"]["lab_l"]) == 2 * 32 * 32


def test_a_new_metric_needs_only_a_row_and_a_function(evaluated_run, monkeypatch):
    """The scores of the split and of each pair have the metric; train.best_metric can name it."""
    row = Metric("largest error", higher_is_better=False, unit="0 to 2")
    monkeypatch.setitem(METRICS, "largest_error", row)
    monkeypatch.setitem(
        PAIR_METRICS, "largest_error", lambda output, target: abs(output - target).max((1, 2, 3))
    )
    run = Workdir(evaluated_run[0])
    config = override(read_config(run.config_file), {"train.best_metric": "largest_error"})
    evaluate(config, run, EvaluateOptions("test", 12, False))
    evaluation = json.loads(run.evaluation_file("test").read_text())
    values = [pair["largest_error"] for pair in evaluation["pairs"]]
    assert all(pair["l1"] < pair["largest_error"] <= 2 for pair in evaluation["pairs"])
    np.testing.assert_allclose(evaluation["metrics"]["largest_error"], np.mean(values), rtol=1e-6)
    assert read_evaluation(run.evaluation_file("test")) == evaluation
    assert "best largest error first" in run.evaluation_page("test").read_text()


def test_evaluate_refuses_a_missing_run_checkpoint_or_split(
    tiny_flags, evaluated_run, tmp_path, monkeypatch, capsys
):
    workdir, _ = evaluated_run
    monkeypatch.chdir(ROOT)
    (tmp_path / "config.json").write_bytes((workdir / "config.json").read_bytes())
    for expected, arguments in (
        ("give one of 3, 9, 12", (f"--workdir={workdir}", "--step=5")),
        ("--step", (f"--workdir={workdir}", "--step=last")),
        ("'dev'", (f"--workdir={workdir}", "--split=dev")),
        ("config.json: not found", (f"--workdir={tmp_path / 'none'}",)),
        ("--workdir", tiny_flags),
        ("model.features", (f"--workdir={workdir}", "--config.model.features=16")),
        ("holds no checkpoints", (f"--workdir={tmp_path}",)),
    ):
        assert run_command(["evaluate", *arguments]) == 2  # The command computes nothing.
        _, err = capsys.readouterr()
        assert len(err.splitlines()) == 1, err
        assert expected in err
        assert not list(tmp_path.glob("evaluation*"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Scorer", "render_evaluation_page"])
def test_a_failed_evaluation_leaves_the_last_evaluation_unchanged(evaluated_run, monkeypatch, name):
    """The scores, the page and the pictures stay, wherever the new evaluation fails."""
    workdir, _ = evaluated_run
    assert run("evaluate", f"--workdir={workdir}", "--no_fcn_score", "--step=12")[0] == 0

    def files():
        left = [workdir / "evaluation_val.json", *(workdir / "report").rglob("*")]
        return {path: path.read_bytes() for path in left if path.is_file()}

    before = files()
    failing = {
        "Scorer": lambda *arguments: SimpleNamespace(score=fail),
        "render_evaluation_page": fail,
    }
    monkeypatch.setattr(evaluate_module, name, failing[name])
    assert "scoring failed" in refusal(
        evaluate,
        read_config(workdir / "config.json"),
        Workdir(workdir),
        EvaluateOptions("val", 9, False),
    )
    assert files() == before


@pytest.mark.parametrize("num_renames", range(5))
def test_an_evaluation_stopped_between_its_renames_is_not_read(
    evaluated_run, monkeypatch, num_renames
):
    """Scores never stand next to a page or pictures of another step."""
    workdir, _ = evaluated_run
    monkeypatch.setattr(evaluate_module, "Scorer", lambda *_: SimpleNamespace(score=score_one_pair))
    config = read_config(workdir / "config.json")
    evaluate(config, Workdir(workdir), EvaluateOptions("val", 12, False))
    renamed, rename = [], Path.rename

    def rename_or_stop(path, target):
        renamed.append(path)
        if len(renamed) > num_renames:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", rename_or_stop)
    if num_renames < 4:
        with pytest.raises(KeyboardInterrupt):
            evaluate(config, Workdir(workdir), EvaluateOptions("val", 9, False))
        assert read_finished_evaluation(config, Workdir(workdir), "val") is None
        assert not (workdir / "evaluation_val.json").exists()
    else:  # The renames: old pictures moved aside, new pictures, page, scores.
        evaluate(config, Workdir(workdir), EvaluateOptions("val", 9, False))
        assert json.loads((workdir / "evaluation_val.json").read_text())["step"] == 9
        assert "val at step 9" in (workdir / "report" / "evaluation_val.html").read_text()


def score_one_pair(params, show):
    """Replaces Scorer.score; the split has one pair."""
    for kind in ("input", "output", "target"):
        show("first", {kind: np.zeros((4, 4, 3))})
    counts = {"lab_l": np.ones(101), "lab_a": np.ones(221), "lab_b": np.ones(221)}
    sides = {"output": counts, "target": counts}
    return SplitScores({"l1": 0.2}, {}, [{"name": "first", "l1": 0.2}], sides)


def fail(*arguments):
    """Replaces Scorer.score, and fails at its second pair; or replaces render_evaluation_page."""
    if callable(arguments[-1]):
        arguments[-1]("first", {"output": np.zeros((4, 4, 3))})
    raise UsageError("scoring failed")


@pytest.mark.slow
def test_a_dataset_without_classes_gets_all_scores_except_the_fcn_score(tiny_flags, tmp_path):
    source = folder_of(tmp_path, {"1.jpg": jpeg(), "2.jpg": jpeg(80)})
    workdir = tmp_path / "run"
    flags = ("--config.data.name=folder", source, "--config.data.direction=AtoB")
    assert train(tiny_flags, workdir, 1, *flags)[0] == 0
    status, out, err = run("evaluate", f"--workdir={workdir}")
    assert (status, err) == (0, "")
    assert out.count("the FCN-score is left out: data.name: folder has no palette") == 1
    evaluation = json.loads((workdir / "evaluation_val.json").read_text())
    assert list(evaluation["metrics"]) == ["l1", "psnr", "ssim", "lab_l", "lab_a", "lab_b"]
    best = "--config.train.best_metric=class_iou"
    refused(
        "train.best_metric: class_iou belongs to the FCN-score, which cannot be measured here (dat",
        "train",
        *tiny_flags,
        f"--workdir={tmp_path / 'b'}",
        *flags,
        *EVALUATE[:1],
        best,
    )


@pytest.mark.slow
def test_evaluate_refuses_a_training_source_that_has_changed(tiny_flags, tmp_path):
    """More pairs in the source change its splits. A source that was not trained on is allowed."""
    files = {f"{index}.png": jpeg(64, 40 + index) for index in range(6)}
    source = folder_of(tmp_path, files)
    workdir = tmp_path / "run"
    flags = ("--config.data.name=folder", source, "--config.data.direction=AtoB")
    assert train(tiny_flags, workdir, 1, *flags)[0] == 0
    copy = shutil.copytree(tmp_path / "pairs", tmp_path / "copy" / "test")
    folder_of(tmp_path, {f"{index + 10}.png": jpeg(64, 50 + index) for index in range(6)})
    score = ("evaluate", f"--workdir={workdir}", "--no_fcn_score")
    refused(f"data.source: {tmp_path / 'pairs'} has other pairs than when", *score)
    assert not (workdir / "evaluation_val.json").exists()
    others = f"--config.data.source={copy.parent}"
    for replaced in (False, True):
        status, out, _ = run(*score, others, "--split=test")
        assert (status, "evaluation_test.json: the evaluation of step 1 is replaced" in out) == (
            0,
            replaced,
        )
        Image.open(copy / "0.png").save(copy / "another.png")
    assert json.loads((workdir / "evaluation_test.json").read_text())["images"] == 7
    refused(f"--split: {copy.parent} has no split val", *score, others)
    refused(
        "has no images to train on", "train", *tiny_flags, *flags, others, f"--workdir={tmp_path}/2"
    )


def test_files_that_show_one_side_of_the_pairs_of_a_run_are_refused(tmp_path):
    """Without the error, the halves of A would be scored against each other."""
    workdir, noise = Workdir(tmp_path / "run"), np.random.default_rng(0)
    sizes = {"pairs/train": 64, "pairs/val": 64, "other/test": 64, "single/test": 32}
    for name, width in sizes.items():
        (tmp_path / name).mkdir(parents=True)
        pixels = noise.integers(0, 256, (32, width, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / name / "1.png")
    configs = {
        name: resolve(Config(data=folder_data(tmp_path / name)))
        for name in ("pairs", "other", "single")
    }
    datasets = {name: prepare(config.data) for name, config in configs.items()}
    write_config(configs["pairs"], workdir.config_file)
    check_halves(workdir, configs["single"], datasets["single"])  # a run of an earlier version
    contents = dataset_contents(datasets["pairs"], configs["pairs"].data)
    write_contents(contents, workdir.pairs_file)
    check_halves(workdir, configs["other"], datasets["other"])
    message = refusal(check_halves, workdir, configs["single"], datasets["single"])
    assert message.startswith(f"data.source: {tmp_path / 'single'} shows one side of each pair")
    halves = {
        name: replace(config, data=replace(config.data, form="halves"))
        for name, config in configs.items()
    }
    check_halves(workdir, halves["single"], datasets["single"])
    write_config(halves["pairs"], workdir.config_file)
    message = refusal(check_halves, workdir, halves["single"], datasets["single"])
    assert message.endswith("if these images do, give --config.data.form=None")
    check_halves(workdir, configs["single"], datasets["single"])
