"""Variants are run, skipped, or marked as failed."""

import json
import signal
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.command_line import ROOT, TINY, run, start
from helpers.evaluations import VARIANTS, write_evaluation
from helpers.refusals import refusal
from helpers.shared_folders import make_once

from pix2pix_jax.cli.main import run_command
from pix2pix_jax.config.files import override, write_config
from pix2pix_jax.config.resolve import resolve, resolve_epochs
from pix2pix_jax.errors import UsageError
from pix2pix_jax.evaluation import evaluation_file, segmenter
from pix2pix_jax.runs.ownership import WorkdirBusy
from pix2pix_jax.runs.workdir import SweepFolder
from pix2pix_jax.sweeps import sweep as sweep_module
from pix2pix_jax.sweeps.plan import format_plan
from pix2pix_jax.sweeps.sweep import sweep
from pix2pix_jax.training.divergence import Diverged

DATASET = SimpleNamespace(info=SimpleNamespace(splits=("train", "val")))


@pytest.fixture
def calls(monkeypatch):
    """Replaces training and evaluation, and records the variants that are trained.

    trained: the names of the folders, in order.
    errors: the error that training raises, by name.
    statuses: the exit status of training that a signal stops, by name.
    pairs, segmenter: the present fingerprint of the pairs and name of the segmenter.
    """
    seen = {"trained": [], "errors": {}, "statuses": {}, "pairs": "pairs", "segmenter": "segmenter"}

    def train(config, workdir):
        seen["trained"].append(workdir.name)
        if seen["trained"][-1] in seen["errors"]:
            raise seen["errors"][seen["trained"][-1]]
        return seen["statuses"].get(seen["trained"][-1], 0)

    def evaluate(config, workdir, options):
        assert options.step == config.train.steps
        assert not (options.fcn_score and config.data.name == "folder")
        iou = config.model.features / 100 + config.seed / 1000
        segmenter = seen["segmenter"] if options.fcn_score else None
        args = config, workdir.path, options.split, iou
        write_evaluation(*args, pairs=seen["pairs"], segmenter=segmenter)

    def open_split(dataset, split):
        if split == "test":
            raise UsageError("no test")

    for name, stub in {
        "train": train,
        "evaluate": evaluate,
        "prepare": lambda data: DATASET,
        "open_split": open_split,
        "why_no_classes": lambda data, dataset: "" if data.name != "folder" else "no palette",
    }.items():
        monkeypatch.setattr(sweep_module, name, stub)
    monkeypatch.setattr(evaluation_file, "pairs_fingerprint", lambda dataset, split: seen["pairs"])
    monkeypatch.setattr(
        evaluation_file,
        "class_reader_name",
        lambda data, dataset: seen["segmenter"] if data.name != "folder" else None,
    )
    return seen


def test_all_variants_run_once_and_in_order(plan, calls, tmp_path):
    assert sweep(plan, SweepFolder(tmp_path), None, "val") == 0
    assert calls["trained"] == VARIANTS
    assert sweep(plan, SweepFolder(tmp_path), None, "val") == 0
    assert calls["trained"] == VARIANTS


def test_a_variant_with_other_steps_or_fields_runs_again(plan, calls, tmp_path):
    sweep(plan, SweepFolder(tmp_path), None, "val")
    longer = [(n, replace(c, train=replace(c.train, steps=16))) for n, c in plan.variants[:1]]
    other = [(n, replace(c, loss=replace(c.loss, l1_weight=1))) for n, c in plan.variants[1:2]]
    sweep(plan._replace(variants=longer + other), SweepFolder(tmp_path), None, "val")
    assert calls["trained"] == [*VARIANTS, *VARIANTS[:2]]


@pytest.mark.parametrize("what", ["pairs", "segmenter"])
def test_changed_pairs_or_segmenter_are_evaluated_again(plan, calls, tmp_path, what):
    sweep(plan, SweepFolder(tmp_path), 0, "val")
    calls[what] = "another"
    sweep(plan, SweepFolder(tmp_path), 0, "val")
    sweep(plan, SweepFolder(tmp_path), 0, "val")
    assert calls["trained"] == VARIANTS[:1] * 2


def test_a_run_with_a_decaying_rate_and_other_steps_runs_again(plan, calls, tmp_path):
    """The run was even evaluated half-way, at exactly the new number of steps."""
    name, config = plan.variants[0]
    decaying = replace(config, optimizer=replace(config.optimizer, schedule="linear_decay"))
    write_evaluation(decaying, tmp_path / name, "val", 0.5)
    shorter = replace(decaying, train=replace(decaying.train, steps=4))
    path = tmp_path / name / "evaluation_val.json"
    path.write_text(path.read_text().replace('"step": 8', '"step": 4'))
    sweep(plan._replace(variants=[(name, shorter)]), SweepFolder(tmp_path), None, "val")
    assert calls["trained"] == VARIANTS[:1]


def test_a_dataset_without_classes_is_compared_without_the_fcn_score(plan, calls, tmp_path, capsys):
    variants = [
        (name, replace(config, data=replace(config.data, name="folder", source=str(tmp_path))))
        for name, config in plan.variants[:2]
    ]
    for _ in range(2):
        sweep(plan._replace(variants=variants), SweepFolder(tmp_path), None, "val")
        # The line is about the dataset, so it is printed once and not for each variant.
        assert capsys.readouterr().out.count("the FCN-score is left out: no palette\n") == 1
    assert calls["trained"] == VARIANTS[:2]
    sweep(plan._replace(variants=variants[:1]), SweepFolder(tmp_path), None, "val", False)
    assert "left out" not in capsys.readouterr().out
    sentence = "The only run has no FCN-score. `pix2pix evaluate --workdir=RUN` prints the reason."
    assert sentence in (tmp_path / "results.md").read_text()


def test_a_measured_fcn_score_is_kept_when_later_sweeps_skip_it(plan, calls, tmp_path):
    """A sweep with the FCN-score evaluates again; a sweep without the FCN-score changes nothing."""
    for fcn_score in (False, True, False):
        sweep(plan, SweepFolder(tmp_path), 0, "val", fcn_score)
        evaluation = json.loads((tmp_path / VARIANTS[0] / "evaluation_val.json").read_text())
        assert evaluation["segmenter"] == (None if len(calls["trained"]) == 1 else "segmenter")
    assert calls["trained"] == VARIANTS[:1] * 2


def test_a_change_that_no_run_can_take_is_refused_before_anything_is_written(plan, calls, tmp_path):
    """The error comes with and without --index, and also for --list."""
    sweep(plan, SweepFolder(tmp_path), None, "val")
    for name, config in plan.variants:
        write_config(config, tmp_path / name / "config.json")
    before = (tmp_path / "results.md").read_bytes()
    changed = [(n, replace(c, loss=replace(c.loss, l1_weight=1))) for n, c in plan.variants]
    other = plan._replace(variants=changed)
    for call in (
        (sweep, other, SweepFolder(tmp_path), None, "val"),
        (sweep, other, SweepFolder(tmp_path), 3, "val"),
    ):
        message = refusal(*call)
        assert "little/seed0/config.json: belongs to a run with another loss.l1_weight" in message
    assert "another loss.l1_weight" in refusal(format_plan, other, SweepFolder(tmp_path), "val")
    assert (tmp_path / "results.md").read_bytes() == before
    assert calls["trained"] == VARIANTS


def forgotten(plan, folder, *fields):
    """The flags that the error names, if a sweep of runs with these fields is continued without."""
    for name, config in plan.variants[:3]:
        for field, value in fields:
            config = override(config, {field: value})
        run_config = resolve_epochs(resolve(config), 6)
        # `train` writes the number of images that share a norm.
        run_config = replace(run_config, model=replace(run_config.model, norm_images=4))
        write_config(run_config, folder / name / "config.json")
    message = refusal(sweep, plan, SweepFolder(folder), None, "val")
    return message.partition("; ")[2]


def test_a_sweep_that_is_continued_without_its_flags_names_them(plan, calls, tmp_path):
    """load_size follows from load_scale, so it needs no flag."""
    fix = forgotten(
        plan,
        tmp_path,
        ("data.name", "folder"),
        ("data.source", "my pairs"),
        ("data.load_size", "None"),
        ("data.load_scale", "1.5"),
        ("train.log_every", "4"),
    )
    assert fix == (
        "to continue its runs, give --config.data.name=folder "
        f"'--config.data.source={Path('my pairs').absolute()}' --config.data.load_scale=1.5, or "
        "give the sweep another --workdir"
    )
    assert calls["trained"] == []


def test_a_sweep_names_a_forgotten_length(plan, calls, tmp_path):
    decaying = plan._replace(
        variants=[
            (name, replace(config, optimizer=replace(config.optimizer, schedule="linear_decay")))
            for name, config in plan.variants
        ]
    )
    assert "give --config.train.steps=24, or" in forgotten(
        decaying, tmp_path, ("train.steps", "24")
    )


def test_a_change_that_no_flag_undoes_gets_no_flag(plan, calls, tmp_path):
    """The sweep file itself has changed: its variants have other losses now."""
    for index, (name, config) in enumerate(plan.variants):
        config = replace(resolve(config), loss=replace(config.loss, l1_weight=index))
        write_config(config, tmp_path / name / "config.json")
    message = refusal(sweep, plan, SweepFolder(tmp_path), None, "val")
    assert message.endswith("; undo the change, or give the sweep another --workdir")


def test_a_flag_that_would_make_variants_equal_is_not_proposed(plan, calls, tmp_path):
    name, config = plan.variants[0]
    write_config(resolve(replace(config, seed=7)), tmp_path / name / "config.json")
    message = refusal(sweep, plan, SweepFolder(tmp_path), None, "val")
    assert message.endswith("; undo the change, or give the sweep another --workdir")


def test_results_with_the_title_of_an_earlier_version_belong_to_the_sweep(plan, calls, tmp_path):
    plan = plan._replace(title="Objective", paper_table="table 1: Cityscapes")
    for title in ("Objective; the paper's, table 1: Cityscapes", "Objective"):
        (tmp_path / "results.json").write_text(json.dumps({"title": title}))
        assert sweep(plan, SweepFolder(tmp_path), None, "val") == 0
        assert json.loads((tmp_path / "results.json").read_text())["title"] == "Objective"
    (tmp_path / "results.json").write_text('{"title": "Objective; the paper\'s, table 2: maps"}')
    assert "another sweep" in refusal(sweep, plan, SweepFolder(tmp_path), None, "val")


def test_a_missing_split_is_refused_before_any_training(plan, calls, tmp_path):
    """Nothing is run or written."""
    sweep(plan, SweepFolder(tmp_path), None, "val")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert refusal(sweep, plan, SweepFolder(tmp_path), None, "test") == "no test"
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert calls["trained"] == VARIANTS


def test_missing_data_fail_only_their_own_variants(plan, calls, tmp_path, monkeypatch):
    def prepare(data):
        if data.name == "folder":
            raise UsageError("data.source: moved away")
        return DATASET

    monkeypatch.setattr(sweep_module, "prepare", prepare)
    name, config = plan.variants[1]
    folder = replace(config, data=replace(config.data, name="folder", source=str(tmp_path)))
    plan = plan._replace(variants=[plan.variants[0], (name, folder), *plan.variants[2:]])
    assert "1 of 4 variants failed (little/seed1)" in refusal(
        sweep, plan, SweepFolder(tmp_path), None, "val"
    )
    assert calls["trained"] == [VARIANTS[0], *VARIANTS[2:]]
    assert (tmp_path / name / "failed.txt").read_text() == "data.source: moved away\n"
    # A finished evaluation stays in the table.
    write_evaluation(folder, tmp_path / name, "val", 0.5, segmenter=None)
    assert "(little/seed1)" in refusal(sweep, plan, SweepFolder(tmp_path), 1, "val")
    row = json.loads((tmp_path / "results.json").read_text())["rows"][0]
    assert (len(row["runs"]), row["failed"]) == (2, {name: "data.source: moved away"})


def test_a_damaged_config_json_fails_only_its_own_variant(plan, calls, tmp_path):
    """A power cut may leave an empty file. `train` refuses the file; here, a stand-in does."""
    (tmp_path / VARIANTS[1]).mkdir(parents=True)
    (tmp_path / VARIANTS[1] / "config.json").touch()
    calls["errors"] = {VARIANTS[1]: UsageError("config.json: invalid")}
    assert "1 of 4 variants failed" in refusal(sweep, plan, SweepFolder(tmp_path), None, "val")
    assert calls["trained"] == VARIANTS
    assert len(format_plan(plan, SweepFolder(tmp_path), "val").splitlines()) == 7


def test_a_variant_that_diverges_gets_no_flag_for_all_variants(plan, calls, tmp_path):
    flag = "run the same command with --config.optimizer.learning_rate=0.0001"
    calls["errors"] = {VARIANTS[1]: Diverged("step 3: loss/generator_l1 is nan", flag)}
    assert "1 of 4 variants failed" in refusal(sweep, plan, SweepFolder(tmp_path), None, "val")
    assert (tmp_path / VARIANTS[1] / "failed.txt").read_text() == (
        "step 3: loss/generator_l1 is nan; give this variant a lower optimizer.learning_rate in "
        f"the sweep file, move {tmp_path / VARIANTS[1]} away, and run the sweep again\n"
    )


def test_a_variant_that_another_process_trains_is_listed_as_missing(plan, calls, tmp_path):
    calls["errors"] = {VARIANTS[0]: WorkdirBusy("another process trains in it")}
    assert sweep(plan, SweepFolder(tmp_path), None, "val") == 0
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert (rows[0]["missing"], rows[0]["failed"]) == ([VARIANTS[0]], {})


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"null", b'{"step": 8}', b'{"step', b"\xff", b"[" * 100_000]
)
def test_a_damaged_evaluation_is_evaluated_again(plan, calls, tmp_path, content):
    name, config = plan.variants[0]
    write_evaluation(config, tmp_path / name, "val", 0.5)
    (tmp_path / name / "evaluation_val.json").write_bytes(content)
    assert "evaluated" not in format_plan(plan, SweepFolder(tmp_path), "val")
    sweep(plan, SweepFolder(tmp_path), None, "val")
    assert calls["trained"] == VARIANTS


@pytest.mark.parametrize(
    "change",
    [{"metrics": None}, {"metrics": {"l1": "0.4"}}, {"lab_histograms": {}}, {"pairs": [1]}],
)
def test_an_evaluation_with_wrong_types_is_evaluated_again(plan, calls, tmp_path, change):
    name, config = plan.variants[0]
    write_evaluation(config, tmp_path / name, "val", 0.5)
    path = tmp_path / name / "evaluation_val.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    sweep(plan, SweepFolder(tmp_path), None, "val")
    assert calls["trained"] == VARIANTS


def test_a_variant_whose_folder_is_a_file_does_not_stop_the_others(plan, calls, tmp_path):
    """The reason of the failure cannot be written to a file of the variant."""
    (tmp_path / "little").touch()
    calls["errors"] = {VARIANTS[0]: NotADirectoryError("little")}
    assert "1 of 2 variants failed (little/seed0)" in refusal(
        sweep, plan._replace(variants=plan.variants[::2]), SweepFolder(tmp_path), None, "val"
    )
    assert calls["trained"] == VARIANTS[2:3]


def test_results_of_another_sweep_are_not_replaced(plan, calls, tmp_path):
    sweep(plan, SweepFolder(tmp_path), None, "val")
    before = (tmp_path / "results.json").read_bytes()
    other = plan._replace(title="Another")
    assert f"belongs to another sweep, '{plan.title}'" in refusal(
        sweep, other, SweepFolder(tmp_path), None, "val"
    )
    name, config = plan.variants[0]
    (tmp_path / name / "checkpoints" / "12").mkdir(parents=True)
    write_config(resolve(config), tmp_path / name / "config.json")
    message = refusal(sweep, plan, SweepFolder(tmp_path), None, "val")
    assert "has reached step 12, past train.steps" in message
    (tmp_path / name / "checkpoints" / "8").mkdir()
    assert sweep(plan, SweepFolder(tmp_path), None, "val") == 0
    write_config(config, tmp_path / "config.json")
    assert f"{tmp_path}: is the workdir of a run" in refusal(
        sweep, plan, SweepFolder(tmp_path), None, "val"
    )
    assert (tmp_path / "results.json").read_bytes() == before
    assert calls["trained"] == VARIANTS


def test_an_index_runs_one_variant_and_collects_all_results(plan, calls, tmp_path):
    for index in (2, 0):
        assert sweep(plan, SweepFolder(tmp_path), index, "val") == 0
    assert calls["trained"] == ["big/seed0", "little/seed0"]
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [len(row["runs"]) for row in rows[:2]] == [1, 1]
    assert [row["missing"] for row in rows[:2]] == [["little/seed1"], ["big/seed1"]]
    for index in (-1, 4):
        assert f"--index: {index}" in refusal(sweep, plan, SweepFolder(tmp_path), index, "val")


def test_a_failed_variant_stops_no_other_variant_and_is_tried_again(plan, calls, tmp_path):
    calls["errors"] = {
        VARIANTS[0]: UsageError("too large"),
        VARIANTS[3]: ZeroDivisionError("by\nzero"),
    }
    message = refusal(sweep, plan, SweepFolder(tmp_path), None, "val")
    assert "2 of 4 variants failed (little/seed0, big/seed1)" in message
    assert "the only variant failed (big/seed1)" in refusal(
        sweep, plan, SweepFolder(tmp_path), 3, "val"
    )
    calls["trained"].pop()
    assert calls["trained"] == VARIANTS
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [row["failed"] for row in rows] == [
        {"little/seed0": "too large"},
        {"big/seed1": "ZeroDivisionError: by zero"},
        {},
    ]
    assert "1 of 2; failed: too large" in (tmp_path / "results.md").read_text()
    assert "failed: too large" in (tmp_path / "report" / "index.html").read_text()
    calls["errors"] = {}
    assert sweep(plan, SweepFolder(tmp_path), None, "val") == 0
    assert calls["trained"] == [*VARIANTS, VARIANTS[0], VARIANTS[3]]
    assert not list(tmp_path.rglob("failed.txt"))


def test_a_bug_in_a_variant_keeps_its_traceback(plan, calls, tmp_path, capsys):
    """The traceback of an error that the user can fix is printed only with PIX2PIX_DEBUG=1."""
    calls["errors"] = {
        VARIANTS[0]: UsageError("too large"),
        VARIANTS[1]: PermissionError(13, "Permission denied", "run/checkpoints"),
        VARIANTS[2]: KeyError("gan"),
        VARIANTS[3]: AssertionError("shapes"),
    }
    refusal(sweep, plan, SweepFolder(tmp_path), None, "val")
    out, err = capsys.readouterr()
    assert "failed: too large" in out
    assert "failed: run/checkpoints: Permission denied" in out
    assert err.count("Traceback") == 2
    assert err.index("KeyError: 'gan'") < err.index("AssertionError: shapes")
    assert 'in train\n    raise seen["errors"]' in err


def test_a_variant_that_cannot_be_built_is_reported_as_failed(plan, calls, tmp_path):
    name, config = plan.variants[0]
    bad = replace(config, data=replace(config.data, image_size=(30, 30), load_size=None))
    plan = plan._replace(variants=[(name, bad), *plan.variants[1:]])
    assert "little/seed0" in refusal(sweep, plan, SweepFolder(tmp_path), None, "val")
    assert "cannot be built: data.image_size: 30x30" in format_plan(
        plan, SweepFolder(tmp_path), "val"
    )


def test_a_signal_stops_the_sweep(plan, calls, tmp_path):
    calls["statuses"] = {VARIANTS[1]: 143}
    assert sweep(plan, SweepFolder(tmp_path), None, "val") == 143
    assert calls["trained"] == VARIANTS[:2]
    assert not (tmp_path / "results.json").exists()


def test_results_written_twice_are_equal(plan, calls, tmp_path):
    sweep(plan, SweepFolder(tmp_path), None, "val")
    names = ("results.json", "results.md", "report/index.html")
    first = [(tmp_path / name).read_bytes() for name in names]
    sweep(plan, SweepFolder(tmp_path), None, "val")
    assert [(tmp_path / name).read_bytes() for name in names] == first


@pytest.fixture(scope="module")
def tiny_sweep(tmp_path_factory):
    """Arguments of a sweep with two seeds of one row, and twelve steps in each run."""
    # One file for all workers, because the sweep's results name the file.
    folder = make_once(tmp_path_factory, "tiny_sweep", write_tiny_sweep)
    fields = [field for field in TINY if "discriminator=" not in field]
    return ("sweep", f"--config={folder / 'experiment.py'}", *fields, "--config.train.steps=12")


def write_tiny_sweep(folder):
    (folder / "experiment.py").write_text(
        "from dataclasses import replace\n"
        "from pix2pix_jax.config import load_experiment\n"
        "from pix2pix_jax.evaluation.segmenter import STEPS\n"
        "STEPS['synthetic_facades'] = 100\n"  # Training the segmenter would take most of the time.
        "def sweep(seeds=2):\n"
        f"    config = load_experiment({str(ROOT / 'experiments/quickstart.py')!r})\n"
        "    model = replace(config.model, discriminator='pixel')\n"
        "    for seed in range(2):\n"
        "        yield f'pixel/{seed}', replace(config, model=model, seed=seed)\n"
    )


@pytest.fixture(scope="module")
def finished_sweep(tiny_sweep, tmp_path_factory):
    """The folder of a finished sweep and its data."""

    def run_sweep(workdir):
        where = (f"--workdir={workdir}", f"--config.data.data_dir={workdir / 'data'}")
        status, _, err = run(*tiny_sweep, *where, fork=False)
        assert (status, err) == (0, "")

    return make_once(tmp_path_factory, "finished_sweep", run_sweep)


@pytest.mark.slow
def test_a_sweep_killed_three_times_equals_an_uninterrupted_sweep(
    tiny_sweep, finished_sweep, tmp_path
):
    """The sweep is killed in the segmenter's training, after a checkpoint, and in an evaluation."""
    killed = tmp_path / "killed"
    arguments = (*tiny_sweep, f"--workdir={killed}", f"--config.data.data_dir={killed / 'data'}")
    random = np.random.default_rng(0)
    for sign in (
        "data/segmenters/*/.lock", "pixel/1/checkpoints/8", "pixel/1/report/.evaluation_val.new",
    ):  # fmt: skip
        process = start(*arguments)
        while not list(killed.glob(sign)):
            assert process.poll() is None, (sign, process.communicate())
            time.sleep(0.002)
        time.sleep(random.uniform(0, 0.05))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, sign
    assert not (killed / "results.json").exists()
    status, _, err = run(*arguments)
    assert (status, err) == (0, "")
    expected = (finished_sweep / "results.json").read_bytes()
    assert (killed / "results.json").read_bytes() == expected
    assert json.loads(expected)["rows"][0]["metrics"]["class_iou"]["spread"] > 0


@pytest.mark.slow
def test_an_array_job_equals_one_sweep(tiny_sweep, finished_sweep, tmp_path):
    """Two processes run a variant each; the last to finish writes the whole table."""
    one = (*tiny_sweep, f"--config.data.data_dir={finished_sweep / 'data'}")
    jobs = [start(*one, f"--workdir={tmp_path / 'array'}", f"--index={i}") for i in range(2)]
    for job in jobs:
        _, err = job.communicate()
        assert (job.returncode, err) == (0, "")
    for name in ("results.json", "results.md"):
        assert (tmp_path / "array" / name).read_bytes() == (finished_sweep / name).read_bytes()


def test_the_sweep_command_reports_usage_errors_in_one_line(
    tiny_sweep, tmp_path, monkeypatch, capsys
):
    # The experiment changes this table, and other tests of this process need it as it was.
    monkeypatch.setattr(segmenter, "STEPS", dict(segmenter.STEPS))
    monkeypatch.chdir(ROOT)
    workdir = f"--workdir={tmp_path / 'sweep'}"
    for expected, arguments in (
        ("--config: is missing; give a sweep", ("sweep", workdir)),
        ("--workdir: is missing", tiny_sweep),
        ("no such experiment", ("sweep", "--config=experiments/nowhere.py", workdir)),
        ("has no sweep()", ("sweep", "--config=experiments/quickstart.py", workdir)),
        ("--index: 2 is not between 0 and 1", (*tiny_sweep, workdir, "--index=2")),
        ("--index: first is not valid", (*tiny_sweep, workdir, "--index=first")),
        ("--seeds", (*tiny_sweep, workdir, "--seeds=0")),
        ("--split", (*tiny_sweep, workdir, "--split=dev")),
    ):
        assert run_command(arguments) == 2  # in this process: nothing is computed
        _, err = capsys.readouterr()
        assert len(err.splitlines()) == 1, err
        assert expected in err
    assert not (tmp_path / "sweep").exists()
