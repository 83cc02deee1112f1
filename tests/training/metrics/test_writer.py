"""A run writes metrics.jsonl, TensorBoard events and pictures, and shows a progress bar."""

import json
import re
import sys

from helpers.command_line import events
from PIL import Image

from pix2pix_jax.runs.metrics_log import read_metrics, rewind
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.retry_queue import RetryQueue
from pix2pix_jax.training.metrics.writer import MetricWriter


def run(workdir, first, last):
    """Writes a line at every step, and a picture at the last step."""
    with (
        RetryQueue() as queue,
        MetricWriter(Workdir(workdir), first, last, batch_size=4, queue=queue) as writer,
    ):
        for step in range(first + 1, last + 1):
            writer.advance(step)
            picture = Image.new("RGB", (8, 8), "red") if step == last else None
            writer.write(step, {"loss/discriminator": step / 10, "validation/l1": 1.0}, picture)


def test_each_line_of_the_metrics_is_one_json_object(tmp_path):
    run(tmp_path, 0, 3)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert [line["loss/discriminator"] for line in lines] == [0.1, 0.2, 0.3]
    assert all(line["images_per_second"] >= 0 for line in lines)
    assert Image.open(tmp_path / "samples" / "step_00000003.png").getpixel((0, 0)) == (255, 0, 0)


def test_a_resumed_run_replaces_the_lines_of_repeated_steps(tmp_path):
    run(tmp_path, 0, 5)
    run(tmp_path, 3, 6)
    assert [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")] == [1, 2, 3, 4, 5, 6]


def test_an_incomplete_last_line_is_removed(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"st')
    rewind(path, 2)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'


def test_tensorboard_has_scalars_and_pictures(tmp_path):
    run(tmp_path, 0, 2)
    found = events(tmp_path)
    assert (1, "loss/discriminator") in found
    assert (2, "samples") in found


def test_tensorboard_forgets_repeated_steps(tmp_path):
    run(tmp_path, 0, 5)
    run(tmp_path, 3, 6)
    assert (4, "forget from here") in events(tmp_path)


def test_events_are_kept_until_their_folder_can_be_created(tmp_path, capsys):
    (tmp_path / "tensorboard").touch()
    with (
        RetryQueue() as queue,
        MetricWriter(Workdir(tmp_path), 0, 2, 1, queue) as writer,
    ):
        writer.advance(1)
        writer.write(1, {"loss/discriminator": 1.0})
        (tmp_path / "tensorboard").unlink()
        writer.advance(2)
        writer.write(2, {"loss/discriminator": 2.0})
    assert {(1, "loss/discriminator"), (2, "loss/discriminator")} < set(events(tmp_path))
    assert f"{tmp_path}/tensorboard: NOT WRITTEN (File exists)" in capsys.readouterr().err


def test_after_the_first_line_the_speed_excludes_compiling_and_pictures(
    tmp_path, monkeypatch, capsys
):
    """The first step compiles for 100 s, pictures take 10 s, and three more steps take 2 s each."""
    clock = iter([0.0, 100.0, 110.0, 112.0, 114.0, 116.0, 126.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    with (
        RetryQueue() as queue,
        MetricWriter(Workdir(tmp_path), 0, 4, 4, queue) as writer,
    ):
        writer.advance(1)
        writer.write(1, {})
        for step in (2, 3, 4):
            writer.advance(step)
        writer.write(4, {})
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line["images_per_second"] for line in lines] == [4 / 100, 4 / 2]
    compiled, trained = capsys.readouterr().out.splitlines()
    assert "left" not in compiled  # The time of a step is not known yet.
    assert trained.endswith("2.0 s per step  00:00 left")


def test_a_pipe_gets_plain_lines(tmp_path, capsys):
    run(tmp_path, 0, 2)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("step 1/2  discriminator 0.100  validation/l1 1.000")
    assert second.startswith("step 2/2")


def test_a_terminal_gets_a_progress_bar_with_losses(tmp_path, capsys, monkeypatch):
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    run(tmp_path, 0, 2)
    out, err = capsys.readouterr()
    assert out.splitlines()[1].startswith("step 2/2  discriminator 0.200  validation/l1 1.000")
    assert re.search(r"2/2 .*step/s, D 0.20 val 1.00\]", err)


def test_a_run_continues_if_its_output_is_closed(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise BrokenPipeError

    monkeypatch.setattr(sys.stdout, "write", broken)
    run(tmp_path, 0, 2)
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 2
