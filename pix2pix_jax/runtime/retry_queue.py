"""A queue of outputs that cannot be written now, for example because the disk is full."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from pix2pix_jax.errors import fix_of
from pix2pix_jax.runtime.console import say
from pix2pix_jax.runtime.storage.files import PERMISSION_ERRNOS


class RetryQueue:
    """Writes outputs; an output that cannot be written waits in the queue and is written later.

    As a context manager, it writes all waiting outputs at the end of the `with` block, unless the
    block raises.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Callable[[], None]] = {}  # by name, the oldest first

    def __enter__(self) -> "RetryQueue":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.flush()

    def put(self, name: str, write: Callable[[], None]) -> None:
        """Writes the waiting outputs, then this output; failed outputs wait for the next call.

        Args:
          name: KIND, or KIND and more words, such as "samples 500". Outputs of one kind are written
            in order: while an output waits, all later outputs of its kind wait, too. An output
            replaces a waiting output of the same name.
          write: writes the output; raises OSError if the output cannot be written now.
        """
        had_waiting = bool(self._waiting)
        self._waiting.pop(name, None)  # The output moves to the end of the queue.
        self._waiting[name] = write
        try:
            self.flush()
        except OSError as error:
            if not had_waiting:
                say(
                    f"{error.filename or name}: NOT WRITTEN ({error.strerror or error}); "
                    f"{_describe_fix(error)}; training continues, and writes this output as soon "
                    "as the fix works",
                    sys.stderr,
                )
        else:
            if had_waiting:
                say("all delayed output is now written")

    def flush(self) -> None:
        """Tries to write all waiting outputs, each kind in its order.

        Raises:
          OSError: the first error of a write; outputs of other kinds are written nevertheless.
        """
        errors: dict[str, OSError] = {}  # by kind
        for name in list(self._waiting):
            kind = name.partition(" ")[0]
            if kind in errors:
                continue
            try:
                self._waiting[name]()
                del self._waiting[name]
            except OSError as error:
                errors[kind] = error
        if errors:
            raise next(iter(errors.values()))


def _describe_fix(error: OSError) -> str:
    """What the user can do while training continues."""
    path = Path(os.fsdecode(error.filename)) if error.filename else None
    if path is None or error.errno not in PERMISSION_ERRNOS:
        return fix_of(error) or "free disk space"
    # A file is created in its folder, so the permissions of the folder count.
    return f"make {path if path.exists() else path.parent} writable"
