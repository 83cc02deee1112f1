"""Keeps a local copy of a run equal to a folder of a bucket.

If a file was changed both here and in the bucket, the machine that trained last keeps and uploads
its own version. All other machines move their version to a new folder next to the workdir, and
download the version of the bucket.
"""

import shutil
from collections.abc import Container, Iterable, Mapping
from uuid import uuid4

from pix2pix_jax.errors import UsageError
from pix2pix_jax.remote.checkpoint_files import checkpoint_step, complete_files, upload_order
from pix2pix_jax.remote.session import MachineLocks, TrainingSession
from pix2pix_jax.remote.sync_state import Changes, EqualVersions, SyncState
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.console import say
from pix2pix_jax.runtime.storage.bucket import Bucket, BucketFile, local_version
from pix2pix_jax.runtime.storage.files import CONFIG_NAME


class BucketSync:
    """A run in a bucket and its local copy.

    Attributes:
      bucket: the folder of the run in the bucket.
      workdir: the local copy of that folder.
      session: the record of the machine that trained the run last.
      locks: locks that the processes of this machine share.
    """

    def __init__(self, bucket: Bucket, workdir: Workdir):
        self.bucket = bucket
        self.workdir = workdir
        self.session = TrainingSession(bucket, workdir)
        self.locks = MachineLocks(workdir)

    def pull(self) -> None:
        """Makes the workdir equal to the bucket, except for files that are not uploaded yet.

        The machine that trained last keeps all its files. On another machine, local changes that
        conflict with the bucket are moved to a new folder next to the workdir; see
        `_follow_bucket`. The caller must hold the sync lock.

        Raises:
          UsageError: the bucket cannot be reached, or its folder is not a run but contains runs.
        """
        bucket_files = self.bucket.list_files()
        complete = complete_files(bucket_files)
        self._check_is_run(complete)
        state, session_name = SyncState(self.workdir), self.session.name_in_bucket()
        self._record_equal_files(state, complete)
        changes = state.compare(bucket_files, complete)
        is_emptied = bool(state.files) and session_name is None and not bucket_files
        for name in changes.removed:
            del state.files[name]  # A local file without a record is new and may be uploaded.
        if self.session.is_last(session_name):
            names_to_download = self._files_to_add(state, changes)
        else:
            self._follow_bucket(state, changes, is_emptied)
            names_to_download = [
                name
                for name in complete
                if name in changes.bucket or not (self.workdir.path / name).exists()
            ]
            self.session.forget()
        self.workdir.path.mkdir(parents=True, exist_ok=True)
        state.save()
        self._download(state, {*names_to_download, *changes.damaged}, complete)

    def push(self) -> None:
        """Uploads the files that a command has written.

        If another machine trained the run last, this method uploads neither checkpoints nor files
        that have changed in the bucket, too. The next `pull` moves away the files that conflict.

        Raises:
          UsageError: the bucket cannot be reached.
        """
        with self.locks.sync_lock():
            state = SyncState(self.workdir)
            changed_names = state.local_changes()
            if not changed_names:
                return
            bucket_files, session_name = self.bucket.list_files(), self.session.name_in_bucket()
            self._upload(state, changed_names, bucket_files, session_name)
            state.save()

    def push_training(self) -> None:
        """Uploads all files of a training run, and removes old and rejected checkpoints.

        A checkpoint is removed from the bucket only if this machine does not have it any more.

        Raises:
          UsageError: the bucket cannot be reached, the run was removed from the bucket or from
            this machine, or another machine trains the run now.
        """
        with self.locks.sync_lock():
            state = SyncState(self.workdir)
            changed_names = state.local_changes()
            bucket_files, session_name = self.bucket.list_files(), self.session.name_in_bucket()
            if not self.session.is_last(session_name):
                problem, fix = self._why_not_last(session_name)
                raise UsageError(f"{self.bucket}: {problem}", fix)
            # Rejected steps are removed first. Otherwise a step that is saved again would mix its
            # new files with its old files.
            self._remove_checkpoints(state, bucket_files, self._rejected_steps())
            self._upload(state, changed_names, bucket_files, session_name)
            # Older checkpoints are removed only after the newest checkpoint is in the bucket.
            if steps := self.workdir.checkpoint_steps():
                self._remove_checkpoints(state, bucket_files, range(steps[-1]))
            state.save()

    def _check_is_run(self, complete: Mapping[str, BucketFile]) -> None:
        """Raises UsageError if the bucket's folder is not a run but contains runs."""
        nested = [name for name in complete if name.endswith(f"/{CONFIG_NAME}")]
        if nested and CONFIG_NAME not in complete:
            raise UsageError(
                f"{self.bucket}: contains {nested[0]}, so this folder contains runs and is not a "
                "run itself",
                "give the folder of a run",
            )

    def _record_equal_files(self, state: SyncState, complete: Mapping[str, BucketFile]) -> None:
        """Records the files that a killed process transferred without recording them."""
        for name in state.local_changes():
            if name in complete and self.bucket.has_same_content(
                self.workdir.path, name, complete[name]
            ):
                state.files[name] = self._equal_versions(name, complete[name])

    def _equal_versions(self, name: str, file: BucketFile) -> EqualVersions:
        return EqualVersions(local_version(self.workdir.path / name), file.version)

    def _files_to_add(self, state: SyncState, changes: Changes) -> list[str]:
        """The files to download if this machine trained last, and so keeps all its own files.

        These are the files that other machines have changed in the bucket, except the files that
        this machine has also changed or removed.
        """
        return [
            name
            for name in changes.bucket
            if name not in changes.local
            and (name not in state.files or (self.workdir.path / name).exists())
        ]

    def _follow_bucket(self, state: SyncState, changes: Changes, is_emptied: bool) -> None:
        """Moves conflicting local changes away, and removes files that the bucket has lost.

        Moves the whole workdir away if the run was removed from the bucket, or if this machine has
        trained the run and has changes that are not uploaded. Otherwise, moves only the files away
        that this machine has changed and that were also changed in or removed from the bucket.

        Args:
          state: the recorded versions; cleared if the whole workdir is moved away.
          changes: the changes since both sides were last equal.
          is_emptied: whether the whole run was removed from the bucket.
        """
        conflicts = [
            name for name in changes.local if name in changes.bucket or name in changes.removed
        ]
        # If two machines trained from the same files, this machine's workdir is a separate run.
        if is_emptied or (self.session.name_on_machine() and changes.local):
            self._move_away()
            state.files.clear()
        elif conflicts:
            self._move_away(conflicts)
        for name in changes.removed:
            self._remove_local(name)

    def _move_away(self, names: list[str] | None = None) -> None:
        """Moves files of the workdir, or the whole workdir, to a new folder next to the workdir."""
        path = self.workdir.path
        backup = path.with_name(f"{path.name}.{uuid4().hex[:8]}")
        if names is None:
            path.rename(backup)
        else:
            for name in names:
                (backup / name).parent.mkdir(parents=True, exist_ok=True)
                (path / name).rename(backup / name)
        say(
            f"{self.bucket}: was changed elsewhere; files that this machine had not uploaded are "
            f"in {backup}"
        )

    def _remove_local(self, name: str) -> None:
        """Removes a file; if it belongs to a checkpoint, removes the whole checkpoint."""
        (self.workdir.path / name).unlink(missing_ok=True)
        step = checkpoint_step(name)
        if step is not None:
            shutil.rmtree(self.workdir.checkpoint(step), ignore_errors=True)

    def _download(
        self, state: SyncState, names: Iterable[str], complete: Mapping[str, BucketFile]
    ) -> None:
        vanished = []  # files of checkpoints that another machine has just removed
        for name in upload_order(names):
            if self.bucket.download_file(self.workdir.path, name):
                state.add(name, self._equal_versions(name, complete[name]))
            else:
                vanished.append(name)
        for name in vanished:
            self._remove_local(name)

    def _upload(
        self,
        state: SyncState,
        changed_names: list[str],
        bucket_files: Mapping[str, BucketFile],
        session_name: str | None,
    ) -> None:
        """Uploads changed files except damaged checkpoints, and files that the bucket has lost.

        If this machine did not train last, skips all files that have changed in or vanished from
        the bucket, and all checkpoints except new checkpoints of a run that no machine has trained.

        Args:
          state: the recorded versions; updated after every upload.
          changed_names: the files of the workdir that differ from the recorded versions.
          bucket_files: all files of the bucket.
          session_name: the name of the last training session, from the bucket.
        """
        is_last = self.session.is_last(session_name)
        damaged = state.damaged_files(changed_names, bucket_files)
        names = {*changed_names, *state.names_missing_in_bucket(bucket_files)} - {*damaged}
        for name in upload_order(names):
            # Only the machine that trained last uploads checkpoints. If no machine has trained the
            # run, for example after an import, a new checkpoint is this machine's own.
            belongs_to_trainer = checkpoint_step(name) is not None and (
                session_name is not None or name in state.files
            )
            may_upload = not belongs_to_trainer and state.is_unchanged_in_bucket(name, bucket_files)
            if is_last or may_upload:
                self._upload_file(state, name)

    def _upload_file(self, state: SyncState, name: str) -> None:
        try:
            versions = self.bucket.upload_file(self.workdir.path, name)
        except (FileNotFoundError, UsageError):
            if (self.workdir.path / name).exists():
                raise
            return  # The file belonged to a checkpoint that was removed during the upload.
        if versions is not None:
            state.add(name, EqualVersions(*versions))

    def _remove_checkpoints(
        self, state: SyncState, bucket_files: dict[str, BucketFile], steps: Container[int]
    ) -> None:
        """Removes checkpoints of some steps from the bucket if the workdir does not have them."""
        for name in reversed(upload_order(bucket_files)):  # LAST_FILE is removed first.
            step = checkpoint_step(name)
            if step is None or step not in steps or (self.workdir.path / name).exists():
                continue
            self.bucket.remove_file(name)
            state.files.pop(name, None)
            del bucket_files[name]

    def _rejected_steps(self) -> set[int]:
        """The steps of the damaged checkpoints that were moved to `rejected/`."""
        names = (path.name.partition("-")[0] for path in self.workdir.rejected_folder.glob("*-*"))
        return {int(name) for name in names if name.isdecimal()}

    def _why_not_last(self, session_name: str | None) -> tuple[str, str]:
        """Why this machine may not upload its training, and the fix."""
        path = self.workdir.path
        if not path.exists():
            return f"the local copy {path} was removed", "run the same command again for a new copy"
        kept = f"files that were not uploaded are in {path}"
        if session_name is None:
            return f"was emptied; {kept}", "run the same command to start a new run"
        return f"another machine trains this run now; {kept}", "wait until that machine stops"
