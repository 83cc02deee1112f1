import signal
from dataclasses import replace

import numpy as np
import pytest

from pix2pix_jax.config import UsageError
from pix2pix_jax.config_files import write_config
from pix2pix_jax.train import caught_signals, check_devices, check_workdir, newest_scalars, shards


def test_shards_are_devices_then_steps_then_images():
    batches = [{"index": 10 * step + np.arange(8)} for step in range(3)]
    found = shards(batches)["index"]  # four devices, as conftest has it
    assert found.shape == (4, 3, 2)
    np.testing.assert_array_equal(found[1], [[2, 3], [12, 13], [22, 23]])


def test_a_batch_that_devices_cannot_share_is_refused():
    check_devices(8)
    with pytest.raises(UsageError, match="data.batch_size: 6 cannot be shared by 4 devices"):
        check_devices(6)


def test_newest_scalars_are_those_of_the_last_step_and_clear_the_list():
    unread = [{"a": np.array([1.0, 2.0])}, {"a": np.array([3.0])}]
    assert newest_scalars(unread, 3) == {"a": 3.0}
    assert unread == []


def test_the_first_step_and_term_that_is_not_finite_is_named():
    unread = [
        {"a": np.ones(2), "b": np.ones(2)},
        {"a": np.ones(2), "b": np.array([np.inf, np.nan])},
    ]
    with pytest.raises(UsageError, match="step 103: b is inf"):
        newest_scalars(unread, 104)


def test_a_workdir_belongs_to_one_config(tmp_path, small):
    check_workdir(tmp_path / "new", small)
    write_config(small, tmp_path / "config.json")
    check_workdir(tmp_path, replace(small, train=replace(small.train, steps=99, keep=1)))
    other = replace(small, seed=1, data=replace(small.data, flip=False))
    with pytest.raises(UsageError, match="another seed, data.flip;"):
        check_workdir(tmp_path, other)


def test_the_first_signal_is_caught_and_its_echo_ignored(monkeypatch):
    before, clock, ended = signal.getsignal(signal.SIGTERM), iter([0.0, 0.5, 2.0]), []
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with caught_signals() as caught:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert caught == [signal.SIGTERM]
        monkeypatch.setattr("signal.raise_signal", ended.append)
        signal.getsignal(signal.SIGINT)(signal.SIGINT, None)
        assert ended == [signal.SIGINT]
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) == before
