"""Outputs that wait while they cannot be written, as on a full disk: nothing is lost by it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pix2pix_jax.runtime.console import print_above_bar, say

Put = Callable[[str, Callable[[], None]], None]


@contextmanager
def open_outbox() -> Iterator[Put]:
    """Opens a queue of outputs for the `with` block, whose end needs all of them to be written.

    Yields:
      put(name, write): calls `write`. Where that is impossible it waits, and is tried again with
      the next one; so do those of its kind, the first word of a name, as they have an order. Of one
      name only the latest waits.

    Raises:
      OSError: at the end, as something still cannot be written.
    """
    waiting: dict[str, Callable[[], None]] = {}

    def put(name: str, write: Callable[[], None]) -> None:
        waited = bool(waiting)
        waiting.pop(name, None)  # to the end
        waiting[name] = write
        try:
            _write_all(waiting)
        except OSError as error:
            if not waited:
                print_above_bar(
                    f"{error.filename or name}: NOT WRITTEN ({error.strerror or error}); make room "
                    "there: training goes on, and what it tells is kept to be written then",
                    sys.stderr,
                )
        else:
            if waited:
                say("what could not be written is written now")

    yield put
    _write_all(waiting)


def _write_all(waiting: dict[str, Callable[[], None]]) -> None:
    """Tries all, but those of a kind in their order; raises what befell the first."""
    failed: dict[str, OSError] = {}  # by kind
    for name in list(waiting):
        kind = name.partition(" ")[0]
        if kind not in failed:
            try:
                waiting[name]()
                del waiting[name]
            except OSError as error:
                failed[kind] = error
    if failed:
        raise next(iter(failed.values()))
