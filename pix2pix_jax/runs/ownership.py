"""Ensures that only one process at a time trains in a workdir."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.storage.lease import FolderLease
from pix2pix_jax.runtime.storage.lease_storage import LeaseFile
from pix2pix_jax.runtime.storage.locks import folder_lock


class WorkdirBusy(UsageError):
    """Another process trains in the workdir."""


@contextmanager
def claim_workdir(workdir: Workdir) -> Iterator[None]:
    """Keeps other processes from training in a workdir during the `with` block.

    Raises:
      WorkdirBusy: another process trains in the workdir.
    """
    with ExitStack() as stack:
        with explain_busy_workdir(workdir):
            is_locked = stack.enter_context(folder_lock(workdir.path, wait=False))
            stack.enter_context(FolderLease(LeaseFile(workdir.path), is_locked))
        yield


@contextmanager
def explain_busy_workdir(workdir: Workdir | str) -> Iterator[None]:
    """Turns the BlockingIOError of a lock or lease on the workdir into WorkdirBusy.

    The `with` block must do nothing else, because a write to a pipe may also raise BlockingIOError.
    """
    try:
        yield
    except BlockingIOError as error:
        raise WorkdirBusy(
            f"{workdir}: another process trains in it; wait until that process ends, or give "
            "another --workdir"
        ) from error
