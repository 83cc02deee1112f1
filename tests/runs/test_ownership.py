"""One process trains in a workdir."""

import signal
from dataclasses import replace
import jax
import pytest
from helpers.refusals import refusal
from pix2pix_jax.runs import compatibility as guards
from pix2pix_jax.errors import UsageError
from pix2pix_jax.config.files import write_config
from pix2pix_jax.runtime.locks import locked
from pix2pix_jax.runtime.signals import caught_signals
from pix2pix_jax.runs.compatibility import check_devices
from pix2pix_jax.runs.compatibility import check_workdir
from pix2pix_jax.runtime.memory import memory_errors
from pix2pix_jax.runs.compatibility import norm_images
from pix2pix_jax.runs.ownership import owned


def test_a_workdir_has_one_owner(tmp_path):
    with owned(tmp_path / "run"), pytest.raises(UsageError, match="run: another process trains"):
        owned(tmp_path / "run").__enter__()
    with owned(tmp_path / "run"), locked(tmp_path, wait=False):
        pass
