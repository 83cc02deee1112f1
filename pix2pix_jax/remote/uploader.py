"""Uploads files at the end of a command, and in the background during training."""

import sys
import threading
from collections.abc import Callable
from types import TracebackType

from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.console import say

UPLOAD_SECONDS = 10.0  # the time between two uploads in the background


class Uploader:
    """Uploads new files at the end of the `with` block, even if the block raises.

    Args:
      push: uploads all new files; raises UsageError or OSError if that fails.
      in_background: whether to upload every UPLOAD_SECONDS during the block, too.

    Raises:
      UsageError, OSError: the last upload failed. If the `with` block raised an error, that error
        is raised instead, and the failed upload is printed.
    """

    def __init__(self, push: Callable[[], None], in_background: bool):
        self._push = push
        self._stopped = threading.Event()
        self._thread = (
            threading.Thread(target=self._push_repeatedly, daemon=True) if in_background else None
        )

    def __enter__(self) -> "Uploader":
        if self._thread:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._stopped.set()
            if self._thread:
                self._thread.join()
            self._push()
        except (UsageError, OSError) as push_error:
            if error is None:
                raise
            _print_failure(push_error)

    def _push_repeatedly(self) -> None:
        has_failed = False
        while not self._stopped.wait(UPLOAD_SECONDS):
            try:
                self._push()
                has_failed = False
            except (UsageError, OSError) as error:
                if not has_failed:  # If several uploads in a row fail, only the first is printed.
                    _print_failure(error)
                has_failed = True


def _print_failure(error: Exception) -> None:
    say(f"NOT UPLOADED: {error}", sys.stderr)
