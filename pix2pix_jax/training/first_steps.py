"""Prints the losses of the first step and the expected time of a run, as soon as they are known."""

import numpy as np

from pix2pix_jax.config.schema import Config
from pix2pix_jax.runtime.console import format_duration, format_speed, say
from pix2pix_jax.training.metrics.names import describe_scalars, measured_metrics, short_metrics
from pix2pix_jax.training.metrics.step_clock import StepClock

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
        self._clock = StepClock(first)
        self._has_losses = self._has_pace = False

    @property
    def is_due(self) -> bool:
        """Whether `show` needs the metrics of the step that was completed just now."""
        is_known = self._clock.seconds >= PACE_SECONDS
        return not self._has_losses or (is_known and not self._has_pace)

    def show(self, step: int, metrics: dict[str, np.ndarray], is_logged: bool) -> None:
        """Prints the lines that are due. Must be called after every call to the devices.

        Args:
          step: the number of completed steps.
          metrics: the result of `MetricWindow.read` after this step; empty if nothing was read.
            Reading waits for the devices, so the clock then shows when this step ended.
          is_logged: whether a log line will show the losses of this step.
        """
        self._clock.advance(step)
        if not metrics:
            return
        if not self._has_losses and not is_logged:
            say(f"step {step}/{self._config.train.steps}  {self._losses(metrics)}")
        self._has_losses = True
        if not self._has_pace and self._clock.seconds >= PACE_SECONDS:
            self._has_pace = True
            speed = self._clock.steps_per_second
            if (self._config.train.steps - step) / speed >= SHORT_SECONDS:
                say(self._describe_pace(speed))

    def leave_out_output(self) -> None:
        """Leaves out the time since the last call of `show`, in which outputs were written."""
        self._clock.leave_out_output()

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
        time = format_duration(steps / speed)
        return f"{format_speed(speed, 'step')}: {which} take about {time}"
