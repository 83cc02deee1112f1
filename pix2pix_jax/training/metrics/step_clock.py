"""Measures the speed of training."""

import time


class StepClock:
    """Measures the speed of training, without the time of compiling, sampling and evaluating.

    The first call with a new number of steps compiles a program, so the measurement starts again
    after this call. The speed is known after the second call.
    """

    def __init__(self, step: int):
        """Starts the clock after `step` completed steps."""
        self._start = self._end = (step, time.perf_counter())
        self._sizes: set[int] = set()  # the numbers of steps in a call whose program is compiled

    def advance(self, step: int) -> None:
        """Records that `step` steps are completed now."""
        size = step - self._end[0]
        self._end = step, time.perf_counter()
        if size not in self._sizes:
            self._sizes.add(size)
            self._start = self._end

    @property
    def steps_per_second(self) -> float | None:
        """Steps per second of the current measurement; None if all its steps included compiling."""
        steps = self._end[0] - self._start[0]
        return steps / (self._end[1] - self._start[1]) if steps else None

    @property
    def seconds(self) -> float:
        """The time until now of the current measurement."""
        return time.perf_counter() - self._start[1]

    def restart(self) -> None:
        """Starts a new measurement."""
        self._start = self._end[0], time.perf_counter()

    def leave_out_output(self) -> None:
        """Leaves the time since the last `advance` out of the current measurement."""
        self._start = self._start[0], self._start[1] + time.perf_counter() - self._end[1]
