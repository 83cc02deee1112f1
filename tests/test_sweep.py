"""Which variants are run, skipped and told as failed, and what the tables say of them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import refusal
from PIL import Image

from pix2pix_jax import sweep as sweep_module
from pix2pix_jax.config import Config, UsageError, identity
from pix2pix_jax.config_files import Sweep, load_sweep, write_config
from pix2pix_jax.guards import Occupied
from pix2pix_jax.results import FAILED, write_results
from pix2pix_jax.sweep import as_text, duration, sweep

PAPER = {"big": {"class_iou": 0.17}, "ground truth": {"class_iou": 0.21}}


@pytest.fixture
def plan(small):
    """Two rows of two seeds, each of a batch that conftest's four devices can share."""
    small = replace(small, data=replace(small.data, batch_size=4))
    variants = [
        (f"{name}/seed{seed}", replace(small, seed=seed, model=replace(small.model, features=n)))
        for name, n in (("little", 8), ("big", 16))
        for seed in (0, 1)
    ]
    return Sweep("Little and big", variants, PAPER)


def evaluated(config, folder, split, iou, truth=0.9, pairs="pairs", judge="judge"):
    """Writes what an evaluation leaves."""
    for kind in ("input", "output", "target"):
        path = folder / "report" / f"evaluation_{split}" / kind / "a.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), "red").save(path)
    counts = {"lab_l": [1] * 100, "lab_a": [1] * 220, "lab_b": [1] * 220}
    summary = {
        "step": config.train.steps, "seed": config.seed, "images": 1,
        "segmenter": judge, "data": pairs,
        "config_sha256": identity(config), "metrics": {"class_iou": iou, "psnr": None},
        "ground_truth": {"class_iou": truth}, "pairs": [{"name": "a"}],
        "lab_histograms": {"output": counts, "target": counts},
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"evaluation_{split}.json").write_text(json.dumps(summary))


@pytest.fixture
def calls(monkeypatch):
    """The folders that were trained in, in order; those in `bad` fail, `caught` stops.

    The pairs that there are now, and the segmenter, are in `pairs` and `judge`.
    """
    seen = {"trained": [], "bad": {}, "caught": {}, "pairs": "pairs", "judge": "judge"}

    def train(config, folder):
        seen["trained"].append("/".join(folder.parts[-2:]))
        if seen["trained"][-1] in seen["bad"]:
            raise seen["bad"][seen["trained"][-1]]
        return seen["caught"].get(seen["trained"][-1], 0)

    def evaluate(config, folder, split, step, fcn_score):
        assert (step, fcn_score) == (config.train.steps, config.data.name != "folder")
        iou = config.model.features / 100 + config.seed / 1000
        judge = seen["judge"] if fcn_score else None
        evaluated(config, folder, split, iou, pairs=seen["pairs"], judge=judge)

    def open_split(dataset, split):
        if split == "test":
            raise UsageError("no test")

    for name, stub in {
        "train": train,
        "evaluate": evaluate,
        "prepare": lambda data: None,
        "open_split": open_split,
        "fingerprint": lambda dataset, splits: seen["pairs"],
        "reader_name": lambda data, dataset: seen["judge"],
    }.items():
        monkeypatch.setattr(sweep_module, name, stub)
    return seen


ALL = ["little/seed0", "little/seed1", "big/seed0", "big/seed1"]


def test_all_are_run_once_in_order(plan, calls, tmp_path):
    assert sweep(plan, tmp_path, None, "val") == 0
    assert calls["trained"] == ALL
    assert sweep(plan, tmp_path, None, "val") == 0
    assert calls["trained"] == ALL


def test_what_has_other_steps_or_fields_is_not_finished(plan, calls, tmp_path):
    sweep(plan, tmp_path, None, "val")
    longer = [(n, replace(c, train=replace(c.train, steps=16))) for n, c in plan.variants[:1]]
    other = [(n, replace(c, loss=replace(c.loss, l1_weight=1))) for n, c in plan.variants[1:2]]
    sweep(plan._replace(variants=longer + other), tmp_path, None, "val")
    assert calls["trained"] == [*ALL, *ALL[:2]]


@pytest.mark.parametrize("what", ["pairs", "judge"])
def test_scores_of_other_pairs_or_another_segmenter_are_made_anew(plan, calls, tmp_path, what):
    sweep(plan, tmp_path, 0, "val")
    calls[what] = "another"
    sweep(plan, tmp_path, 0, "val")
    sweep(plan, tmp_path, 0, "val")
    assert calls["trained"] == ALL[:1] * 2


def test_a_decaying_run_of_other_steps_is_another(plan, calls, tmp_path):
    """Also where somebody has evaluated it half-way, at just these steps."""
    name, config = plan.variants[0]
    decaying = replace(config, optimizer=replace(config.optimizer, schedule="linear_decay"))
    evaluated(decaying, tmp_path / name, "val", 0.5)
    shorter = replace(decaying, train=replace(decaying.train, steps=4))
    path = tmp_path / name / "evaluation_val.json"
    path.write_text(path.read_text().replace('"step": 8', '"step": 4'))
    sweep(plan._replace(variants=[(name, shorter)]), tmp_path, None, "val")
    assert calls["trained"] == ALL[:1]


def test_a_dataset_without_classes_is_compared_without_the_fcn_score(plan, calls, tmp_path):
    name, config = plan.variants[0]
    folder = replace(config, data=replace(config.data, name="folder", source=str(tmp_path)))
    variants = [(name, folder)]
    for _ in range(2):
        sweep(plan._replace(variants=variants), tmp_path, None, "val")
    assert calls["trained"] == ALL[:1]


def test_a_change_that_no_run_can_take_costs_no_table(plan, calls, tmp_path):
    """Refused before anything is run or written, whichever variant was asked for."""
    sweep(plan, tmp_path, None, "val")
    for name, config in plan.variants:
        write_config(config, tmp_path / name / "config.json")
    before = (tmp_path / "results.md").read_bytes()
    changed = [(n, replace(c, loss=replace(c.loss, l1_weight=1))) for n, c in plan.variants]
    other = plan._replace(variants=changed)
    for call in ((sweep, other, tmp_path, None, "val"), (sweep, other, tmp_path, 3, "val")):
        assert "little/seed0/config.json: is of a run with another loss.l1_weight" in refusal(*call)
    assert "another loss.l1_weight" in refusal(as_text, other, tmp_path, "val")
    assert (tmp_path / "results.md").read_bytes() == before
    assert calls["trained"] == ALL


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (99.4, "99 s"), (100, "2 min"), (5_900, "98 min"), (7_260, "2 h 1 min"),
     (200_000, "2 d 7 h")],
)  # fmt: skip
def test_durations_are_told_as_people_do(seconds, expected):
    assert duration(seconds) == expected


def test_a_split_that_is_not_there_costs_no_training(plan, calls, tmp_path):
    refusal(sweep, plan, tmp_path, None, "test")
    assert calls["trained"] == []
    assert (tmp_path / ALL[0] / FAILED).read_text() == "no test\n"


def test_a_variant_that_another_process_trains_has_not_failed(plan, calls, tmp_path):
    calls["bad"] = {ALL[0]: Occupied("another process trains in it")}
    assert sweep(plan, tmp_path, None, "val") == 0
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert (rows[0]["missing"], rows[0]["failed"]) == ([ALL[0]], {})


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"null", b'{"step', b"\xff"])
def test_an_evaluation_that_is_none_is_made_anew(plan, calls, tmp_path, content):
    path = tmp_path / ALL[0] / "evaluation_val.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert "finished" not in as_text(plan, tmp_path, "val")
    sweep(plan, tmp_path, None, "val")
    assert calls["trained"] == ALL


def test_an_index_runs_one_and_collects_what_is_there(plan, calls, tmp_path):
    for index in (2, 0):
        assert sweep(plan, tmp_path, index, "val") == 0
    assert calls["trained"] == ["big/seed0", "little/seed0"]
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [len(row["runs"]) for row in rows] == [1, 1]
    assert [row["missing"] for row in rows] == [["little/seed1"], ["big/seed1"]]
    for index in (-1, 4):
        assert f"--index: {index}" in refusal(sweep, plan, tmp_path, index, "val")


def test_one_that_fails_stops_no_other_and_is_tried_again(plan, calls, tmp_path):
    calls["bad"] = {ALL[0]: UsageError("too large"), ALL[3]: ZeroDivisionError("by\nzero")}
    message = refusal(sweep, plan, tmp_path, None, "val")
    assert "2 of 4 variants failed (little/seed0, big/seed1)" in message
    assert "1 of 1 variants failed (big/seed1)" in refusal(sweep, plan, tmp_path, 3, "val")
    calls["trained"].pop()
    assert calls["trained"] == ALL
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [row["failed"] for row in rows] == [
        {"little/seed0": "too large"},
        {"big/seed1": "ZeroDivisionError: by zero"},
    ]
    assert "1 of 2; failed: too large" in (tmp_path / "results.md").read_text()
    assert "failed: too large" in (tmp_path / "report" / "index.html").read_text()
    calls["bad"] = {}
    assert sweep(plan, tmp_path, None, "val") == 0
    assert calls["trained"] == [*ALL, ALL[0], ALL[3]]
    assert not list(tmp_path.rglob(FAILED))


def test_a_variant_that_cannot_be_built_is_told_as_failed(plan, calls, tmp_path):
    name, config = plan.variants[0]
    bad = replace(config, data=replace(config.data, image_size=(30, 30), load_size=None))
    plan = plan._replace(variants=[(name, bad), *plan.variants[1:]])
    assert "little/seed0" in refusal(sweep, plan, tmp_path, None, "val")
    assert "cannot be built: data.image_size: 30x30" in as_text(plan, tmp_path, "val")


def test_a_signal_stops_the_sweep(plan, calls, tmp_path):
    calls["caught"] = {ALL[1]: 143}
    assert sweep(plan, tmp_path, None, "val") == 143
    assert calls["trained"] == ALL[:2]
    assert not (tmp_path / "results.json").exists()


def test_rows_are_mean_and_spread_over_seeds(plan, calls, tmp_path):
    sweep(plan, tmp_path, None, "val")
    results = json.loads((tmp_path / "results.json").read_text())
    assert [row["name"] for row in results["rows"]] == ["little", "big"]
    assert [row["receptive_field"] for row in results["rows"]] == [16, 16]
    for row, values in zip(results["rows"], ([0.08, 0.081], [0.16, 0.161]), strict=True):
        iou = row["metrics"]["class_iou"]
        assert iou["values"] == values
        np.testing.assert_allclose(iou["mean"], np.mean(values))
        np.testing.assert_allclose(iou["spread"], np.std(values, ddof=1))
        assert row["metrics"]["psnr"] == {"mean": None, "spread": None, "values": [None, None]}
        assert [run["ground_truth"] for run in row["runs"]] == [{"class_iou": 0.9}] * 2
    table = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in (tmp_path / "results.md").read_text().splitlines()
        if line.startswith("|")
    ]
    header = ["variant", "receptive field", "runs", "class IOU", "paper", "PSNR (dB)"]
    assert table[0] == header
    assert table[2:] == [
        ["little", "16x16", "2 of 2", "0.081 ± 0.001", "", "∞"],
        ["big", "16x16", "2 of 2", "0.161 ± 0.001", "0.17", "∞"],
        ["ground truth", "", "", "0.900", "0.21", ""],
    ]


def test_truths_that_differ_are_told_apart(plan, tmp_path):
    for (name, config), truth in zip(plan.variants, (0.8, 0.7, 0.8, 0.8), strict=True):
        evaluated(config, tmp_path / name, "val", 0.5, truth)
    assert write_results(plan, tmp_path, "val") == []
    text = (tmp_path / "results.md").read_text()
    told = [line for line in text.splitlines() if line.startswith("| ground truth")]
    assert [line.split("|")[1].strip() for line in told] == [
        "ground truth of little/seed0", "ground truth of little/seed1",
    ]  # fmt: skip


def test_rows_of_other_data_and_metrics_stand_side_by_side(plan, tmp_path):
    """No pair and no FCN-score in common: a table, charts, and no grid."""
    for name, config in plan.variants:
        evaluated(config, tmp_path / name, "val", 0.5)
    path = tmp_path / "little" / "seed0" / "evaluation_val.json"
    found = json.loads(path.read_text())
    found |= {"metrics": {"l1": 0.2}, "ground_truth": {}, "pairs": [{"name": "other"}]}
    path.write_text(json.dumps(found | {"segmenter": None}))
    write_results(plan._replace(variants=plan.variants[::2]), tmp_path, "val")
    assert "different segmenters" not in (tmp_path / "results.md").read_text()
    page = (tmp_path / "report" / "index.html").read_text()
    assert "Pictures" not in page
    assert page.count("<svg") == 3 + 3  # class IOU, L1 and PSNR; the histograms


def test_every_reason_is_told_once(plan, calls, tmp_path):
    calls["bad"] = {name: UsageError(f"too | {name[:3]}") for name in ALL}
    refusal(sweep, plan, tmp_path, None, "val")
    text = (tmp_path / "results.md").read_text()
    assert text.count("0 of 2; failed: too \\| lit |") == 1
    assert text.count("0 of 2; failed: too \\| big |") == 1


def test_different_segmenters_are_told(plan, tmp_path):
    for name, config in plan.variants:
        evaluated(config, tmp_path / name, "val", 0.5)
    write_results(plan, tmp_path, "val")
    assert "different segmenters" not in (tmp_path / "results.md").read_text()
    path = tmp_path / ALL[3] / "evaluation_val.json"
    path.write_text(path.read_text().replace('"judge"', '"other"'))
    write_results(plan, tmp_path, "val")
    for name in ("results.md", "report/index.html"):
        assert "of 2 different segmenters" in (tmp_path / name).read_text()


def test_one_run_has_no_spread(plan, tmp_path):
    name, config = plan.variants[0]
    evaluated(config, tmp_path / name, "val", 0.5)
    write_results(plan._replace(variants=plan.variants[:1]), tmp_path, "val")
    assert "| 0.500 |" in (tmp_path / "results.md").read_text()


def test_results_are_the_same_however_often_they_are_written(plan, calls, tmp_path):
    sweep(plan, tmp_path, None, "val")
    names = ("results.json", "results.md", "report/index.html")
    first = [(tmp_path / name).read_bytes() for name in names]
    sweep(plan, tmp_path, None, "val")
    assert [(tmp_path / name).read_bytes() for name in names] == first


def test_the_plan_is_listed_with_what_it_will_train(plan, tmp_path):
    """Parameters as `describe` counts them; no folder is made."""
    lines = as_text(plan, tmp_path / "none", "val").splitlines()
    assert [line.split()[:2] for line in lines[2:6]] == [[str(i), ALL[i]] for i in range(4)]
    assert [line.split()[4:6] for line in lines[2:6]] == [["16", "8"]] * 4
    assert lines[2].split()[2] != lines[4].split()[2]
    assert "training in all" in lines[-2]
    assert not (tmp_path / "none").exists()


def test_the_plan_knows_how_far_variants_are(plan, tmp_path):
    name, config = plan.variants[0]
    evaluated(config, tmp_path / name, "val", 0.5)
    (tmp_path / ALL[1]).mkdir(parents=True)
    (tmp_path / ALL[1] / "metrics.jsonl").write_text('{"step": 4, "images_per_second": 2}\n')
    lines = as_text(plan, tmp_path, "val").splitlines()
    assert lines[2].endswith(" 0 s  finished")
    assert lines[3].endswith(" 8 s  at step 4")  # four more at two seconds each


def write(tmp_path, text):
    path = tmp_path / "experiment.py"
    path.write_text("from pix2pix_jax.config import Config\n" + text)
    return str(path)


def test_a_sweep_takes_its_argument_and_seeds(tmp_path):
    text = "def sweep(base='none', seeds=1):\n for seed in range(seeds):\n"
    text += "  yield f'{base}/{seed}', Config(seed=seed)\n"
    path = write(tmp_path, text)
    assert load_sweep(path, None, {}).variants == [("none/0", Config())]
    fields = {"train.steps": "5"}
    plan = load_sweep(f"{path}:maps", 2, fields)
    assert [name for name, _ in plan.variants] == ["maps/0", "maps/1"]
    assert [config.train.steps for _, config in plan.variants] == [5, 5]


def test_a_sweep_needs_neither(tmp_path):
    path = write(tmp_path, "def sweep():\n yield 'a', Config()\n")
    assert load_sweep(path, None, {}) == Sweep(path, [("a", Config())], {})
    assert "--seeds" in refusal(load_sweep, path, 2, {})
    assert "takes no argument" in refusal(load_sweep, f"{path}:maps", None, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "has no sweep()"),
        ("def sweep():\n return []\n", "yields nothing"),
        ("def sweep():\n yield 'a', 1\n", "a of sweep() is int"),
        ("def sweep():\n yield '../a', Config()\n", "cannot be a folder"),
        ("def sweep():\n yield 'a/b/c', Config()\n", "cannot be a folder"),
        ("def sweep():\n yield 'report', Config()\n", "cannot be a folder"),
        ("def sweep():\n yield 'a', Config()\n yield 'a/b', Config(seed=1)\n", "'a/b' of sweep()"),
        ("PAPER = []\ndef sweep():\n yield 'a', Config()\n", "dictionary"),
        ("PAPER = {'a': {'iou': 1}}\ndef sweep():\n yield 'a', Config()\n", "a.iou"),
        (
            "def sweep():\n yield 'a', Config()\n yield 'a', Config(seed=1)\n",
            "a and a of sweep() are alike",
        ),
        (
            "def sweep():\n yield 'a', Config()\n yield 'b', Config()\n",
            "a and b of sweep() are alike",
        ),
        ("def sweep():\n yield 'a'\n", "not enough values"),
        ("def sweep():\n yield 'a', 1 / 0\n", "line 3: ZeroDivisionError"),
    ],
)
def test_a_sweep_that_is_none_is_refused(tmp_path, text, expected):
    message = refusal(load_sweep, write(tmp_path, text), None, {})
    assert expected in message
    assert "experiment.py" in message


def test_a_field_that_makes_variants_alike_is_refused(tmp_path):
    path = write(
        tmp_path, "def sweep(seeds=2):\n for s in range(seeds):\n  yield str(s), Config(seed=s)"
    )
    assert "0 and 1 of sweep() are alike" in refusal(load_sweep, path, None, {"seed": "3"})
