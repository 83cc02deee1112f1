"""Measures the speed of training."""

import time


class StepClock:
    """Measures the speed of training, without the time of compiling, sampling and evaluating.

    The first call with a new number of steps compiles a program, so the measurement starts again
    after this call. Before the second call there is no other time, so the speed then includes
    compiling.
    """

    def __init__(self, step: int):
        """Starts the clock after `step` completed steps."""
        self._opened = self._start = self._end = (step, time.perf_counter())
        self._sizes: set[int] = set()  # the numbers of steps in a call whose program is compiled

    def advance(self, step: int) -> None:
        """Records that `step` steps are completed now."""
        size = step - self._end[0]
        self._end = step, time.perf_counter()
        if size not in self._sizes:
            self._sizes.add(size)
            self._start = self._end

    @property
    def has_only_compiled(self) -> bool:
        """Whether only a call that includes compiling was measured."""
        return self._start[0] == self._end[0]

    @property
    def steps_per_second(self) -> float:
        """Steps per second of the current measurement.

        Before the second call, the time counts from the start of the clock.
        """
        start = self._opened if self.has_only_compiled else self._start
        return (self._end[0] - start[0]) / (self._end[1] - start[1])

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
