"""Leases: a lease is a file that names the owner of a folder. The owner is a process on any host.

The owner writes its name and a number, the heartbeat, into the lease. The owner changes the
heartbeat every few seconds. Another process that wants the folder watches whether the heartbeat
changes. No times are compared, because the clocks of hosts may differ.
"""

import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from socket import gethostname
from uuid import uuid4

from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.console import say
from pix2pix_jax.runtime.storage.lease_storage import Lease, LeaseStorage
from pix2pix_jax.runtime.storage.locks import NO_LOCK_ERRNOS

HEARTBEAT_SECONDS = 5.0  # the time between two heartbeats
DEAD_SECONDS = 20.0  # the time without a new heartbeat after which the owner counts as dead
# The time between replacing a lease and reading the lease again. A process that replaces the same
# lease at the same moment is done within this time.
SETTLE_SECONDS = 1.0
# The value of SETTLE_SECONDS if no lock keeps other processes of this host from replacing the
# lease.
SETTLE_SECONDS_UNLOCKED = 2.5


class FolderLease:
    """Owns a folder during the `with` block; no other process on any host can own the folder then.

    The lease of a dead process expires. If this process is suspended for so long that another
    process takes the folder over, this process ends as soon as it reads the other lease.

    Args:
      storage: the place of the lease.
      is_locked: whether this process holds the `folder_lock`. In that case, the owner of an older
        lease of this host must be dead.
    """

    def __init__(self, storage: LeaseStorage, is_locked: bool):
        self._storage = storage
        self._is_locked = is_locked
        self._owner = uuid4().hex
        self._host = host_id()
        self._description = f"process {os.getpid()} on {gethostname()}"
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None  # None if no lease was written

    def __enter__(self) -> "FolderLease":
        """Takes the lease; does not write a lease if the disk is read-only or offers no locks.

        Raises:
          BlockingIOError: another process owns the folder.
          OSError, UsageError: the lease cannot be read, or cannot be written for another reason.
        """
        lease = self._read()
        if lease and not (self._is_locked and lease.host == self._host):
            self._wait_until_dead(lease)
        try:
            self._create_or_replace(lease)
        except OSError as error:
            if error.errno not in NO_LOCK_ERRNOS:
                if error.filename:  # The user does not know the file of the lease.
                    error.filename = str(self._storage)
                raise
            return self
        self._thread = threading.Thread(target=self._keep_alive, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Removes the lease."""
        if self._thread is None:
            return
        self._stopped.set()
        self._thread.join()
        with suppress(OSError, UsageError):  # A lease that cannot be removed expires later.
            lease = self._read()
            if lease and lease.owner == self._owner:
                self._storage.remove()

    def _content(self, heartbeat: int) -> str:
        return Lease(self._owner, self._host, self._description, f"{heartbeat:9}").to_json()

    def _read(self) -> Lease | None:
        """The lease; None if there is no lease, or if the lease is damaged."""
        content = self._storage.read()
        return None if content is None else Lease.parse(content)

    def _wait_until_dead(self, old: Lease) -> None:
        """Waits for DEAD_SECONDS; raises BlockingIOError if the owner writes to its lease."""
        say(
            f"{self._storage}: waiting {DEAD_SECONDS:g} s to see whether {old.description} still "
            "uses this folder"
        )
        end = time.monotonic() + DEAD_SECONDS
        while time.monotonic() < end:
            time.sleep(HEARTBEAT_SECONDS / 5)
            lease = self._read()
            if lease and lease != old:
                raise self._busy(lease)

    def _create_or_replace(self, dead: Lease | None) -> None:
        """Writes the lease, unless another process takes the folder at the same time.

        Another process may exist even if this process holds a lock: on some network disks, a lock
        stops only the processes of the same host.

        Args:
          dead: the lease of a dead process; None if there was no lease, or if it was damaged.

        Raises:
          BlockingIOError: another process has taken the folder.
        """
        if dead is None and self._storage.create(self._content(0)):
            return
        self._check_no_other(dead)
        # Several processes may replace a lease at once. The last process to write owns the folder.
        self._storage.write(self._content(0))
        time.sleep(SETTLE_SECONDS if self._is_locked else SETTLE_SECONDS_UNLOCKED)
        self._check_no_other(dead)

    def _check_no_other(self, dead: Lease | None) -> None:
        """Raises BlockingIOError if neither this process nor a dead process owns the lease."""
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
        """Ends this process, because it was suspended for so long that its lease expired."""
        message = (
            f"{self._storage}: {lease.description} has taken over this folder, so this process "
            "ends; wait until that process ends, or use another folder"
        )
        print(message, file=sys.stderr, flush=True)
        os._exit(2)


def host_id() -> str:
    """A unique name of this host; it changes when the host restarts."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return boot.read_text().strip() if boot.exists() else gethostname()
