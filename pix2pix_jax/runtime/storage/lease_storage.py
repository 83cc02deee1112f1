"""The content of a lease, and the file that stores it."""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pix2pix_jax.runtime.storage.files import create_atomically, write_atomically

LEASE_NAME = ".lease"  # the name of the file in the folder


@dataclass(frozen=True)
class Lease:
    """The content of a lease.

    Attributes:
      owner: a unique name of the `FolderLease` that wrote the lease.
      host: a unique name of the owner's host.
      description: the owner's process and host, for messages.
      heartbeat: a count that the owner raises every few seconds, as text. The text always has the
        same length, so that a new heartbeat can overwrite the old heartbeat in place.
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
        """The text of the lease, a JSON object."""
        # These are the keys of earlier versions. A process of an earlier version may want the same
        # folder.
        fields: dict[str, Any] = {"name": self.owner, "host": self.host}
        return json.dumps(fields | {"named": self.description, "beat": self.heartbeat})


class LeaseStorage(Protocol):
    """The place of a lease. In messages, `str(storage)` names the folder.

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
        """Writes or replaces the lease; a reader never sees half of the content."""
        ...

    def renew(self, text: str) -> None:
        """Overwrites the lease with a text of the same length, or writes a deleted lease again."""
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
            with self._path.open("r+") as file:  # Overwriting needs no room on a full disk.
                file.write(text)
        except FileNotFoundError:
            if self._folder.is_dir():  # If somebody removed the folder, it stays removed.
                write_atomically(self._path, text)

    def remove(self) -> None:
        self._path.unlink()
