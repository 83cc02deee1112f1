"""Signals: SIGTERM and Ctrl-C stop a run after the step, once it is saved."""

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import jax
from jax.experimental import multihost_utils


@contextmanager
def caught_signals() -> Iterator[Callable[[], int]]:
    """Catches the first SIGTERM or SIGINT; a later one ends the process at once.

    Of several processes each hears of one that any of them got. There, JAX has its own handler of
    SIGTERM, and calculates a call that none of them has come to yet.

    Yields:
      stopping(): the signal after which the run is to be saved and stopped at this step, or 0. To
      be asked after every call to the devices, by all processes.
    """
    calls = itertools.count()  # one by one, as JAX waits for just that one
    caught: list[int] = []
    times: list[float] = []
    several = jax.distributed.is_initialized()

    def catch(number: int, frame: object) -> None:
        times.append(time.monotonic())
        if not caught:
            caught.append(number)
            with suppress(OSError):  # nobody may be watching; `print` is not for handlers
                os.write(1, b"stopping after this step, to save it; once more stops at once\n")
            if several:
                signal.raise_signal(signal.SIGTERM)  # which JAX hears, and tells the others
        elif times[-1] - times[0] > 1:  # `make` and process groups send the first one twice
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def stopping() -> int:
        if several and multihost_utils.reached_preemption_sync_point(next(calls)):
            caught.append(signal.SIGTERM)
            signal.signal(signal.SIGTERM, catch)  # of which JAX has no more use
            return caught[0]
        return 0 if several or not caught else caught[0]

    numbers = (signal.SIGINT,) if several else (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, catch) for number in numbers}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
