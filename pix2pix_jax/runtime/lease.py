"""Leases: a file in a folder names the process that owns the folder, on whichever host.

The owner writes its name into the lease and changes a number there, the heartbeat, every few
seconds. The clocks of hosts may differ, so no times are compared: another process that wants the
folder watches whether the heartbeat changes.
"""

import json
import os
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname
from types import TracebackType
from typing import Any, Protocol
from uuid import uuid4

from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.console import say
from pix2pix_jax.runtime.files import create_atomically, write_atomically
from pix2pix_jax.runtime.locks import NO_LOCK_ERRNOS

LEASE_NAME = ".lease"  # of the file in the folder
HEARTBEAT_SECONDS = 5.0  # between two heartbeats
DEAD_SECONDS = 20.0  # without a new heartbeat; then the owner counts as dead
# Between replacing a lease and reading it again. By then, another process that wanted to replace
# the same lease has done so.
SETTLE_SECONDS = 1.0
SETTLE_SECONDS_UNLOCKED = 2.5  # if no lock keeps the other processes of this host away


@dataclass(frozen=True)
class Lease:
    """The content of a lease.

    Attributes:
      owner: a unique name of the `FolderLease` that wrote the lease.
      host: a unique name of the owner's host.
      description: the owner's process and host, for messages.
      heartbeat: a number, as text of constant width.
    """

    owner: str
    host: str
    description: str
    heartbeat: str

    @classmethod
    def parse(cls, content: bytes) -> "Lease | None":
        """The lease in a file's content; None if the content is damaged or half written."""
        try:
            fields = json.loads(content)
            owner = fields["name"]
        except (ValueError, KeyError, TypeError):
            return None
        host, description = fields.get("host", ""), fields.get("named", "another process")
        return cls(owner, host, description, fields.get("beat", ""))

    def to_json(self) -> str:
        """The content of the file."""
        fields: dict[str, Any] = {"name": self.owner, "host": self.host}
        return json.dumps(fields | {"named": self.description, "beat": self.heartbeat})


class LeaseStorage(Protocol):
    """Where a lease is stored. In messages, `str(storage)` names the folder.

    All methods raise UsageError or OSError if the storage cannot be read or written.
    """

    def read(self) -> bytes | None:
        """The content of the lease; None if there is no lease."""
        ...

    def create(self, text: str) -> bool:
        """Writes the first lease, so that only one of several processes succeeds.

        Returns:
          True if this call wrote the lease; False if there is a lease already, or if the storage
          cannot keep two processes from writing the first lease.
        """
        ...

    def write(self, text: str) -> None:
        """Writes or replaces the lease; readers see the old content or the new, never a part."""
        ...

    def renew(self, text: str) -> None:
        """Writes a lease of the same length; writes a new one if somebody deleted the lease."""
        ...

    def remove(self) -> None:
        """Removes the lease."""
        ...


class LeaseFile:
    """A lease in a file of the folder itself."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._path = folder / LEASE_NAME

    def __str__(self) -> str:
        return str(self._folder)

    def read(self) -> bytes | None:
        with suppress(FileNotFoundError):
            return self._path.read_bytes()
        return None

    def create(self, text: str) -> bool:
        return create_atomically(self._path, text)

    def write(self, text: str) -> None:
        write_atomically(self._path, text)

    def renew(self, text: str) -> None:
        try:
            with self._path.open("r+") as file:  # Writing in place needs no room on a full disk.
                file.write(text)
        except FileNotFoundError:
            if self._folder.is_dir():  # If somebody removed the folder, it stays removed.
                write_atomically(self._path, text)

    def remove(self) -> None:
        self._path.unlink()


class FolderLease:
    """Owns a folder during the `with` block; no other process on any host can own it then.

    A lease that a dead process left behind expires. If this process is stopped for so long that
    another one takes the folder over, it ends itself as soon as it reads the other's lease.

    Args:
      storage: where the lease is stored.
      is_locked: whether this process holds the `folder_lock`. If so, a lease that another process
        of this host wrote is known to be dead.
    """

    def __init__(self, storage: LeaseStorage, is_locked: bool):
        self._storage = storage
        self._is_locked = is_locked
        self._owner = uuid4().hex
        self._host = host_id()
        self._description = f"process {os.getpid()} on {gethostname()}"
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None  # None if the disk is read-only

    def __enter__(self) -> "FolderLease":
        """Takes the lease.

        Raises:
          BlockingIOError: another process owns the folder.
          OSError, UsageError: the lease cannot be read or written.
        """
        lease = self._read()
        if lease and not (self._is_locked and lease.host == self._host):
            self._wait_until_dead(lease)
        try:
            self._create_or_replace(lease)
        except OSError as error:
            if error.errno not in NO_LOCK_ERRNOS:
                raise
            return self
        self._thread = threading.Thread(target=self._keep_alive, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Removes the lease."""
        if self._thread is None:
            return
        self._stopped.set()
        self._thread.join()
        with suppress(OSError, UsageError):  # A lease that cannot be removed expires.
            lease = self._read()
            if lease and lease.owner == self._owner:
                self._storage.remove()

    def _content(self, heartbeat: int) -> str:
        return Lease(self._owner, self._host, self._description, f"{heartbeat:9}").to_json()

    def _read(self) -> Lease | None:
        """The lease; None if there is none, or only a damaged one."""
        content = self._storage.read()
        return None if content is None else Lease.parse(content)

    def _wait_until_dead(self, old: Lease) -> None:
        """Waits for DEAD_SECONDS; raises BlockingIOError if the owner writes to its lease."""
        say(
            f"{self._storage}: watching for {DEAD_SECONDS:g} s whether {old.description} is "
            "still at work there"
        )
        end = time.monotonic() + DEAD_SECONDS
        while time.monotonic() < end:
            time.sleep(HEARTBEAT_SECONDS / 5)
            lease = self._read()
            if lease and lease != old:
                raise self._busy(lease)

    def _create_or_replace(self, dead: Lease | None) -> None:
        """Writes the lease, unless another process takes the folder at the same time.

        A lock is no proof that there is no other process: on some network disks, a lock binds the
        processes of one host only.

        Args:
          dead: the lease of a dead process; None if there was no lease, or only a damaged one.

        Raises:
          BlockingIOError: another process has taken the folder.
        """
        if dead is None and self._storage.create(self._content(0)):
            return
        self._check_no_other(dead)
        # Several processes may replace a lease at once. The last one to write keeps the folder.
        self._storage.write(self._content(0))
        time.sleep(SETTLE_SECONDS if self._is_locked else SETTLE_SECONDS_UNLOCKED)
        self._check_no_other(dead)

    def _check_no_other(self, dead: Lease | None) -> None:
        """Raises BlockingIOError if the lease belongs neither to this process nor to a dead one."""
        lease = self._read()
        if lease and lease.owner != self._owner and lease != dead:
            raise self._busy(lease)

    def _busy(self, lease: Lease) -> BlockingIOError:
        return BlockingIOError(f"{lease.description} is at work in {self._storage}")

    def _keep_alive(self) -> None:
        """Writes heartbeats until the `with` block ends."""
        heartbeat = 0
        while not self._stopped.wait(HEARTBEAT_SECONDS):
            lease = None
            with suppress(OSError, UsageError):  # The next heartbeat may succeed again.
                lease = self._read()
            if lease and lease.owner != self._owner:
                self._end_process(lease)
            heartbeat += 1
            with suppress(OSError, UsageError):
                self._storage.renew(self._content(heartbeat))

    def _end_process(self, lease: Lease) -> None:
        """Ends this process: it was stopped for so long that its lease expired."""
        message = f"{self._storage}: {lease.description} has taken it over; this process ends"
        print(message, file=sys.stderr, flush=True)
        os._exit(2)


def host_id() -> str:
    """A unique name of this host, which changes when the host restarts."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return boot.read_text().strip() if boot.exists() else gethostname()
