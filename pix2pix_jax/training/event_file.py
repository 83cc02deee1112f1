"""TensorBoard's file of events, written by the main thread.

tensorboardX's own writer has a thread that swallows errors, such as those of a full disk.
"""

import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from tensorboardX.event_file_writer import EventsWriter

# Protocol buffers make these classes when they are imported, so type checkers cannot see them.
from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore
from tensorboardX.proto.summary_pb2 import Summary  # pyright: ignore

FLUSH_SECONDS = 1  # Every flush waits for the disk, so steps that follow fast share one.


class EventFile:
    """A file of events in a folder; after a failure, another file in the same folder.

    All methods raise OSError if the events cannot be written. The events are kept and written by
    the next call, but for those that `add` was just given: the caller adds these again.
    """

    def __init__(self, folder: Path, purge_step: int):
        """Opens no file yet.

        Args:
          folder: for the file; made with the first event.
          purge_step: TensorBoard is told to forget older events from this step on.
        """
        self._folder = folder
        self._purge_step = purge_step
        self._writer: EventsWriter | None = None
        self._waiting: list[Event] = []
        self._flushed_at = 0.0  # seconds, as time.time()

    def add(self, step: int, summaries: list[Summary]) -> None:
        """Adds the scalars and pictures of a step."""
        now = time.time()
        self._waiting += [Event(step=step, wall_time=now, summary=each) for each in summaries]
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
        """Closes a file that may end with half an event, and removes it if it is a new file."""
        if writer is not None:
            with suppress(OSError):
                writer.close()
        if name:
            for path in self._folder.glob(f"*{name}"):
                path.unlink()
