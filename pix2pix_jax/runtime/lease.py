"""Leases: which process works in a folder that several hosts share, perhaps without locks.

The owner writes its name into the lease and changes a number there, the heartbeat, every few
seconds. Hosts' clocks may differ, so nobody compares times: whoever wants the folder watches
whether the heartbeat changes.
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

from pix2pix_jax.runtime.console import say
from pix2pix_jax.runtime.files import write_atomically
from pix2pix_jax.runtime.locks import NO_LOCK_ERRNOS

LEASE_NAME = ".lease"  # of the file in the folder
HEARTBEAT_SECONDS = 5.0  # between two heartbeats
DEAD_SECONDS = 20.0  # without a new heartbeat, after which the owner counts as dead
# Between writing the lease and reading it again. Another process that also found the folder free
# has written its own lease by then.
SETTLE_SECONDS = 1.0
SETTLE_SECONDS_UNLOCKED = 2.5  # where no lock keeps the other processes of this host away


@dataclass(frozen=True)
class Lease:
    """The content of a lease.

    Attributes:
      owner: a name that no other claim has.
      host: a name of the owner's host that no other host has.
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
    """Where a lease is stored; str() of it names the folder in messages."""

    def read(self) -> bytes:
        """Raises FileNotFoundError if there is no lease."""
        ...

    def write(self, text: str) -> None:
        """Writes a new lease; readers see the old content or the new one, never a part."""
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

    def read(self) -> bytes:
        return self._path.read_bytes()

    def write(self, text: str) -> None:
        write_atomically(self._path, text)

    def renew(self, text: str) -> None:
        try:
            with self._path.open("r+") as file:  # in place, which needs no room on a full disk
                file.write(text)
        except FileNotFoundError:
            if self._folder.is_dir():  # else somebody removed the folder, and it stays removed
                write_atomically(self._path, text)

    def remove(self) -> None:
        self._path.unlink()


class FolderLease:
    """Holds a folder for the `with` block, against other processes on all hosts.

    A lease that a dead process left behind expires. A process that was stopped for so long that
    another one took the folder over ends itself as soon as it notices.

    Args:
      storage: where the lease is stored.
      is_locked: whether `folder_lock` holds the folder against all processes of this host; a
        lease that another process of this host wrote is then known to be dead.
    """

    def __init__(self, storage: LeaseStorage, is_locked: bool):
        self._storage = storage
        self._is_locked = is_locked
        self._owner = uuid4().hex
        self._host = host_id()
        self._description = f"process {os.getpid()} on {gethostname()}"
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None  # None where nobody can write a lease

    def __enter__(self) -> "FolderLease":
        """Takes the lease.

        Raises:
          BlockingIOError: another process works in the folder.
          OSError: the lease cannot be read or written, so nobody knows whether it is free.
        """
        found = self._read()
        if found and not (self._is_locked and found.host == self._host):
            self._wait_until_dead(found)
        try:
            self._storage.write(self._content(0))
        except OSError as error:
            if error.errno not in NO_LOCK_ERRNOS:
                raise
            return self
        self._confirm()
        self._thread = threading.Thread(target=self._keep_alive, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Gives the lease back."""
        if self._thread is None:
            return
        self._stopped.set()
        self._thread.join()
        with suppress(Exception):  # an unreachable lease expires by itself
            lease = self._read()
            if lease and lease.owner == self._owner:
                self._storage.remove()

    def _content(self, heartbeat: int) -> str:
        return Lease(self._owner, self._host, self._description, f"{heartbeat:9}").to_json()

    def _read(self) -> Lease | None:
        try:
            return Lease.parse(self._storage.read())
        except FileNotFoundError:
            return None

    def _wait_until_dead(self, found: Lease) -> None:
        """Raises BlockingIOError if the owner of the lease that was found still writes to it."""
        say(
            f"{self._storage}: watching for {DEAD_SECONDS:g} s whether {found.description} is "
            "still at work there"
        )
        end = time.monotonic() + DEAD_SECONDS
        while time.monotonic() < end:
            time.sleep(HEARTBEAT_SECONDS / 5)
            lease = self._read()
            if lease and lease != found:
                raise BlockingIOError(f"{lease.description} is at work in {self._storage}")

    def _confirm(self) -> None:
        """Raises BlockingIOError if another process claimed the folder at the same time.

        Both found the folder free; the last one to write keeps it. A lock is no proof that there
        is no other process: on some network disks it binds the processes of one host only.
        """
        time.sleep(SETTLE_SECONDS if self._is_locked else SETTLE_SECONDS_UNLOCKED)
        lease = self._read()
        if lease and lease.owner != self._owner:
            raise BlockingIOError(f"{lease.description} is at work in {self._storage}")

    def _keep_alive(self) -> None:
        """Writes heartbeats until the `with` block ends."""
        heartbeat = 0
        while not self._stopped.wait(HEARTBEAT_SECONDS):
            lease = None
            # A disk or a network raises anything, and it may be back at the next heartbeat.
            with suppress(Exception):
                lease = self._read()
            if lease and lease.owner != self._owner:
                self._end_process(lease)
            heartbeat += 1
            with suppress(Exception):
                self._storage.renew(self._content(heartbeat))

    def _end_process(self, lease: Lease) -> None:
        """Ends this process, which was stopped for so long that it counted as dead."""
        message = f"{self._storage}: {lease.description} has taken it over; this process ends"
        print(message, file=sys.stderr, flush=True)
        os._exit(2)


def host_id() -> str:
    """A name that no other host has, and that changes when the host restarts."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return boot.read_text().strip() if boot.exists() else gethostname()
