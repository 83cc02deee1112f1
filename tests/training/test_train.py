"""The train command: the checks before anything is written, and who owns the workdir."""

from dataclasses import replace

import numpy as np
from helpers.refusals import refusal

from pix2pix_jax.checkpoints.info import Totals
from pix2pix_jax.checkpoints.store import Checkpoint, CheckpointStore
from pix2pix_jax.config.files import write_config
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.data.fingerprint import dataset_fingerprint
from pix2pix_jax.data.prepare import prepare
from pix2pix_jax.gan.state import create_state
from pix2pix_jax.runs.ownership import claim_workdir
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.training.train import train


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
        store.save(Checkpoint(state, totals=Totals(), data=data))
    assert train(config, workdir) == 0
    assert f"{workdir}: done, step 8 of train.steps 8" in capsys.readouterr().out
