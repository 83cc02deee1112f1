"""Only one process at a time trains in a workdir."""

import errno

import pytest

from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.ownership import claim_workdir
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.storage.locks import folder_lock


def test_a_workdir_has_one_owner(tmp_path):
    with (
        claim_workdir(Workdir(tmp_path / "run")),
        pytest.raises(UsageError, match="run: another process trains"),
    ):
        claim_workdir(Workdir(tmp_path / "run")).__enter__()
    with claim_workdir(Workdir(tmp_path / "run")), folder_lock(tmp_path, wait=False):
        pass  # The run is free again, and a claim does not lock the folder above.


def test_an_error_of_the_owner_is_not_reported_as_another_owner(tmp_path):
    """A pipe without room raises the same error as a lock that is held."""
    error = BlockingIOError(errno.EAGAIN, "write could not complete without blocking")
    with pytest.raises(BlockingIOError) as caught, claim_workdir(Workdir(tmp_path)):
        raise error
    assert caught.value is error
