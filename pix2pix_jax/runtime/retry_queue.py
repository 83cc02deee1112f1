"""A queue of outputs that keeps what cannot be written, as on a full disk, and tries again."""

import sys
from collections.abc import Callable
from types import TracebackType

from pix2pix_jax.runtime.console import print_above_bar, say


class RetryQueue:
    """Writes outputs, and keeps those that fail until they can be written.

    As a context manager, the end of the `with` block writes everything that still waits; a block
    that ends with an error does not.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Callable[[], None]] = {}  # by name, oldest first

    def __enter__(self) -> "RetryQueue":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()

    def put(self, name: str, write: Callable[[], None]) -> None:
        """Writes an output, after all that wait; an output that fails is tried again later.

        Args:
          name: the kind of output, optionally followed by a space and more. Outputs of one kind
            are written in order: while one waits, so do the later ones of its kind. Putting a
            name that already waits replaces the older output.
          write: writes the output; raises OSError if that is impossible for now.
        """
        had_waiting = bool(self._waiting)
        self._waiting.pop(name, None)  # so that it moves to the end
        self._waiting[name] = write
        try:
            self.flush()
        except OSError as error:
            if not had_waiting:
                print_above_bar(
                    f"{error.filename or name}: NOT WRITTEN ({error.strerror or error}); make room "
                    "there: training goes on, and all output is kept until it can be written",
                    sys.stderr,
                )
        else:
            if had_waiting:
                say("what could not be written is written now")

    def flush(self) -> None:
        """Tries to write all outputs that wait, each kind in its order.

        Raises:
          OSError: the first one that a write raised; the other kinds are written all the same.
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

    def close(self) -> None:
        """Writes all outputs that wait.

        Raises:
          OSError: an output still cannot be written.
        """
        self.flush()
