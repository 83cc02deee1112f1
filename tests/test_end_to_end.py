"""The commands as a person or a program calls them, each in a process of its own."""

import io
import json
import os
import resource
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from PIL import Image

from pix2pix_jax.__main__ import command
from pix2pix_jax.writer import read_metrics

ROOT = Path(__file__).parent.parent
TINY = (
    "--config.data.image_size=32",
    "--config.data.load_size=36",
    "--config.data.flip=True",
    "--config.data.synthetic_pairs=6,2,2",
    "--config.model.features=8",
    "--config.model.depth=4",
    "--config.model.discriminator=patch16",
    "--config.model.discriminator_features=8",
    "--config.optimizer.schedule=constant",
    "--config.train.steps_per_call=1",
    "--config.train.log_every=4",
    "--config.train.checkpoint_every=4",
    "--config.train.sample_every=8",
    "--config.train.samples=1",
    "--config.train.keep=2",
)


def start(*arguments, **environment):
    """A process of the command line, on one device as on a plain machine."""
    command = [sys.executable, "-m", "pix2pix_jax", *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": ""} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments, **environment):
    process = start(*arguments, **environment)
    out, err = process.communicate()
    return process.returncode, out, err


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Arguments of a tiny run, and its data, prepared once."""
    data_dir = tmp_path_factory.mktemp("data")
    tiny = ("--config=experiments/quickstart.py", f"--config.data.data_dir={data_dir}", *TINY)
    status, out, err = run("prepare", *tiny)
    assert (status, err) == (0, "")
    assert {"6 train", "2 val", "2 test"} <= set(out.split(": ")[1].split(" pairs")[0].split(", "))
    return tiny


def train(tiny, workdir, steps, *more, **environment):
    steps = f"--config.train.steps={steps}"
    return run("train", *tiny, f"--workdir={workdir}", steps, *more, **environment)


@pytest.fixture(scope="module")
def straight(tiny, tmp_path_factory):
    """Twelve steps in one go."""
    workdir = tmp_path_factory.mktemp("straight")
    status, _, err = train(tiny, workdir, 12)
    assert (status, err) == (0, "")
    return workdir


def saved(workdir, step):
    """Every bit of the parameters and of the optimizer's state, by their places."""
    bits = {}
    for item in ("generator", "discriminator", "optimizer"):
        with ocp.StandardCheckpointer() as reader:
            tree = reader.restore(workdir / "checkpoints" / str(step) / item)
        for path, leaf in jax.tree.leaves_with_path(tree):
            place = f"{item}{jax.tree_util.keystr(path)} {leaf.shape} {leaf.dtype}"
            bits[place] = np.asarray(leaf).tobytes()
    return bits


def metrics(workdir):
    """Every value but the speed, by step."""
    lines = read_metrics(workdir / "metrics.jsonl")
    return {
        line["step"]: {k: v for k, v in line.items() if k != "images_per_second"} for line in lines
    }


def test_a_run_leaves_what_the_design_promises(straight):
    assert sorted(metrics(straight)) == [4, 8, 12]
    assert set(metrics(straight)[12]) >= {
        "step",
        "loss/discriminator",
        "loss/generator_gan",
        "loss/generator_l1",
        "validation/l1",
    }
    assert len(list((straight / "samples").iterdir())) == 2
    for name in ("step_00000008.png", "step_00000012.png"):
        with Image.open(straight / "samples" / name) as grid:
            assert grid.size == (4 + 3 * 36, 18 + 36)
    assert (straight / "report" / "index.html").stat().st_size > 10_000
    assert json.loads((straight / "config.json").read_text())["model"]["depth"] == 4
    assert sorted(p.name for p in (straight / "checkpoints").iterdir()) == ["12", "8"]


@pytest.mark.parametrize("steps_per_call", [1, 4])
def test_stopped_and_resumed_is_the_same_to_the_bit(tiny, straight, tmp_path, steps_per_call):
    """6 + 6 steps against 12 at once, one or four steps a call, jitter and dropout on."""
    more = f"--config.train.steps_per_call={steps_per_call}"
    assert train(tiny, tmp_path, 6, more)[0] == 0
    status, out, _ = train(tiny, tmp_path, 12, more)
    assert status == 0
    assert "going on from step 6" in out
    assert saved(tmp_path, 12) == saved(straight, 12)
    found = metrics(tmp_path)
    assert {step: found[step] for step in (4, 8, 12)} == metrics(straight)


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def test_killed_and_resumed_is_the_same_to_the_bit(tiny, straight, tmp_path):
    process = start("train", *tiny, f"--workdir={tmp_path}", "--config.train.steps=12")
    wait_for(tmp_path / "checkpoints" / "4", process)
    process.kill()
    process.communicate()
    assert train(tiny, tmp_path, 12)[0] == 0
    assert saved(tmp_path, 12) == saved(straight, 12)
    assert metrics(tmp_path) == metrics(straight)


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_exits(tiny, tmp_path, number, expected):
    process = start("train", *tiny, f"--workdir={tmp_path}", "--config.train.steps=1000000")
    wait_for(tmp_path / "metrics.jsonl", process)
    process.send_signal(number)
    out, err = process.communicate()
    assert (process.returncode, err) == (expected, "")
    step = int(out.partition("stopped at step ")[2].split()[0])
    assert (tmp_path / "checkpoints" / str(step) / "generator").is_dir()
    assert (tmp_path / "report" / "index.html").exists()


def test_a_signal_saves_though_nobody_watches_and_a_second_run_is_refused(tiny, tmp_path):
    command = ("train", *tiny, f"--workdir={tmp_path}", "--config.train.steps=1000000")
    process = start(*command, "--config.train.checkpoint_every=1000000")
    wait_for(tmp_path / "metrics.jsonl", process)
    refused("another process trains in it", *command)
    process.stdout.close()  # as Ctrl-C does to `| tee`
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert (process.returncode, err) == (130, "")
    assert any((tmp_path / "checkpoints").iterdir())


def test_a_damaged_checkpoint_costs_its_steps_and_no_more(tiny, straight, tmp_path):
    assert train(tiny, tmp_path, 8)[0] == 0
    (largest,) = (tmp_path / "checkpoints" / "8" / "generator" / "d").iterdir()
    largest.write_bytes(largest.read_bytes()[:-1])
    status, out, err = train(tiny, tmp_path, 12)
    assert status == 0
    assert err.startswith("checkpoint 8 rejected (")
    assert "going on from step 4" in out
    assert saved(tmp_path, 12) == saved(straight, 12)
    assert metrics(tmp_path) == metrics(straight)


LIMIT = 250_000  # bytes a file: more than a page or a picture, less than a checkpoint


def test_a_save_that_fails_costs_its_steps_and_no_more(tiny, straight, tmp_path):
    assert train(tiny, tmp_path, 4)[0] == 0
    process = start("train", *tiny, f"--workdir={tmp_path}", "--config.train.steps=12")
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (LIMIT, LIMIT))  # for a full disk
    _, err = process.communicate()
    assert (process.returncode, len(err.splitlines())) == (2, 1), err
    assert err.startswith(f"{tmp_path}/checkpoints: a checkpoint could not be written (File too")
    assert train(tiny, tmp_path, 12)[0] == 0
    assert saved(tmp_path, 12) == saved(straight, 12)


def test_a_run_gone_astray_ends_and_spoils_nothing(tiny, tmp_path):
    assert train(tiny, tmp_path, 4)[0] == 0
    config = tmp_path / "config.json"  # whose learning rate no flag may change
    config.write_text(config.read_text().replace("0.0002", "1e30"))
    before = saved(tmp_path, 4)
    expected = "step 5: loss/generator_"
    refused(expected, "train", f"--workdir={tmp_path}", "--config.train.steps=12")
    assert saved(tmp_path, 4) == before
    assert max(metrics(tmp_path)) == 4
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["4"]


def test_other_data_than_it_was_trained_on_is_refused(tiny, tmp_path):
    source = folder_of(tmp_path, {"1.jpg": jpeg(), "2.jpg": jpeg(80)})
    more = ("--config.data.name=folder", source, "--config.data.direction=AtoB")
    assert train(tiny, tmp_path / "run", 1, *more)[0] == 0
    folder_of(tmp_path, {"1.jpg": jpeg(96)})
    steps = "--config.train.steps=2"
    refused("other data", "train", *tiny, f"--workdir={tmp_path / 'run'}", steps, *more)


def test_a_batch_that_devices_cannot_share_is_refused(tiny, tmp_path):
    two = "--xla_force_host_platform_device_count=2"
    status, _, err = train(tiny, tmp_path, 1, "--config.data.batch_size=3", XLA_FLAGS=two)
    assert (status, len(err.splitlines())) == (2, 1)
    assert err.startswith("data.batch_size: 3 cannot be shared by 2 devices")


def test_a_platform_that_is_not_there_is_refused():
    experiment = "--config=experiments/quickstart.py"
    status, _, err = run("describe", experiment, JAX_PLATFORMS="cuda")
    assert (status, len(err.splitlines())) == (2, 1)
    assert err.startswith("JAX_PLATFORMS=cuda: no devices")


def test_a_finished_run_says_so_and_needs_only_its_workdir(straight):
    files = [straight / name for name in ("metrics.jsonl", "config.json")]
    before = [path.read_bytes() for path in files]
    for fewer in ((), ("--config.train.steps=4",)):
        status, out, err = run("train", f"--workdir={straight}", *fewer)
        assert (status, err) == (0, "")
        assert "done, step 12 of train.steps" in out
    assert [path.read_bytes() for path in files] == before


@pytest.fixture(scope="module")
def watched(tiny, tmp_path_factory):
    """Twelve steps, evaluated every third, two checkpoints kept beside the best."""
    workdir = tmp_path_factory.mktemp("watched")
    status, out, err = train(tiny, workdir, 12, *WATCHED)
    assert (status, err) == (0, "")
    return workdir, out


WATCHED = ("--config.train.evaluate_every=3", "--config.train.best_metric=ssim")


def test_a_run_watches_itself_and_keeps_its_best(watched):
    workdir, out = watched
    scores = {s: line for s, line in metrics(workdir).items() if "evaluation/ssim" in line}
    assert sorted(scores) == [3, 6, 9, 12]
    for name in ("l1", "psnr", "ssim", "lab_l", "lab_a", "lab_b"):
        assert all(np.isfinite(line[f"evaluation/{name}"]) for line in scores.values())
    best = max(scores, key=lambda step: scores[step]["evaluation/ssim"])
    assert f"best by ssim is step {best};" in out
    kept = {int(path.name) for path in (workdir / "checkpoints").iterdir()}
    assert kept == {best, 9, 12}
    assert f"Best by SSIM so far: step {best}" in (workdir / "report/index.html").read_text()


def test_watching_changes_no_bit_and_is_resumed_to_the_bit(tiny, straight, watched, tmp_path):
    workdir, _ = watched
    assert saved(workdir, 12) == saved(straight, 12)
    assert train(tiny, tmp_path, 6, *WATCHED)[0] == 0
    assert train(tiny, tmp_path, 12, *WATCHED)[0] == 0
    assert metrics(tmp_path) == metrics(workdir)


def test_evaluate_writes_numbers_and_a_page(watched):
    """With only its workdir; the numbers are those that training logged for this step."""
    workdir, _ = watched
    status, out, err = run("evaluate", f"--workdir={workdir}", "--no_fcn_score")
    assert (status, err) == (0, "")
    assert "SSIM" in out
    found = json.loads((workdir / "evaluation_val.json").read_text())
    assert (found["split"], found["step"], found["seed"], found["images"]) == ("val", 12, 0, 2)
    assert len(found["config_sha256"]) == 64
    logged = metrics(workdir)[12]
    for name, value in found["metrics"].items():
        np.testing.assert_allclose(value, logged[f"evaluation/{name}"], rtol=1e-5)
    assert len(list((workdir / "report" / "evaluation_val" / "output").iterdir())) == 2
    assert (workdir / "report" / "evaluation_val.html").exists()
    best = max(s for s in metrics(workdir) if f"step {s};" in watched[1].partition("best by")[2])
    _, out, _ = run("evaluate", f"--workdir={workdir}", "--no_fcn_score", "--step=best")
    assert ("of step 12, is replaced" in out) == (best != 12)
    assert json.loads((workdir / "evaluation_val.json").read_text())["step"] == best
    run("evaluate", f"--workdir={workdir}", "--no_fcn_score", "--step=9", "--split=test")
    text = (workdir / "evaluation_test.json").read_text()
    found = json.loads(text)
    assert (found["split"], found["step"], found["images"]) == ("test", 9, 2)
    assert sum(found["lab_histograms"]["target"]["lab_l"]) == 2 * 32 * 32
    assert len(text.splitlines()) < 60


def test_evaluate_refuses_what_is_not_there(tiny, watched, tmp_path, monkeypatch, capsys):
    workdir, _ = watched
    monkeypatch.chdir(ROOT)
    (tmp_path / "config.json").write_bytes((workdir / "config.json").read_bytes())
    for expected, arguments in (
        ("there are ", (f"--workdir={workdir}", "--step=5")),
        ("--step", (f"--workdir={workdir}", "--step=last")),
        ("'dev'", (f"--workdir={workdir}", "--split=dev")),
        ("config.json: not found", (f"--workdir={tmp_path / 'none'}",)),
        ("--workdir", tiny),
        ("model.features", (f"--workdir={workdir}", "--config.model.features=16")),
        ("holds no checkpoints", (f"--workdir={tmp_path}",)),
    ):
        assert command(["evaluate", *arguments]) == 2  # in this process: nothing is computed
        _, err = capsys.readouterr()
        assert len(err.splitlines()) == 1, err
        assert expected in err
        assert not list(tmp_path.glob("evaluation*"))


def test_a_dataset_without_classes_has_all_scores_but_one(tiny, tmp_path):
    source = folder_of(tmp_path, {"1.jpg": jpeg(), "2.jpg": jpeg(80)})
    workdir = tmp_path / "run"
    more = ("--config.data.name=folder", source, "--config.data.direction=AtoB")
    assert train(tiny, workdir, 1, *more)[0] == 0
    status, _, err = run("evaluate", f"--workdir={workdir}")
    assert (status, len(err.splitlines())) == (2, 1)
    assert err.startswith("data.name: folder has no palette")
    found = json.loads((workdir / "evaluation_val.json").read_text())
    assert list(found["metrics"]) == ["l1", "psnr", "ssim", "lab_l", "lab_a", "lab_b"]
    best = "--config.train.best_metric=class_iou"
    refused("no palette", "train", *tiny, f"--workdir={tmp_path / 'b'}", *more, *WATCHED[:1], best)


def test_describe_for_programs():
    status, out, _ = run(
        "describe", "--config=experiments/facades.py", "--format=json",
        "--config.model.discriminator=image286",
    )  # fmt: skip
    summary = json.loads(out)
    assert status == 0
    assert summary["generator"]["parameters"] == 54_413_955
    assert summary["discriminator"]["parameters"] == 11_159_361
    assert summary["discriminator"]["receptive_field"] == 286
    assert summary["discriminator"]["output_shape"][:2] == [6, 6]


def test_tensorflow_is_never_asked_for(tiny, tmp_path):
    """A package of that name that refuses to be imported is in the way of nothing."""
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("raise SystemExit('imported')")
    status, _, err = train(tiny, tmp_path / "run", 1, PYTHONPATH=str(tmp_path))
    assert (status, err) == (0, "")


def jpeg(width=64, height=32):
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()


def folder_of(tmp_path, files):
    for name, content in files.items():
        path = tmp_path / "pairs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return f"--config.data.source={tmp_path / 'pairs'}"


FOLDERS = {
    "a truncated JPEG is named": ({"1.jpg": jpeg(), "2.jpg": jpeg()[:700]}, "2.jpg"),
    "an A without its B is named": ({"A/1.jpg": jpeg(), "B/2.jpg": jpeg()}, "A/1.jpg"),
    "an empty folder": ({".hidden": b""}, "pairs"),
    "a text file for an image": ({"1.png": b"hello"}, "1.png"),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_bad_folders_are_refused_in_one_line(tmp_path, case):
    files, expected = FOLDERS[case]
    workdir = tmp_path / "run"
    refused(
        expected, "train", "--config=experiments/folder.py", f"--workdir={workdir}",
        f"--config.data.data_dir={tmp_path / 'data'}", folder_of(tmp_path, files),
    )  # fmt: skip
    assert not workdir.exists()  # so that the mended command is not another run's


def refused(expected, *arguments):
    status, _, err = run(*arguments)
    assert status == 2
    assert len(err.splitlines()) == 1, err
    assert expected in err


FIELDS = {
    "an unknown field": ("data.bach_size=4", "did you mean data.batch_size?"),
    "a wrong type": ("data.batch_size=four", "--config.data.batch_size"),
    "an impossible size": ("data.image_size=100", "96x96"),
    "a discriminator too deep": ("data.image_size=16", "those that fit: pixel, patch16"),
    "a source that is missing": ("data.source=nowhere.tar.gz", "nowhere.tar.gz"),
    "not a number": ("optimizer.learning_rate=nan", "optimizer.learning_rate"),
    "a batch for no device": ("data.batch_size=0", "data.batch_size"),
}


@pytest.mark.parametrize("case", FIELDS)
def test_bad_fields_are_refused_in_one_line(tmp_path, case):
    field, expected = FIELDS[case]
    refused(
        expected, "train", "--config=experiments/facades.py", f"--workdir={tmp_path / 'run'}",
        f"--config.data.data_dir={tmp_path / 'data'}", f"--config.{field}",
    )  # fmt: skip


def test_bad_tarballs_are_refused_in_one_line(tmp_path):
    (tmp_path / "no.tar.gz").write_bytes(b"not a tarball")
    with tarfile.open(tmp_path / "cut.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("train/1.jpg")
        info.size = len(jpeg())
        archive.addfile(info, io.BytesIO(jpeg()))
    content = (tmp_path / "cut.tar.gz").read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(content[: len(content) // 2])
    for name in ("no.tar.gz", "cut.tar.gz"):
        refused(
            name, "prepare", "--config=experiments/facades.py",
            f"--config.data.data_dir={tmp_path / 'data'}",
            f"--config.data.source={tmp_path / name}",
        )  # fmt: skip


def test_the_workdir_of_another_config_is_refused(tiny, straight):
    before = (straight / "config.json").read_bytes()
    refused("loss.l1_weight", "train", *tiny, f"--workdir={straight}", "--config.loss.l1_weight=1")
    assert (straight / "config.json").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("train",), "--config"),
        (("train", "--config=nowhere.py"), "nowhere.py"),
        (("train", "--config=experiments/quickstart.py"), "--workdir"),
        (("paint",), "paint"),
        (("describe", "--config=experiments/quickstart.py", "--depth=3"), "--depth=3"),
        (("describe", "--workdir=nowhere"), "nowhere"),
    ],
)
def test_bad_usage_is_refused_in_one_line(arguments, expected):
    refused(expected, *arguments)


@pytest.mark.slow
def test_the_quickstart_learns(tmp_path):
    """Validation L1 at the end is under half of what it was after 50 steps."""
    status, _, err = run(
        "train", "--config=experiments/quickstart.py", f"--workdir={tmp_path / 'run'}",
        f"--config.data.data_dir={tmp_path / 'data'}",
    )  # fmt: skip
    assert (status, err) == (0, "")
    l1 = {
        line["step"]: line["validation/l1"] for line in read_metrics(tmp_path / "run/metrics.jsonl")
    }
    assert l1[4000] < l1[50] / 2


@pytest.mark.slow
def test_a_sweep_killed_at_random_ends_as_one_left_alone(tmp_path):
    """Three SIGKILLs, wherever they hit, the segmenter's training included; then once more."""
    experiment = tmp_path / "experiment.py"
    experiment.write_text(
        "from dataclasses import replace\n"
        "from pix2pix_jax.config_files import load_experiment\n"
        "def sweep(seeds=2):\n"
        f"    config = load_experiment({str(ROOT / 'experiments/quickstart.py')!r})\n"
        "    for name in ('pixel', 'patch16'):\n"
        "        model = replace(config.model, discriminator=name)\n"
        "        for seed in range(seeds):\n"
        "            yield f'{name}/{seed}', replace(config, model=model, seed=seed)\n"
    )
    fields = [field for field in TINY if "discriminator=" not in field]

    def arguments(name):
        return (
            "sweep", f"--config={experiment}", *fields, "--config.train.steps=12",
            f"--workdir={tmp_path / name}", f"--config.data.data_dir={tmp_path / name / 'data'}",
        )  # fmt: skip

    start_time = time.monotonic()
    status, _, err = run(*arguments("alone"))
    assert (status, err) == (0, "")
    whole = time.monotonic() - start_time
    moments = np.random.default_rng(0).uniform(3, whole / 2, 3)
    for moment in moments:
        process = start(*arguments("killed"))
        time.sleep(moment)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL  # it was not done yet
    status, _, err = run(*arguments("killed"))
    assert (status, err) == (0, ""), moments
    alone, killed = (tmp_path / name / "results.json" for name in ("alone", "killed"))
    assert killed.read_bytes() == alone.read_bytes(), moments
    assert json.loads(alone.read_text())["rows"][0]["metrics"]["class_iou"]["spread"] > 0
