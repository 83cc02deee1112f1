"""Tells which machine trains a run in a bucket now, and which machine trained it last."""

from contextlib import AbstractContextManager
from pathlib import Path
from uuid import uuid4

from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.storage.bucket import Bucket
from pix2pix_jax.runtime.storage.files import write_atomically
from pix2pix_jax.runtime.storage.lease_storage import LEASE_NAME
from pix2pix_jax.runtime.storage.locks import folder_lock

SESSION_NAME = ".session"  # hidden, so it is not uploaded with the other files


class LeaseObject:
    """The lease of a run in a bucket. The owner of the lease is the process that trains now."""

    def __init__(self, bucket: Bucket):
        self._bucket = bucket

    def __str__(self) -> str:
        return str(self._bucket)

    def read(self) -> bytes | None:
        """The content of the lease; None if there is no lease."""
        return self._bucket.read_file(LEASE_NAME)

    def create(self, text: str) -> bool:
        """Returns False, because two processes could write the first lease in a bucket.

        `FolderLease` then writes the lease, waits, and reads the lease again. The wait is short
        compared with the download of a run.
        """
        return False

    def write(self, text: str) -> None:
        """Writes or replaces the lease."""
        self._bucket.write_file(LEASE_NAME, text.encode())

    def renew(self, text: str) -> None:
        """Writes the lease again, even if somebody has deleted the lease."""
        self.write(text)

    def remove(self) -> None:
        """Removes the lease."""
        self._bucket.remove_file(LEASE_NAME)


class TrainingSession:
    """Records which machine trained a run last.

    Only the machine that trained last may have steps that the bucket lacks. That machine and the
    bucket store the same random name. When another machine trains, the other machine and the bucket
    store a new name.
    """

    def __init__(self, bucket: Bucket, workdir: Workdir):
        self._bucket = bucket
        self._path = workdir.path / SESSION_NAME

    def name_in_bucket(self) -> str | None:
        """The name in the bucket; None if no machine has trained the run with this bucket.

        Raises:
          UsageError: the bucket cannot be reached.
        """
        content = self._bucket.read_file(SESSION_NAME)
        return None if content is None else content.decode()

    def name_on_machine(self) -> str | None:
        """The name on this machine; None before this machine trains the run, or after `forget`."""
        return self._path.read_text() if self._path.exists() else None

    def is_last(self, name_in_bucket: str | None) -> bool:
        """Whether this machine trained last, given the name in the bucket."""
        return name_in_bucket is not None and name_in_bucket == self.name_on_machine()

    def begin(self) -> None:
        """Records that this machine trains the run.

        Raises:
          UsageError: the bucket cannot be reached.
        """
        if self.is_last(self.name_in_bucket()):
            return
        name = uuid4().hex
        self._bucket.write_file(SESSION_NAME, name.encode())
        write_atomically(self._path, name)

    def forget(self) -> None:
        """Removes the name from this machine, because another machine has trained the run."""
        self._path.unlink(missing_ok=True)


class MachineLocks:
    """Locks for the processes of this machine that use the same local copy of a run.

    The locks are in a hidden folder next to the copy, because the copy itself may be moved away.
    """

    def __init__(self, workdir: Workdir):
        self.folder: Path = workdir.path.with_name(f".{workdir.path.name}.mirror")

    def sync_lock(self) -> AbstractContextManager[bool]:
        """Locks the downloads and uploads of the run during the `with` block."""
        return folder_lock(self.folder, wait=True)

    def training_lock(self) -> AbstractContextManager[bool]:
        """Locks the training of the run; raises BlockingIOError if another process trains."""
        return folder_lock(self.folder / "trains", wait=False)

    def is_training(self) -> bool:
        """Whether a process of this machine trains the run.

        Call this method only inside `sync_lock`, because it takes the training lock for a moment.
        """
        try:
            with self.training_lock():
                return False
        except BlockingIOError:
            return True
