"""Machines that share a bucket."""

import fsspec
import pytest

from pix2pix_jax.remote import uploader
from pix2pix_jax.runtime.storage import lease


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A function that gives this process the name of a machine, and returns its copy of the run."""
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(lease, "DEAD_SECONDS", 0.5)
    monkeypatch.setattr(lease, "SETTLE_SECONDS_UNLOCKED", 0.025)
    monkeypatch.setattr(uploader, "UPLOAD_SECONDS", 0.05)

    def become(name):
        monkeypatch.setattr(lease, "host_id", lambda: name)
        return tmp_path / name / "memory" / "bucket" / "run"

    yield become
    fsspec.filesystem("memory").rm("/", recursive=True)
