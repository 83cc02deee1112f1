"""Downloads a run from its bucket before a command, and uploads the files that the command writes.

One machine at a time trains a run. Other machines may read the run at the same time, and may train
it later.
"""

import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pix2pix_jax.config.files import read_config
from pix2pix_jax.config.initial_run import InitialRun
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError
from pix2pix_jax.remote.bucket_sync import BucketSync
from pix2pix_jax.remote.session import LeaseObject, MachineLocks
from pix2pix_jax.remote.uploader import Uploader
from pix2pix_jax.runs.nearby import name_runs_nearby
from pix2pix_jax.runs.ownership import explain_busy_workdir
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.storage.bucket import Bucket
from pix2pix_jax.runtime.storage.files import CONFIG_NAME
from pix2pix_jax.runtime.storage.lease import FolderLease


@contextmanager
def sync_workdir(workdir: Workdir, trains: bool = False) -> Iterator[None]:
    """Downloads a run from its bucket, and uploads the files that the `with` block writes.

    If another process of this machine trains the run, nothing is downloaded, because that process
    keeps the local copy newer than the bucket.

    Args:
      workdir: the workdir of the run. If it has no address, this function does nothing.
      trains: whether the block trains the run. Only one process at a time may train.

    Raises:
      WorkdirBusy: another process trains the run.
      UsageError: the bucket cannot be reached, its folder is not a run, or another machine trains
        the run now. Files that could not be uploaded stay in the workdir.
    """
    if workdir.address is None:
        yield
        return
    sync = BucketSync(Bucket(workdir.address), workdir)
    with ExitStack() as stack:
        with sync.locks.sync_lock():
            if trains:
                with explain_busy_workdir(workdir.address):
                    stack.enter_context(sync.locks.training_lock())
                    stack.enter_context(FolderLease(LeaseObject(sync.bucket), is_locked=False))
                sync.pull()
                sync.session.begin()
            elif not sync.locks.is_training():
                sync.pull()
        push = sync.push_training if trains else sync.push
        stack.enter_context(Uploader(push, in_background=trains))
        yield


def find_config_file(workdir: Workdir) -> Path:
    """The path of a run's config.json, which is downloaded first if the run is in a bucket.

    The workdir does not change, so another process may train the run at the same time.

    Raises:
      UsageError: the bucket cannot be reached.
    """
    if workdir.address:
        folder = MachineLocks(workdir).folder
        if Bucket(workdir.address).download_file(folder, CONFIG_NAME):
            return folder / CONFIG_NAME
    return workdir.config_file


def read_initial_config(other: InitialRun) -> Config:
    """Reads the config of the run that train.init names, which may be in a bucket.

    Raises:
      UsageError: there is no such run, or its config cannot be read.
    """
    workdir = Workdir.parse(other.location)
    path = find_config_file(workdir)
    if not path.exists():
        raise UsageError(
            f"--init: {other.location} has no {path.name}, so it is not the workdir of a run",
            _suggest_initial_run(workdir),
        )
    return read_config(path)


def _suggest_initial_run(workdir: Workdir) -> str:
    """The end of the error line for a place that is not the workdir of a run."""
    if workdir.path.is_file():
        weights, new = shlex.quote(workdir.location), "runs/imported"
        return (
            f"to make a run from weights, run `pix2pix import --weights={weights} "
            f"--workdir={new}`, then give --init={new}"
        )
    return (
        f"give the workdir of a run{name_runs_nearby(workdir)}, as --init=DIR or --init=DIR:STEP; "
        "for random weights, leave out --init and the field train.init"
    )
