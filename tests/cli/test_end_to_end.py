"""The commands, each in a process of its own, as a person or a program calls them."""

import json
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest
from helpers.command_line import (
    events,
    folder_of,
    jpeg,
    metrics,
    refused,
    run,
    saved_arrays,
    start,
    train,
)
from PIL import Image

from pix2pix_jax.data.contents.facts import read_contents
from pix2pix_jax.runs.metrics_log import read_metrics
from pix2pix_jax.runs.workdir import Workdir


def test_a_run_writes_metrics_samples_report_config_and_checkpoints(uninterrupted_run):
    assert sorted(metrics(uninterrupted_run)) == [4, 8, 12]
    assert set(metrics(uninterrupted_run)[12]) >= {
        "step",
        "loss/discriminator",
        "loss/generator_gan",
        "loss/generator_l1",
        "validation/l1",
    }
    assert len(list((uninterrupted_run / "samples").iterdir())) == 2
    for name in ("step_00000008.png", "step_00000012.png"):
        with Image.open(uninterrupted_run / "samples" / name) as grid:
            assert grid.size == (4 + 3 * 36, 18 + 36)
    assert (uninterrupted_run / "report" / "index.html").stat().st_size > 10_000
    assert json.loads((uninterrupted_run / "config.json").read_text())["model"]["depth"] == 4
    pairs = read_contents(uninterrupted_run / "pairs.json")
    assert (pairs.form, pairs.sides["B"].sizes.width) == ("halves", 32)
    assert sorted(p.name for p in (uninterrupted_run / "checkpoints").iterdir()) == ["12", "8"]


@pytest.mark.parametrize("steps_per_call", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_a_resumed_run_equals_an_uninterrupted_run_to_the_bit(
    tiny_flags, uninterrupted_run, tmp_path, steps_per_call
):
    """6 + 6 steps equal 12 steps, with one or four steps per call, and with jitter and dropout.

    The host crops the pairs of steps 1 to 6, and the device crops the pairs of steps 7 to 12.
    """
    more = f"--config.train.steps_per_call={steps_per_call}"
    assert train(tiny_flags, tmp_path, 6, more, "--config.data.resident_mib=0")[0] == 0
    status, out, _ = train(tiny_flags, tmp_path, 12, more)
    assert status == 0
    assert "resuming from step 6" in out
    assert saved_arrays(tmp_path, 12) == saved_arrays(uninterrupted_run, 12)
    found = metrics(tmp_path)
    assert {step: found[step] for step in (4, 8, 12)} == metrics(uninterrupted_run)


def test_a_new_run_continues_from_the_weights_of_another_run(first_steps, tmp_path):
    """The error line of a changed field prints the command, and the command works as printed."""
    old, rate = shutil.copytree(first_steps, tmp_path / "old"), "--config.optimizer.learning_rate"
    status, _, err = run("train", f"--workdir={old}", f"{rate}=1e-4")
    assert status == 2
    command = shlex.split(err.partition("`pix2pix ")[2].partition("`")[0])
    assert command == ["train", f"--init={old}", f"--workdir={old}_2", f"{rate}=0.0001"]
    status, out, err = run(*command, "--config.train.steps=1", "--config.train.checkpoint_every=1")
    assert (status, err) == (0, "")
    assert "the discriminator and their optimizers from step 4 of " in out
    assert f"fields that differ from {old}: optimizer.learning_rate 0.0002 -> 0.0001" in out
    new = tmp_path / "old_2"
    assert Workdir(new).checkpoint_steps() == [0, 1]
    assert saved_arrays(new, 0) == saved_arrays(old, 4)
    config = json.loads((new / "config.json").read_text())
    assert config["train"]["init"] == f"{old}:4"


@pytest.mark.slow
def test_a_run_that_started_from_another_run_resumes_to_the_bit(tiny_flags, first_steps, tmp_path):
    """The other run is gone after the start; the flag --init may be given again or left out."""
    old = shutil.copytree(first_steps, tmp_path / "old")
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    init = (f"--init={old}", "--config.model.discriminator=pixel", "--config.seed=3")
    assert train(tiny_flags, straight, 6, *init)[0] == 0
    process = start(
        "train", *tiny_flags, f"--workdir={stopped}", *init, "--config.train.steps=100000"
    )
    wait_for(stopped / "checkpoints" / "0", process)
    process.kill()
    process.communicate()
    for path in (stopped / "checkpoints").iterdir():
        if path.name != "0":  # The process may have saved more steps before it was killed.
            shutil.rmtree(path)
    shutil.rmtree(old)
    status, out, _ = train(tiny_flags, stopped, 3, *init)
    assert status == 0
    assert "resuming from step 0" in out
    status, out, _ = run("train", f"--workdir={stopped}", "--config.train.steps=6")
    assert status == 0
    assert "resuming from step 3" in out
    assert saved_arrays(stopped, 6) == saved_arrays(straight, 6)
    refused(
        "belongs to a run that started from", "train", "--init=elsewhere", f"--workdir={stopped}"
    )


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def test_a_run_that_was_killed_equals_an_uninterrupted_run_to_the_bit(
    tiny_flags, uninterrupted_run, tmp_path
):
    process = start("train", *tiny_flags, f"--workdir={tmp_path}", "--config.train.steps=12")
    wait_for(tmp_path / "checkpoints" / "4", process)
    process.kill()
    process.communicate()
    assert train(tiny_flags, tmp_path, 12)[0] == 0
    assert saved_arrays(tmp_path, 12) == saved_arrays(uninterrupted_run, 12)
    assert metrics(tmp_path) == metrics(uninterrupted_run)


def test_a_signal_makes_the_run_save_and_exit(tiny_flags, tmp_path):
    process = start("train", *tiny_flags, f"--workdir={tmp_path}", "--config.train.steps=1000000")
    wait_for(tmp_path / "metrics.jsonl", process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
    assert (process.returncode, err) == (143, "")
    step = int(out.partition("stopped at step ")[2].split()[0])
    assert (tmp_path / "checkpoints" / str(step) / "generator").is_dir()
    assert (tmp_path / "report" / "index.html").exists()


def test_a_signal_stops_the_command_inside_a_callback_that_drops_exceptions():
    """The garbage collector calls a callback of JAX; Python drops the exceptions raised there."""
    script = """if True:
        import gc, signal, time
        from functools import partial
        from pix2pix_jax.cli.main import stop
        from pix2pix_jax.cli.process import silence_libraries
        silence_libraries()
        signal.signal(signal.SIGTERM, partial(stop, "resumes"))
        def callback(phase, info):
            gc.callbacks.clear()
            signal.raise_signal(signal.SIGTERM)
        gc.callbacks.append(callback)
        gc.collect()
        time.sleep(60)
        """
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (143, "")
    assert process.stdout == "\nstopped; resumes\n"


@pytest.mark.slow
def test_ctrl_c_saves_with_stdout_closed_and_a_second_run_is_refused(tiny_flags, tmp_path):
    command = ("train", *tiny_flags, f"--workdir={tmp_path}", "--config.train.steps=1000000")
    process = start(*command, "--config.train.checkpoint_every=1000000")
    wait_for(tmp_path / "metrics.jsonl", process)
    refused("another process trains in it", *command)
    process.stdout.close()  # A program after a pipe, such as `| tee`, ends at Ctrl-C, too.
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert (process.returncode, err) == (130, "")
    assert any((tmp_path / "checkpoints").iterdir())


@pytest.mark.slow
def test_after_damage_to_a_checkpoint_only_its_steps_are_repeated(
    tiny_flags, uninterrupted_run, tmp_path
):
    workdir = shutil.copytree(uninterrupted_run, tmp_path / "run")
    (largest,) = (workdir / "checkpoints" / "12" / "generator" / "d").iterdir()
    largest.write_bytes(largest.read_bytes()[:-1])
    status, out, err = train(tiny_flags, workdir, 12)
    assert status == 0
    assert err.startswith("checkpoint 12 is rejected (")
    assert "resuming from step 8" in out
    assert saved_arrays(workdir, 12) == saved_arrays(uninterrupted_run, 12)
    assert metrics(workdir) == metrics(uninterrupted_run)


NO_CHECKPOINT = 250_000  # bytes per file: enough for a page or an image, not for a checkpoint


def limit_file_size(process, size):
    """Makes every write beyond `size` bytes of a file fail, as on a full disk."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.slow
def test_failed_saves_are_reported_and_two_in_a_row_stop_the_run(
    tiny_flags, first_steps, uninterrupted_run, tmp_path
):
    shutil.copytree(first_steps, tmp_path, dirs_exist_ok=True)
    more = ("--config.train.steps=12", "--config.train.max_failed_saves=2")
    process = start("train", *tiny_flags, f"--workdir={tmp_path}", *more)
    limit_file_size(process, NO_CHECKPOINT)
    _, err = process.communicate()
    first, last = err.splitlines()
    assert process.returncode == 2
    folder = f"{tmp_path}/checkpoints"
    assert first.startswith(
        f"{folder}: step 8 is NOT SAVED (File too large); this is failure 1 of 2"
    )
    assert last.startswith(f"{folder}: step 12 is NOT SAVED (File too large), 2 saves failed")
    assert last.endswith("run the same command to resume from step 4")
    assert Workdir(tmp_path).checkpoint_steps() == [4]
    assert train(tiny_flags, tmp_path, 12)[0] == 0
    assert saved_arrays(tmp_path, 12) == saved_arrays(uninterrupted_run, 12)


@pytest.mark.slow
def test_a_run_loses_nothing_while_the_disk_is_full(
    tiny_flags, first_steps, uninterrupted_run, tmp_path
):
    """No checkpoint, no line of the log, no image and no event is lost."""
    shutil.copytree(first_steps, tmp_path, dirs_exist_ok=True)
    process = start("train", *tiny_flags, f"--workdir={tmp_path}", "--config.train.steps=12")
    limit_file_size(process, 300)  # enough for the lease, and for nothing else
    lines = iter(process.stderr.readline, "")
    warnings = [next(lines)]
    while "step 12 is NOT SAVED" not in warnings[-1]:
        warnings.append(next(lines))
    limit_file_size(process, resource.RLIM_INFINITY)
    out, _ = process.communicate()
    assert process.returncode == 0
    assert len([line for line in warnings if "NOT WRITTEN" in line]) == 1
    assert "all delayed output is now written" in out
    assert saved_arrays(tmp_path, 12) == saved_arrays(uninterrupted_run, 12)
    assert metrics(tmp_path) == metrics(uninterrupted_run)
    assert (tmp_path / "samples" / "step_00000008.png").exists()
    found = [step for step, tag in events(tmp_path) if tag == "validation/l1"]
    assert found == [4, 8, 12]


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_the_run_and_damages_nothing(first_steps, tmp_path):
    shutil.copytree(first_steps, tmp_path, dirs_exist_ok=True)
    config = tmp_path / "config.json"  # no flag may change the learning rate of a run
    config.write_text(config.read_text().replace("0.0002", "1e30"))
    before = saved_arrays(tmp_path, 4)
    expected = "step 5: loss/generator_gan is"
    refused(expected, "train", f"--workdir={tmp_path}", "--config.train.steps=12")
    found = json.loads((tmp_path / "not_finite.json").read_text())
    assert (found["step"], found["term"]) == (5, "loss/generator_gan")
    assert [name.rpartition("-")[0] for name in found["pairs"]] == ["train"]
    assert saved_arrays(tmp_path, 4) == before
    assert max(metrics(tmp_path)) == 4
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["4"]


@pytest.mark.slow
def test_a_run_refuses_to_resume_on_other_pairs(tiny_flags, tmp_path):
    source = folder_of(tmp_path, {"1.jpg": jpeg(), "2.jpg": jpeg(80)})
    more = ("--config.data.name=folder", source, "--config.data.direction=AtoB")
    assert train(tiny_flags, tmp_path / "run", 1, *more)[0] == 0
    folder_of(tmp_path, {"1.jpg": jpeg(96)})
    steps = "--config.train.steps=2"
    command = ("train", *tiny_flags, f"--workdir={tmp_path / 'run'}", steps, *more)
    changes = "had 1 pair and has 1 (with changed images: 1)"
    refused(changes, *command)
    refused(f"with `pix2pix train --init={tmp_path}/run --workdir={tmp_path}/run_2", *command)
    (tmp_path / "run" / "pair_names.json").unlink()  # An earlier version wrote no such file.
    refused(changes, *command)


def test_a_batch_that_is_not_divisible_by_the_devices_is_refused(tiny_flags, tmp_path):
    three = "--config.data.batch_size=3"
    status, _, err = train(tiny_flags, tmp_path, 1, three, JAX_NUM_CPU_DEVICES="2")
    assert (status, len(err.splitlines())) == (2, 1)
    assert err.startswith("data.batch_size: 3 is not divisible by 2 devices; use 1 device (unset")


def test_a_platform_that_is_not_installed_is_refused():
    experiment = "--config=experiments/quickstart.py"
    status, _, err = run("describe", experiment, JAX_PLATFORMS="cuda")
    assert (status, len(err.splitlines())) == (2, 1)
    assert err.startswith("JAX_PLATFORMS=cuda: no devices")


def test_train_changes_nothing_in_a_finished_run(uninterrupted_run):
    files = [uninterrupted_run / name for name in ("metrics.jsonl", "config.json")]
    before = [path.read_bytes() for path in files]
    name = uninterrupted_run.name
    for fewer, expected in (
        ((), "done, step 12 of train.steps 12; nothing is left to do; to train longer, run `"),
        (("--config.train.steps=4",), "is at step 12, past train.steps 4; to train longer, run `"),
    ):
        status, out, err = run("train", f"--workdir={uninterrupted_run}", *fewer)
        assert (status, err) == (0, "")
        assert f"{name}: {expected}" in out
        assert f"`pix2pix train --workdir={uninterrupted_run} --config.train.steps=24`" in out
    assert [path.read_bytes() for path in files] == before


def test_describe_prints_json_for_programs():
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


def test_tensorflow_is_never_imported(tiny_flags, tmp_path):
    """Training works with a package `tensorflow` that exits when it is imported."""
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("raise SystemExit('imported')")
    status, _, err = train(tiny_flags, tmp_path / "run", 1, PYTHONPATH=str(tmp_path))
    assert (status, err) == (0, "")


@pytest.mark.slow
def test_the_quickstart_learns(tmp_path):
    """In 300 of its 4,000 steps, validation L1 falls by a quarter of its value at step 50."""
    status, _, err = run(
        "train", "--config=experiments/quickstart.py", f"--workdir={tmp_path / 'run'}",
        f"--config.data.data_dir={tmp_path / 'data'}", "--config.train.steps=300",
        XLA_FLAGS="",  # Users do not have the flags of conftest.py.
    )  # fmt: skip
    assert (status, err) == (0, "")
    l1 = {
        line["step"]: line["validation/l1"] for line in read_metrics(tmp_path / "run/metrics.jsonl")
    }
    assert l1[300] < 0.75 * l1[50]
