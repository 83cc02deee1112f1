"""Tells the user that a program is compiled or loaded from the cache, and how long this takes."""

import threading
import time
from types import TracebackType

import jax

from pix2pix_jax.runtime.console import format_duration, progress_bar, say

# The events of jax.monitoring. JAX reports a hit only if a program was requested and found.
REQUESTED = "/jax/compilation_cache/compile_requests_use_cache"
FOUND = "/jax/compilation_cache/cache_hits"
SECONDS_SAVED = "/jax/compilation_cache/compile_time_saved_sec"
BACKEND_SECONDS = "/jax/core/compile/backend_compile_duration"
LOADING_SECONDS = 10.0  # a program that is not loaded after this time is not in the cache
TICK_SECONDS = 1.0
FIRST_LINE_SECONDS = 30.0  # without a terminal, a line is printed after 30, 60, 120, ... seconds


class CompileEvents:
    """Follows what JAX compiles and loads during a `with` block.

    Small programs are compiled every time, because JAX keeps only programs in its cache that take
    long. Therefore `is_cached` is about the program that takes longest to compile.
    """

    def __init__(self) -> None:
        self._requested_at: float | None = None  # while JAX looks for a program, or compiles it
        self._is_found = False  # whether the requested program was in the cache
        self._seconds_saved = 0.0  # the time of compiling the requested program earlier
        self._longest = 0.0  # the longest time of compiling, now or earlier
        self.is_cached = False  # whether the program with that time was in the cache

    def __enter__(self) -> "CompileEvents":
        jax.monitoring.register_event_listener(self._receive)
        jax.monitoring.register_event_duration_secs_listener(self._receive_duration)
        return self

    def __exit__(self, *_: object) -> None:
        jax.monitoring.unregister_event_listener(self._receive)
        jax.monitoring.unregister_event_duration_listener(self._receive_duration)

    @property
    def is_compiling(self) -> bool:
        """Whether JAX now compiles a program that was not in the cache."""
        start = self._requested_at
        waits = start is not None and time.monotonic() - start > LOADING_SECONDS
        return waits and not self._is_found

    def _receive(self, event: str, **_: object) -> None:
        if event == REQUESTED:
            self._requested_at, self._is_found = time.monotonic(), False
        elif event == FOUND:
            self._is_found = True

    def _receive_duration(self, event: str, duration_secs: float, **_: object) -> None:
        if event == SECONDS_SAVED:
            self._seconds_saved = max(0.0, duration_secs)
        elif event == BACKEND_SECONDS:
            seconds = duration_secs + self._seconds_saved
            if seconds >= self._longest:
                self._longest, self.is_cached = seconds, self._is_found
            self._requested_at, self._is_found, self._seconds_saved = None, False, 0.0


class CompileNotice:
    """Prints how long the first call of a program takes, and whether the program was in the cache.

    A terminal shows the seconds while they pass. Elsewhere, a line is printed after half a minute,
    after a minute, and each time that the wait has doubled.

    Args:
      program: the program in words, such as "the training step".
      min_seconds: no line is printed for a shorter call.
    """

    def __init__(self, program: str, min_seconds: float = 0.0):
        self._program, self._min_seconds = program, min_seconds
        self._events = CompileEvents()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._tick_until_stopped, daemon=True)
        self._start = 0.0

    def __enter__(self) -> "CompileNotice":
        self._start = time.monotonic()
        self._events.__enter__()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._thread.join()
        self._events.__exit__()
        seconds = time.monotonic() - self._start
        if error is None and seconds >= self._min_seconds:
            say(f"{self._result()} in {format_duration(seconds)}")

    def _result(self) -> str:
        if self._events.is_cached:
            return f"loaded {self._program} from the cache of compiled programs"
        return f"compiled {self._program}"

    def _tick_until_stopped(self) -> None:
        next_line, has_said_compiling = FIRST_LINE_SECONDS, False
        with progress_bar(bar_format="{desc}", leave=False) as bar:
            while not self._stopped.wait(TICK_SECONDS):
                seconds = time.monotonic() - self._start
                action = "compiling" if self._events.is_compiling else "preparing"
                bar.set_description_str(f"{action} {self._program}, {seconds:.0f} s")
                if self._events.is_compiling and not has_said_compiling:
                    has_said_compiling = True
                    say(f"compiling {self._program}, which is not in the cache yet")
                if bar.disable and seconds >= next_line:
                    next_line *= 2
                    say(f"still {action} {self._program} after {format_duration(seconds)}")
