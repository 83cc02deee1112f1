"""Writes TensorBoard's event files in the main thread.

The writer of tensorboardX uses another thread, which hides errors such as a full disk.
"""

import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from pix2pix_jax.training.metrics.tensorboardx import (
    Event,  # pyright: ignore[reportAttributeAccessIssue]
    EventsWriter,
    SessionLog,  # pyright: ignore[reportAttributeAccessIssue]
    Summary,  # pyright: ignore[reportAttributeAccessIssue]
)

FLUSH_SECONDS = 1  # the minimum between two flushes by `add`, because a flush waits for the disk


class EventFile:
    """An event file in a folder. After a failure, a new file in the same folder continues it.

    All methods raise OSError if the events cannot be written. The next call then tries to write the
    waiting events again. If `add` fails, the events of this call are dropped, because the caller
    adds these events again.
    """

    def __init__(self, folder: Path, purge_step: int):
        """Prepares the file; the first flush creates it.

        Args:
          folder: the folder of the file; the first flush creates it, too.
          purge_step: the step from which TensorBoard ignores the events of older files.
        """
        self._folder = folder
        self._purge_step = purge_step
        self._writer: EventsWriter | None = None
        self._waiting: list[Event] = []
        self._flushed_at = 0.0  # the time of the last flush, in seconds, as time.time()

    def add(self, step: int, summaries: list[Summary]) -> None:
        """Adds the scalars and pictures of a step; flushes at most once in FLUSH_SECONDS."""
        now = time.time()
        self._waiting += [Event(step=step, wall_time=now, summary=summary) for summary in summaries]
        if now <= self._flushed_at + FLUSH_SECONDS:
            return
        try:
            self.flush()
        except OSError:
            del self._waiting[len(self._waiting) - len(summaries) :]
            raise

    def flush(self) -> None:
        """Writes all waiting events to the disk."""
        if not self._waiting:
            return
        writer, self._writer, name = self._writer, None, ""
        try:
            if writer is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                name = f".{uuid4().hex}"
                writer = EventsWriter(str(self._folder / "events"), name)
                start = SessionLog(status=SessionLog.START)
                writer.write_event(
                    Event(step=self._purge_step, wall_time=time.time(), session_log=start)
                )
            for event in self._waiting:
                writer.write_event(event)
            writer.flush()
        except OSError as error:
            self._abandon(writer, name)
            raise OSError(error.errno, error.strerror, str(self._folder)) from error
        self._writer, self._flushed_at = writer, time.time()
        self._purge_step = self._waiting[-1].step + 1
        self._waiting.clear()

    def close(self) -> None:
        """Writes all waiting events and closes the file."""
        self.flush()
        if self._writer is not None:
            self._writer.close()

    def _abandon(self, writer: EventsWriter | None, name: str) -> None:
        """Closes a file that may end in the middle of an event, and removes it if it is new.

        Args:
          writer: the writer of the file; None if the file could not be opened.
          name: the end of the name of a new file; "" for an older file, which contains earlier
            events and is kept.
        """
        if writer is not None:
            with suppress(OSError):
                writer.close()
        if name:
            for path in self._folder.glob(f"*{name}"):
                path.unlink()
