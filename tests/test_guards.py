"""What can end a run is told in one line."""

import signal
from dataclasses import replace

import jax
import pytest
from conftest import refusal

from pix2pix_jax import guards
from pix2pix_jax.config import UsageError
from pix2pix_jax.config_files import write_config
from pix2pix_jax.files import locked
from pix2pix_jax.guards import (
    caught_signals,
    check_devices,
    check_workdir,
    memory_errors,
    norm_images,
    owned,
)


def test_a_batch_that_devices_cannot_share_is_refused():
    check_devices(8)
    with pytest.raises(UsageError, match="data.batch_size: 6 cannot be shared by 4 devices"):
        check_devices(6)


def test_a_workdir_is_a_folder_outside_of_the_pairs(tmp_path, small):
    """Or the samples of a run would be pairs of the next one."""
    (tmp_path / "file").touch()
    assert f"--workdir: {tmp_path}/file is a file" in refusal(
        check_workdir, tmp_path / "file", small
    )
    pairs = replace(small, data=replace(small.data, source=str(tmp_path / "pairs")))
    for place in ("pairs", "pairs/run", "pairs/../pairs/run"):
        assert "lies in data.source" in refusal(check_workdir, tmp_path / place, pairs)
    for place in ("run", "pairs_run"):
        check_workdir(tmp_path / place, pairs)


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
    with caught_signals() as stopping:
        assert stopping() == 0
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert stopping() == signal.SIGTERM
        monkeypatch.setattr("signal.raise_signal", ended.append)
        signal.getsignal(signal.SIGINT)(signal.SIGINT, None)
        assert ended == [signal.SIGINT]
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_host_that_is_told_after_another_one_does_not_stop_at_once(monkeypatch):
    """The first signal is its first, though all heard of that of the other."""
    ended, clock = [], iter([100.0, 100.5, 102.0])
    monkeypatch.setattr("jax.distributed.is_initialized", lambda: True)
    monkeypatch.setattr(
        guards.multihost_utils, "reached_preemption_sync_point", lambda call: call == 1
    )
    before = signal.getsignal(signal.SIGTERM)
    with caught_signals() as stopping:
        assert [stopping(), stopping()] == [0, signal.SIGTERM]
        monkeypatch.setattr("time.monotonic", lambda: next(clock))
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        monkeypatch.setattr("signal.raise_signal", ended.append)
        signal.getsignal(signal.SIGTERM)(signal.SIGTERM, None)
        assert ended == [signal.SIGTERM]
    signal.signal(signal.SIGTERM, before)


def test_checkpoints_without_a_config_are_refused(tmp_path, small):
    (tmp_path / "checkpoints").mkdir()
    check_workdir(tmp_path, small)
    (tmp_path / "checkpoints" / "5").mkdir()
    assert refusal(check_workdir, tmp_path, small).startswith(f"{tmp_path}/config.json: is missing")


def test_a_workdir_has_one_owner(tmp_path):
    with owned(tmp_path / "run"), pytest.raises(UsageError, match="run: another process trains"):
        owned(tmp_path / "run").__enter__()
    with owned(tmp_path / "run"), locked(tmp_path, wait=False):
        pass


def test_no_memory_left_is_told_with_what_to_make_smaller():
    expected = "data.batch_size, .* memory of cpu .RESOURCE_EXHAUSTED: 9 bytes.$"
    with pytest.raises(UsageError, match=expected), memory_errors():
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 9 bytes\nmore of it")
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"), memory_errors():
        raise jax.errors.JaxRuntimeError("INTERNAL: a bug")


def test_images_that_share_a_norm_stay_as_many(tmp_path, small):
    """Four devices here: with 8 images two on each, with 4 one."""

    def of(batch_size, images=None):
        data = replace(small.data, batch_size=batch_size)
        return replace(small, data=data, model=replace(small.model, norm_images=images))

    assert norm_images(of(8), tmp_path) == 2
    assert norm_images(of(8, 1), tmp_path) == 1
    write_config(of(8, 1), tmp_path / "config.json")
    assert norm_images(of(8), tmp_path) == 1
    assert "another model.norm_images, 1" in refusal(norm_images, of(8, 2), tmp_path)
    expected = "4 images share .* each of 4 devices would hold 2; use no more devices than 2"
    with pytest.raises(UsageError, match=expected):
        norm_images(of(8, 4), tmp_path / "new")
