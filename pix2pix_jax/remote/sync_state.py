"""Stores the versions of the files of a workdir and of its bucket when both were last equal.

If a file now has another version on one side, that side has changed the file. The stored versions
show this even after a process was killed, or after another machine has trained the run.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from pix2pix_jax.checkpoints.reader import is_undamaged
from pix2pix_jax.remote.checkpoint_files import checkpoint_step
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.storage.bucket import BucketFile, LocalVersion, local_files
from pix2pix_jax.runtime.storage.files import write_atomically

STATE_NAME = ".record"  # hidden, so it is never uploaded


class EqualVersions(NamedTuple):
    """The versions of a file on this machine and in the bucket when the file was equal on both."""

    local: LocalVersion
    bucket: str


@dataclass(frozen=True)
class Changes:
    """The names of files that have changed since both sides were last equal.

    Attributes:
      local: files that this machine has changed or added.
      bucket: files that other machines have changed in the bucket or added there.
      removed: files that other machines have removed from the bucket.
      damaged: files of damaged checkpoints on this machine that are intact in the bucket.
    """

    local: list[str]
    bucket: list[str]
    removed: list[str]
    damaged: list[str]


class SyncState:
    """The versions of all files when a workdir and its bucket were last equal.

    The versions are stored in the file `.record`, with one line of JSON for each file.
    """

    def __init__(self, workdir: Workdir):
        """Reads `.record`; if this file does not exist, no versions are known."""
        self._workdir = workdir
        self._path = workdir.path / STATE_NAME
        self.files: dict[str, EqualVersions] = {}
        for line in self._path.read_text().splitlines() if self._path.exists() else ():
            with suppress(ValueError):  # A killed process may leave half a line.
                name, modified_ns, size, version = json.loads(line)
                self.files[name] = EqualVersions(LocalVersion(modified_ns, size), version)

    def save(self) -> None:
        """Writes the versions of all files."""
        lines = (_to_line(name, versions) for name, versions in self.files.items())
        write_atomically(self._path, "".join(lines))

    def add(self, name: str, versions: EqualVersions) -> None:
        """Records a file, and writes its line at once, because this process may be killed."""
        self.files[name] = versions
        with self._path.open("a") as file:
            file.write(_to_line(name, versions))

    def local_changes(self) -> list[str]:
        """The files of the workdir that are not recorded, or differ from their recorded version."""
        return [
            name
            for name, version in local_files(self._workdir.path).items()
            if name not in self.files or self.files[name].local != version
        ]

    def is_unchanged_in_bucket(self, name: str, bucket_files: Mapping[str, BucketFile]) -> bool:
        """Whether a file was neither changed, added nor removed in the bucket since the record."""
        recorded = self.files[name].bucket if name in self.files else None
        return recorded == (bucket_files[name].version if name in bucket_files else None)

    def names_missing_in_bucket(self, bucket_files: Mapping[str, BucketFile]) -> list[str]:
        """The recorded files that the bucket no longer has."""
        return [name for name in self.files if name not in bucket_files]

    def damaged_files(
        self, local_changes: list[str], bucket_files: Mapping[str, BucketFile]
    ) -> list[str]:
        """The changed files of damaged checkpoints, if the bucket has the recorded version."""
        recorded = {
            name: step
            for name in local_changes
            if name in self.files and (step := checkpoint_step(name)) is not None
        }
        damaged_steps = {
            step
            for step in set(recorded.values())
            if not is_undamaged(self._workdir.checkpoint(step))
        }
        return [
            name
            for name, step in recorded.items()
            if step in damaged_steps and self.is_unchanged_in_bucket(name, bucket_files)
        ]

    def compare(
        self, all_files: Mapping[str, BucketFile], complete: Mapping[str, BucketFile]
    ) -> Changes:
        """Compares the workdir and the bucket with the recorded versions.

        Args:
          all_files: all files of the bucket.
          complete: the files of the bucket, except the files of checkpoints that are half uploaded
            or half removed.
        """
        local = self.local_changes()
        damaged = self.damaged_files(local, complete)
        return Changes(
            local=[name for name in local if name not in damaged],
            bucket=[name for name in complete if not self.is_unchanged_in_bucket(name, complete)],
            removed=self.names_missing_in_bucket(all_files),
            damaged=damaged,
        )


def _to_line(name: str, versions: EqualVersions) -> str:
    return json.dumps([name, *versions.local, versions.bucket]) + "\n"
