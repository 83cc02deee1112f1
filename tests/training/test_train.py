"""The training loop: calls to the devices, and the checks before anything is written."""

from dataclasses import replace

import numpy as np
from helpers.refusals import refusal

from pix2pix_jax.checkpoints.info import Totals
from pix2pix_jax.checkpoints.store import Checkpoint, CheckpointStore
from pix2pix_jax.config.files import write_config
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.data.fingerprint import dataset_fingerprint
from pix2pix_jax.data.prepare import prepare
from pix2pix_jax.gan.state import TrainState, create_state
from pix2pix_jax.runs.ownership import claim_workdir
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.training.train import run_steps, shard_batches, steps_per_call, train


def test_shards_have_axes_of_devices_steps_and_images():
    batches = [{"index": 10 * step + np.arange(8)} for step in range(3)]
    found = shard_batches(batches)["index"]  # conftest.py sets four devices
    assert found.shape == (4, 3, 2)
    np.testing.assert_array_equal(found[1], [[2, 3], [12, 13], [22, 23]])


def test_full_calls_end_at_multiples_of_their_size(small, monkeypatch):
    """From step 6 to 17, with four steps in a call: two single steps, two calls, a single step."""
    calls = []

    def steps(state, batches):
        calls.append(batches["index"].shape[1])
        return state, {"a": np.zeros(calls[-1])}

    monkeypatch.setattr(
        "pix2pix_jax.training.train.make_parallel_steps", lambda config, pairs: steps
    )
    config = replace(small, train=replace(small.train, steps=17, steps_per_call=4))
    state = TrainState(np.int32(6), None, None)
    batches = ({"index": np.arange(4)} for _ in range(11))
    assert [step for step, _, _ in run_steps(config, state, batches, {})] == [7, 8, 12, 16, 17]
    assert calls == [1, 1, 4, 4, 1]


def test_the_number_of_steps_in_a_call_divides_all_intervals(small, monkeypatch):
    """A CPU takes one step in a call, other devices as many as hold 64 images on each device."""
    options = replace(small.train, log_every=50, checkpoint_every=5000, sample_every=1000)
    config = replace(small, train=replace(options, evaluate_every=0))
    assert steps_per_call(config) == 1
    given = replace(config, train=replace(config.train, steps_per_call=5))
    assert steps_per_call(given) == 5
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    for devices, batch, expected in ((1, 1, 50), (1, 4, 10), (1, 64, 1), (1, 65, 1), (4, 4, 50)):
        monkeypatch.setattr("jax.device_count", lambda devices=devices: devices)
        at_batch = replace(config, data=replace(config.data, batch_size=batch))
        assert steps_per_call(at_batch) == expected
    monkeypatch.setattr("jax.device_count", lambda: 1)
    odd = replace(config, train=replace(config.train, log_every=7))
    assert steps_per_call(odd) == 1


def synthetic(small, tmp_path):
    """A config that four devices can train, with its data in a folder of the test."""
    data = replace(small.data, name="synthetic_facades", data_dir=str(tmp_path / "data"))
    return replace(small, data=replace(data, batch_size=4))


def test_the_workdir_is_claimed_before_the_scorer_is_prepared(small, tmp_path, monkeypatch):
    """Preparing a scorer may take minutes; meanwhile nobody else may start a run there."""
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
