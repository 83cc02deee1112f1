"""Prints the losses of the first step and the expected time of a run, as soon as they are known."""

import sys
import time

import numpy as np

from pix2pix_jax.config.schema import Config
from pix2pix_jax.runtime.console import format_duration, print_above_bar
from pix2pix_jax.training.metrics.names import describe_scalars, measured_metrics, short_metrics

PACE_SECONDS = 10.0  # the time of training after which the speed is known
SHORT_SECONDS = 60.0  # for a run that takes less time, the line about the speed is left out


class FirstSteps:
    """Prints two lines at the start of a run, long before its first log line may be due.

    The first line has the losses of the first step, which shows that training works. The second
    line has the speed, and the time that all steps will take. The speed leaves out the time of
    compiling the training step, and the time of outputs such as an evaluation.
    """

    def __init__(self, config: Config, first: int):
        """Starts before the first step.

        Args:
          config: the resolved config of the run.
          first: the step from which the run starts or resumes.
        """
        self._config, self._first = config, first
        self._step = first  # the number of completed steps at the last call of `show`
        self._sizes: set[int] = set()  # the numbers of steps in a call whose program is compiled
        self._start: tuple[int, float] | None = None  # where the current measurement began
        self._steps, self._seconds = 0, 0.0  # sums over all earlier measurements
        self._has_pace = False

    @property
    def is_due(self) -> bool:
        """Whether `show` needs the metrics of the step that was completed just now."""
        if self._start is None:
            return True
        seconds = self._seconds + time.perf_counter() - self._start[1]
        return not self._has_pace and seconds >= PACE_SECONDS

    def show(self, step: int, metrics: dict[str, np.ndarray], is_logged: bool) -> None:
        """Prints the lines that are due. Must be called after every call to the devices.

        Args:
          step: the number of completed steps.
          metrics: the result of `MetricWindow.read` after this step; empty if nothing was read.
            Reading waits for the devices, so the clock then shows when this step ended.
          is_logged: whether a log line will show the losses of this step.
        """
        size, self._step = step - self._step, step
        is_first = self._start is None
        if size not in self._sizes:  # The program for this number of steps was compiled just now.
            self._sizes.add(size)
            self._steps, self._seconds = 0, 0.0
            self.restart()
        elif metrics:
            self._measure()
        if is_first and metrics and not is_logged:
            self._say(f"step {step}/{self._config.train.steps}  {self._losses(metrics)}")
        if self._seconds >= PACE_SECONDS and not self._has_pace:
            self._has_pace = True
            speed = self._steps / self._seconds
            if (self._config.train.steps - step) / speed >= SHORT_SECONDS:
                self._say(self._describe_pace(speed))

    def restart(self) -> None:
        """Leaves out the time since the last call of `show`, in which outputs were written."""
        self._start = self._step, time.perf_counter()

    def _measure(self) -> None:
        """Adds the steps and the time since the last restart to `_steps` and `_seconds`."""
        assert self._start is not None
        self._steps += self._step - self._start[0]
        self._seconds += time.perf_counter() - self._start[1]
        self.restart()

    def _losses(self, metrics: dict[str, np.ndarray]) -> str:
        measured = measured_metrics(metrics, self._config.loss.gan)
        return describe_scalars(short_metrics({name: float(v[-1]) for name, v in measured.items()}))

    def _describe_pace(self, speed: float) -> str:
        """The line about the speed.

        Args:
          speed: steps per second.
        """
        steps = self._config.train.steps - self._first
        which = f"the {steps:,} steps that are left" if self._first else f"all {steps:,} steps"
        pace = f"{speed:,.2f} steps/s" if speed >= 1 else f"{1 / speed:.1f} s per step"
        return f"{pace}: {which} take about {format_duration(steps / speed)}"

    def _say(self, line: str) -> None:
        print_above_bar(line, sys.stdout)
