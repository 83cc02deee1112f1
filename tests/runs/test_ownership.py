"""One process trains in a workdir."""

import pytest

from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.ownership import claim_workdir
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.locks import folder_lock


def test_a_workdir_has_one_owner(tmp_path):
    with (
        claim_workdir(Workdir(tmp_path / "run")),
        pytest.raises(UsageError, match="run: another process trains"),
    ):
        claim_workdir(Workdir(tmp_path / "run")).__enter__()
    with claim_workdir(Workdir(tmp_path / "run")), folder_lock(tmp_path, wait=False):
        pass
