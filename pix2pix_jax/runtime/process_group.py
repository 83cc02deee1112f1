"""Makes processes that train together end together; each prints the reason to its stderr.

If JAX loses a process, JAX aborts all other processes within seconds. If JAX aborted the first
process, the last checkpoint and the uploads would be lost, too. Therefore a process that fails does
not exit at once:

1. The failed process sends its error to all processes (`ProcessGroup.report_errors`) and waits.
2. The first process is the failed process, or its next computation fails. The first process then
   saves and uploads everything, while the other processes wait.
3. The first process sends FIRST_FINISHED, and all processes exit with status 2.

If a process is lost without sending its error, the other processes exit with TRY_AGAIN, or JAX
aborts them.
"""

import atexit
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Protocol

import jax
from jax.errors import JaxRuntimeError

from pix2pix_jax.errors import UsageError, reason_of

LEAVE_TIMEOUT = 15  # seconds to wait, after an error, for a message of the first process
POLL_INTERVAL = 0.5  # seconds between two reads of a message
TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h: exit status after the loss of another process
HOW_TO_RESUME = "run the same command on all hosts to resume from the newest checkpoint"

# Keys of the messages.
ERROR = "error"  # the error that ends all processes
# The first process has failed and is saving; the other processes wait without a time limit.
FIRST_FAILED = "first process failed"
# The first process has saved everything; the other processes may exit.
FIRST_FINISHED = "first process finished"


class KeyValueStore(Protocol):
    """The two methods of JAX's distributed client that `Messages` calls."""

    def key_value_set(self, key: str, value: str) -> None: ...

    def key_value_try_get(self, key: str) -> str: ...


class Messages:
    """Sends texts to all processes, and reads the texts that they have sent.

    Args:
      store: a key-value store that all processes share. JAX keeps its store in the first process.
    """

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store

    def send(self, key: str, text: str = "") -> None:
        """Sends a text under a key; does nothing if the key has a text already."""
        # JAX raises an error if the key has a text already, or if the first process is gone.
        with suppress(JaxRuntimeError):
            self._store.key_value_set(f"pix2pix_jax/{key}", text)

    def read(self, key: str) -> str | None:
        """The text that a process has sent under a key; None if there is no such text."""
        # JAX raises an error if there is no text yet, or if the first process is gone.
        with suppress(JaxRuntimeError):
            return self._store.key_value_try_get(f"pix2pix_jax/{key}")
        return None


class CrashMessage:
    """Prints a line to stderr if this process is aborted or killed.

    JAX aborts a process from a C++ thread. Then no `except`, `atexit` or signal handler of Python
    runs, so the process itself cannot tell the user the reason. Therefore a child process keeps
    the line. When this process is gone, the child's stdin closes, and the child prints the line.
    """

    PROGRAM = "import sys; sys.stderr.write(['', *sys.stdin][-1])"

    def __init__(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-S", "-c", self.PROGRAM],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C in the terminal must not end the child.
        )

    def set(self, line: str) -> None:
        """Replaces the line; does nothing after `cancel`."""
        assert self._child.stdin is not None
        with suppress(OSError):
            self._child.stdin.write(f"{line}\n")
            self._child.stdin.flush()

    def cancel(self) -> None:
        """Ends the child without printing the line."""
        self._child.kill()
        self._child.wait()


class SingleProcess:
    """Replaces `ProcessGroup` in a process that trains alone; changes no error."""

    def report_errors(self) -> AbstractContextManager[None]:
        """Does nothing, since there is no other process to report an error to."""
        return nullcontext()

    def explain_lost_process(self) -> AbstractContextManager[None]:
        """Does nothing, since there is no other process to lose."""
        return nullcontext()


class ProcessGroup:
    """Makes this process and the processes that train with it end together.

    Args:
      messages: the messages between the processes.
      crash_message: prints a line if this process is aborted.
    """

    def __init__(self, messages: Messages, crash_message: CrashMessage) -> None:
        self._messages = messages
        self._crash_message = crash_message
        self._has_left = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    @property
    def own_name(self) -> str:
        """The name of this process in messages, for instance "process 1 of 2"."""
        return f"process {jax.process_index()} of {jax.process_count()}"

    def start_watching(self) -> None:
        """Starts a thread that ends this process after another process has sent an error.

        Without this thread, the next computation of this process would wait for the failed process.
        In the first process, the thread does not end the process, because the run must be saved.
        """
        self._crash_message.set(
            f"{self.own_name} has ended, because this process or another was lost; {HOW_TO_RESUME}"
        )
        self._watcher.start()

    def _watch(self) -> None:
        while not (error := self._messages.read(ERROR)):
            if self._has_left.wait(POLL_INTERVAL):
                return
        self._crash_message.set(error)
        # The next computation of the first process fails, and `explain_lost_process` then raises
        # this error.
        if jax.process_index():
            self._wait_for_first()
            time.sleep(POLL_INTERVAL)  # The main thread may be about to print its own error.
            os._exit(2)

    @contextmanager
    def report_errors(self) -> Iterator[None]:
        """Sends an error inside the `with` block to the other processes, and raises it again.

        A failed computation is not sent, because it means that another process is lost.
        """
        try:
            yield
        except JaxRuntimeError:
            raise
        except Exception as error:  # Every error, also a bug, ends all processes.
            self._messages.send(ERROR, f"{self.own_name} has ended: {reason_of(error)}")
            if jax.process_index() == 0:
                self._messages.send(FIRST_FAILED)
            raise

    @contextmanager
    def explain_lost_process(self) -> Iterator[None]:
        """Explains an error of a computation with the other processes.

        If JAX aborts this process first, `CrashMessage` prints the reason.

        Raises:
          UsageError: another process has failed or is lost.
        """
        try:
            yield
        except JaxRuntimeError as error:
            if reported := self._messages.read(ERROR):
                raise UsageError(reported) from error
            # At exit, JAX would wait for the lost processes, and then abort this process.
            atexit.unregister(self.leave)
            atexit.register(os._exit, TRY_AGAIN)
            self._crash_message.cancel()
            raise UsageError(
                f"{self.own_name} cannot continue with the other processes ({reason_of(error)})",
                HOW_TO_RESUME,
            ) from error

    def leave(self) -> None:
        """Disconnects this process at exit. After an error, the first process exits last."""
        self._crash_message.cancel()
        if self._messages.read(ERROR) is None:
            jax.distributed.shutdown()
            # Python aborts if a thread is inside JAX while the interpreter shuts down.
            self._has_left.set()
            if self._watcher.is_alive():
                self._watcher.join()
            return
        if jax.process_index() == 0:
            self._messages.send(FIRST_FINISHED)
            # The store ends with this process, so the other processes must read the message first.
            time.sleep(2 * POLL_INTERVAL)
        else:
            self._wait_for_first()
        os._exit(2)  # jax.distributed.shutdown would wait for processes that are gone.

    def _wait_for_first(self) -> None:
        """Waits until the first process has saved; without FIRST_FAILED, at most LEAVE_TIMEOUT.

        The first process may wait for this process in a computation, and notices the failure only
        when this process is gone. Therefore the wait must end if the first process sends nothing.
        """
        deadline = time.monotonic() + LEAVE_TIMEOUT
        while time.monotonic() < deadline or self._messages.read(FIRST_FAILED) is not None:
            if self._messages.read(FIRST_FINISHED) is not None:
                return
            time.sleep(POLL_INTERVAL)
