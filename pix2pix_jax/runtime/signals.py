"""Handles SIGTERM and Ctrl-C during training: the run is saved after the current step and stops."""

import os
import signal
import time
from contextlib import suppress
from types import FrameType

import jax
from jax.experimental import multihost_utils

STOPPING = (
    b"stopping after this step, to save it (if the step still compiles, this takes up to half a "
    b"minute); a second signal stops at once\n"
)
ECHO_SECONDS = 1  # `make` and process groups deliver one Ctrl-C twice within this time


class StopSignals:
    """Catches the first SIGTERM or SIGINT inside a `with` block; a second signal ends the process.

    A second signal within ECHO_SECONDS is ignored.

    If several processes train together, a signal to one process stops all processes at the same
    step. In that case JAX handles SIGTERM: all processes agree on the number of a future call of
    `poll`, and stop at that call.
    """

    def __init__(self) -> None:
        self._is_distributed = jax.distributed.is_initialized()
        self._signal = 0  # the number of the first signal; 0 before a signal
        self._received_at: float | None = None  # the time of the first signal to this process
        self._num_calls = 0
        self._previous_handlers = {}

    def __enter__(self) -> "StopSignals":
        numbers = [signal.SIGINT] if self._is_distributed else [signal.SIGINT, signal.SIGTERM]
        for number in numbers:
            self._previous_handlers[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)

    def poll(self) -> int:
        """The number of the signal that asks the run to save and stop; 0 if there is none.

        All processes must call this method after each call to the devices.
        """
        if not self._is_distributed:
            return self._signal
        call, self._num_calls = self._num_calls, self._num_calls + 1
        # JAX waits for a call with one certain number, so no number may be left out.
        if not multihost_utils.reached_preemption_sync_point(call):
            return 0
        self._signal = self._signal or signal.SIGTERM
        # JAX no longer needs SIGTERM; a second SIGTERM must end this process.
        signal.signal(signal.SIGTERM, self._handle)
        return self._signal

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._received_at is None:
            self._received_at = now
        if not self._signal:
            self._signal = number
            with suppress(OSError):  # Stdout may be closed.
                os.write(1, STOPPING)  # `print` is not safe in a signal handler.
            if self._is_distributed:
                signal.raise_signal(signal.SIGTERM)  # JAX tells the other processes.
        elif now - self._received_at > ECHO_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
