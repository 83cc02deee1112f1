"""One process trains in a workdir: how it claims it, and what another one is told."""

from collections.abc import Iterator
from contextlib import contextmanager

from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.lease import folder_lease
from pix2pix_jax.runtime.locks import folder_lock


class WorkdirBusy(UsageError):
    """Another process is at work where this one was sent."""


@contextmanager
def claim_workdir(workdir: Workdir) -> Iterator[None]:
    """Raises Occupied when another process trains in the workdir."""
    with (
        explain_busy_workdir(workdir),
        folder_lock(workdir.path, wait=False) as flocked,
        folder_lease(workdir.path, flocked),
    ):
        yield


@contextmanager
def explain_busy_workdir(workdir: Workdir | str) -> Iterator[None]:
    """Raises Occupied where what would lock the workdir finds it locked."""
    try:
        yield
    except BlockingIOError as error:
        raise WorkdirBusy(
            f"{workdir}: another process trains in it; wait for that, or give another --workdir"
        ) from error
