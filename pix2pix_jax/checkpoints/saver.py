"""Saves checkpoints while training continues, and prints a warning if a save fails."""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from pix2pix_jax.checkpoints.errors import SaveFailed
from pix2pix_jax.checkpoints.store import (
    Checkpoint,
    CheckpointStore,
    explain_write_errors,
    remove_unfinished,
)
from pix2pix_jax.config.schema import Train
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.console import say

RETRY_SECONDS = 10  # the time between two attempts to save the last checkpoint of a run


class CheckpointSaver:
    """Writes the checkpoints of a run in the background, one at a time.

    `save` and `poll` raise UsageError once `train.max_failed_saves` saves in a row have failed.
    """

    def __init__(self, workdir: Workdir, train: Train):
        self._workdir = workdir
        self._train = train
        self._store: CheckpointStore | None = None  # opened by the first save
        self._pending: int | None = None  # the step that is being written
        self._failures = 0  # the number of failed saves since the last success

    def __enter__(self) -> "CheckpointSaver":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def save(self, checkpoint: Checkpoint, is_last: bool = False) -> None:
        """Waits for the previous checkpoint, then begins to write this one.

        Args:
          checkpoint: the checkpoint to write.
          is_last: whether this is the last checkpoint of the run. If so, this method waits until
            the checkpoint is written, and tries again after a failure.

        Raises:
          UsageError: a value is not finite, the folder has this or a later step already, or too
            many saves in a row have failed.
        """
        self._finish()
        self._start(checkpoint, is_last)
        while is_last and self._failures:
            time.sleep(RETRY_SECONDS)
            self._start(checkpoint, is_last)

    def poll(self) -> None:
        """If the current save has ended, prints its failure.

        Call this method after each call to the devices.
        """
        if self._store is not None and not self._store.is_saving:
            self._finish()

    def close(self) -> None:
        """Waits for the last save, prints a failure of that save, and closes the store."""
        try:
            self._finish()
        except UsageError as error:  # Another error may end the run, and that error must be raised.
            say(str(error), sys.stderr)
        self._close_store()
        if self._failures:  # Orbax may have written more files since `_attempt` removed them.
            remove_unfinished(self._workdir)

    def _start(self, checkpoint: Checkpoint, wait: bool) -> None:
        """Starts to write a checkpoint; if `wait` is True, waits for the end of the save."""
        step = int(checkpoint.state.step)
        if not self._attempt(step, partial(self._write, checkpoint)):
            return
        # If the store is closed, the checkpoint is saved, but older checkpoints were not removed.
        if self._store is None:
            self._failures = 0
            return
        self._pending = step
        if wait:
            self._finish()

    def _write(self, checkpoint: Checkpoint) -> None:
        if self._store is None:
            with explain_write_errors(self._workdir):
                self._store = CheckpointStore(
                    self._workdir, self._train.keep, self._train.best_metric
                )
        self._store.save(checkpoint)

    def _finish(self) -> None:
        """Waits for the step that is being written, if any."""
        step, self._pending = self._pending, None
        if step is not None and self._store is not None and self._attempt(step, self._store.wait):
            self._failures = 0

    def _attempt(self, step: int, action: Callable[[], None]) -> bool:
        """Runs an action that begins or ends the save of a step; returns False if the save fails.

        If only the removal of older checkpoints fails, prints a line and returns True.
        """
        try:
            action()
        except SaveFailed as error:
            self._close_store()
            remove_unfinished(self._workdir)  # Makes room for other files.
            if max(self._workdir.checkpoint_steps(), default=0) != step:
                self._count_failure(step, error)
                return False
            say(
                f"{self._workdir.checkpoints_folder}: step {step} is saved, but older checkpoints "
                f"could not be removed ({error.reason}); training continues",
                sys.stderr,
            )
        return True

    def _count_failure(self, step: int, error: SaveFailed) -> None:
        """Warns of a failed save; raises UsageError if too many have failed in a row."""
        self._failures += 1
        max_failures, newest = (
            self._train.max_failed_saves,
            max(self._workdir.checkpoint_steps(), default=0),
        )
        text = f"{self._workdir.checkpoints_folder}: step {step} is NOT SAVED ({error.reason})"
        if self._failures >= max_failures:
            raise UsageError(
                f"{text}, {self._failures} saves failed in a row",
                "free disk space or make this folder writable, then run the same command to "
                f"resume from step {newest}",
            ) from error
        say(
            f"{text}; this is failure {self._failures} of {max_failures} (train.max_failed_saves); "
            "free disk space or make this folder writable; training continues, but the steps after "
            f"step {newest} may be lost",
            sys.stderr,
        )

    def _close_store(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            with suppress(SaveFailed):  # The failure has been reported.
                store.close()
