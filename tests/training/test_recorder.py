"""Means are written only for complete windows, and pictures only when they are due."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pix2pix_jax.checkpoints.info import Totals
from pix2pix_jax.checkpoints.store import CheckpointStore
from pix2pix_jax.data.pair_names import PairNames
from pix2pix_jax.gan.state import create_state
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.training import recorder as recorder_module
from pix2pix_jax.training import run as run_module
from pix2pix_jax.training.due import Due
from pix2pix_jax.training.initial_state import InitialState
from pix2pix_jax.training.metrics.window import MetricWindow
from pix2pix_jax.training.recorder import Progress, Recorder
from pix2pix_jax.training.run import TrainingRun


@pytest.fixture(scope="module")
def state(small):
    return create_state(small)


@pytest.fixture
def record(small, state, tmp_path, monkeypatch):
    """A function that records steps, with the number of a step as its loss, and returns the lines.

    Its attribute `grids` lists the steps at which a picture was drawn.
    """
    workdir = Workdir(tmp_path)
    grids = []

    class Samples:
        def __init__(self, *_):
            pass

        def translate(self, step, params):
            return step, 0.5

        def draw(self, step):
            grids.append(step)
            return Image.new("RGB", (8, 8))

    class Scorer:
        def score(self, params):
            return {"psnr": 20.0}

    monkeypatch.setattr(recorder_module, "SampleGrid", Samples)
    monkeypatch.setattr(recorder_module, "open_split", lambda *_: [])
    monkeypatch.setattr(recorder_module, "list_pair_names", lambda _: PairNames("pairs", {}))
    monkeypatch.setattr(run_module, "dataset_fingerprint", lambda _: "pairs")

    def record(first, last, totals=None, **intervals):
        config = replace(small, train=replace(small.train, **intervals))
        run, window = TrainingRun(config, workdir, None), MetricWindow(totals)
        start = InitialState(run, state.replace(step=np.int32(first)))
        with Recorder(run, Scorer(), start, window) as recorder:
            for step in range(first + 1, last + 1):
                window.add({"loss/discriminator": np.array([step], np.float32)})
                due = Due.after(step, config.train)
                values = window.read(step) if due.any or step == last else {}
                numbered = state.replace(step=np.int32(step))
                recorder.record(Progress(step, numbered, due, step == last), window, values)
        lines = workdir.metrics_file.read_text().splitlines()
        return {line.pop("step"): line for line in map(json.loads, lines)}

    record.grids = grids
    return record


INTERVALS = {"log_every": 4, "sample_every": 6, "evaluate_every": 0, "checkpoint_every": 50}
NAMES = {"validation/l1", "images_per_second"}


def test_a_line_between_two_log_lines_has_no_means(record):
    """A window has four steps, so at step 6 it is not complete."""
    lines = record(0, 12, steps=100, **INTERVALS)
    losses = {step: line.get("loss/discriminator") for step, line in lines.items()}
    assert losses == {4: 2.5, 6: None, 8: 6.5, 12: 10.5}
    assert lines[6].keys() == NAMES


def test_an_evaluation_between_two_log_lines_is_written_without_means(record):
    lines = record(0, 4, steps=100, **INTERVALS | {"evaluate_every": 3})
    assert lines[3].keys() == NAMES | {"evaluation/psnr"}
    assert lines[4].keys() == NAMES | {"loss/discriminator"}


def test_the_last_step_writes_the_means_of_an_incomplete_window(record, tmp_path, state):
    """If the user makes the run longer, the resumed run completes this window."""
    lines = record(0, 7, steps=7, **INTERVALS)
    assert lines[7]["loss/discriminator"] == 6
    with CheckpointStore(Workdir(tmp_path), 3, "l1") as store:
        totals = store.restore_newest(state, "pairs").totals
    assert totals == Totals(3, {"loss/discriminator": 18})
    lines = record(7, 8, totals, steps=8, **INTERVALS)
    assert lines[8]["loss/discriminator"] == 6.5
    assert lines[7].keys() == NAMES  # Step 7 now lies within a window.


def test_a_resumed_run_writes_the_lines_of_an_uninterrupted_run(record, tmp_path, state):
    """The run was stopped at step 5, within a window."""
    record(0, 5, steps=100, **INTERVALS)
    # The page names the saved step, not that of the last line.
    assert "step 5 of 100</h1>" in Workdir(tmp_path).report_page.read_text()
    with CheckpointStore(Workdir(tmp_path), 3, "l1") as store:
        totals = store.restore_newest(state, "pairs").totals
    lines = record(5, 12, totals, steps=100, **INTERVALS)
    losses = {step: line.get("loss/discriminator") for step, line in lines.items()}
    assert losses == {4: 2.5, 6: None, 8: 6.5, 12: 10.5}


def test_a_grid_is_drawn_only_when_it_is_due(record):
    record(0, 12, steps=100, **INTERVALS)
    assert record.grids == [6, 12]
