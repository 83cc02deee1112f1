"""The train command: the checks before anything is written, and who owns the workdir."""

from dataclasses import replace
from typing import Any, cast

import numpy as np
from helpers.refusals import refusal

from pix2pix_jax.checkpoints.info import Totals
from pix2pix_jax.checkpoints.store import Checkpoint, CheckpointStore
from pix2pix_jax.config import Data, Train
from pix2pix_jax.config.files import write_config
from pix2pix_jax.config.resolve import resolve, resolve_epochs
from pix2pix_jax.data.fingerprint import dataset_fingerprint
from pix2pix_jax.data.pipeline import make_crop_batches
from pix2pix_jax.data.prepare import prepare
from pix2pix_jax.gan.state import create_state
from pix2pix_jax.runs.ownership import claim_workdir
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.training.initial_state import InitialState
from pix2pix_jax.training.run import TrainingRun
from pix2pix_jax.training.train import batch_lines, say_end, train


def synthetic(small, tmp_path):
    """A config that four devices can train, with its data in a folder of the test."""
    data = replace(small.data, name="synthetic_facades", data_dir=str(tmp_path / "data"))
    return replace(small, data=replace(data, batch_size=4))


def test_the_workdir_is_claimed_before_the_scorer_is_prepared(small, tmp_path, monkeypatch):
    """Preparing a scorer may take minutes, and no other process may start a run in this time."""
    workdir = Workdir(tmp_path / "run")

    def scorer(config, dataset):
        with claim_workdir(workdir):
            raise AssertionError("nobody has claimed the workdir")

    monkeypatch.setattr("pix2pix_jax.training.train.CheckpointScorer", scorer)
    message = refusal(train, synthetic(small, tmp_path), workdir)
    assert message.startswith(f"{workdir}: another process trains in it")


def test_the_workdir_of_another_run_is_refused_before_anything_is_written(small, tmp_path):
    config, workdir = synthetic(small, tmp_path), Workdir(tmp_path / "run")
    write_config(replace(config, seed=1), workdir.config_file)
    assert "another seed" in refusal(train, config, workdir)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [workdir.config_file]


def test_a_finished_run_prepares_no_scorer(small, tmp_path, monkeypatch, capsys):
    config, workdir = synthetic(small, tmp_path), Workdir(tmp_path / "run")
    monkeypatch.setattr("pix2pix_jax.training.train.CheckpointScorer", None)
    data = dataset_fingerprint(prepare(resolve(config).data))
    write_config(resolve(config), workdir.config_file)
    with CheckpointStore(workdir, keep=1, best_metric="l1") as store:
        state = create_state(resolve(config)).replace(step=np.int32(config.train.steps))
        store.save(Checkpoint(state, totals=Totals(), fingerprint=data))
    assert train(config, workdir) == 0
    assert f"{workdir}: done, step 8 of train.steps 8" in capsys.readouterr().out


def test_only_the_first_process_reads_the_workdir_of_a_finished_run(small, tmp_path, monkeypatch):
    """In a run in a bucket, only the first process has the files."""
    config = synthetic(small, tmp_path)
    optimizer = replace(config.optimizer, schedule="linear_decay")
    model = replace(config.model, norm="instance")  # The first process decides a batch norm.
    config = resolve(replace(config, optimizer=optimizer, model=model))
    state = create_state(config).replace(step=np.int32(config.train.steps))
    finished = lambda run, template: InitialState(run, state)  # noqa: E731
    monkeypatch.setattr("pix2pix_jax.training.train.restore_or_create", finished)
    monkeypatch.setattr("pix2pix_jax.runtime.distributed.is_first", lambda: False)
    assert train(config, Workdir(tmp_path / "nothing is here")) == 0


def test_other_pairs_of_a_run_in_epochs_are_called_other_pairs(small, tmp_path):
    """One more pair changes the number of steps, which the user did not change."""
    config, workdir = synthetic(small, tmp_path), Workdir(tmp_path / "run")
    optimizer = replace(config.optimizer, schedule="linear_decay")
    config = resolve(replace(config, optimizer=optimizer, train=Train(epochs=4)))
    write_config(resolve_epochs(config, num_pairs=5), workdir.config_file)
    with CheckpointStore(workdir, keep=1, best_metric="l1") as store:
        state = create_state(config).replace(step=np.int32(2))
        store.save(Checkpoint(state, totals=Totals(), fingerprint="sha256 of five pairs"))
    assert "was trained on other pairs than" in refusal(train, config, workdir)
    longer = replace(config, train=Train(epochs=8))
    data = dataset_fingerprint(prepare(config.data))
    with CheckpointStore(workdir, keep=1, best_metric="l1") as store:
        store.save(Checkpoint(state.replace(step=np.int32(3)), totals=Totals(), fingerprint=data))
    assert "belongs to a run with another train.steps" in refusal(train, longer, workdir)


def test_the_last_line_of_a_run_in_a_bucket_names_its_page_in_the_bucket(small, tmp_path, capsys):
    run = TrainingRun(small, Workdir(tmp_path, "gs://bucket/my run"), cast(Any, None))
    say_end(run)
    assert capsys.readouterr().out == (
        "gs://bucket/my run: 8 steps done; the pictures are in "
        "'gs://bucket/my run/report/index.html'\n"
    )


def test_a_batch_larger_than_the_training_split_repeats_pairs_and_is_told(small):
    config = replace(small, data=replace(small.data, batch_size=50))
    [line] = batch_lines(Data(batch_size=50, max_pairs=22), 22)
    assert "50 is larger than data.max_pairs 22, so every batch has pairs more than once" in line
    assert line.endswith("=22 or less, or a larger --config.data.max_pairs")
    [line] = batch_lines(Data(batch_size=50), 22)
    assert line == (
        "WARNING: data.batch_size 50 is larger than the training split, so every batch has pairs "
        "more than once; give --config.data.batch_size=22 or less, or add pairs"
    )
    for step in range(3):
        batch = make_crop_batches(config, range(22))[step]
        assert batch is not None
        assert np.bincount(batch["pair"], minlength=22).min() >= 1
    assert batch_lines(Data(batch_size=22), 22) == []
