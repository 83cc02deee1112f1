"""Shows the progress of a run, and writes metrics.jsonl, TensorBoard events and sample pictures."""

import json
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from pix2pix_jax.runs.metrics_log import rewind
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.console import format_speed, progress_bar, say
from pix2pix_jax.runtime.retry_queue import RetryQueue
from pix2pix_jax.runtime.storage.files import atomic_file
from pix2pix_jax.training.metrics.event_file import EventFile
from pix2pix_jax.training.metrics.names import SHORT_NAMES, describe_scalars, short_metrics
from pix2pix_jax.training.metrics.step_clock import StepClock
from pix2pix_jax.training.metrics.tensorboardx import image, scalar


class MetricWriter:
    """Shows the metrics of a run in the terminal, and writes them to files."""

    def __init__(
        self,
        workdir: Workdir,
        first: int,
        last: int,
        batch_size: int,
        queue: RetryQueue,
        incomplete_windows: frozenset[str] = frozenset(),
    ):
        """Opens the outputs, and removes the log lines of the steps that will be repeated.

        Args:
          workdir: the workdir of the run.
          first: the step from which the run starts or resumes.
          last: the last step of the run.
          batch_size: the number of images in a step, over all devices.
          queue: the queue that tries failed writes again.
          incomplete_windows: the names of metrics whose window is not complete at step `first`.
        """
        self._workdir, self._last, self._batch_size = workdir, last, batch_size
        self._queue = queue
        rewind(workdir.metrics_file, first, incomplete_windows)
        self._events = EventFile(workdir.tensorboard_folder, first + 1)
        self._bar = progress_bar(total=last, initial=first, unit="step")
        self._clock = StepClock(first)

    def __enter__(self) -> "MetricWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def advance(self, step: int) -> None:
        """Moves the progress bar to `step` completed steps."""
        self._clock.advance(step)
        self._bar.update(step - self._bar.n)

    def write(self, step: int, scalars: dict[str, float], grid: Image.Image | None = None) -> None:
        """Writes a line of metrics with the speed since the last line, and the sample grid.

        Args:
          step: the number of completed steps.
          scalars: the metrics by name.
          grid: the sample grid; None if no grid is due.
        """
        speed = self._clock.steps_per_second
        scalars = scalars | {"images_per_second": speed * self._batch_size}
        self._write_files(step, scalars, grid)
        self._show(step, scalars, speed)
        self._clock.restart()

    def close(self) -> None:
        """Closes the progress bar and TensorBoard's file."""
        self._bar.close()
        self._queue.put("events", self._events.close)

    def _write_files(self, step: int, scalars: dict[str, float], grid: Image.Image | None) -> None:
        line = json.dumps({"step": step} | scalars, allow_nan=False) + "\n"
        summaries = [scalar(name, value) for name, value in scalars.items()]
        self._queue.put(f"metrics {step}", lambda: _append(self._workdir.metrics_file, line))
        if grid is not None:
            path = self._workdir.sample_file(step)
            self._queue.put(f"samples {step}", lambda: _save_png(grid, path))
            summaries.append(image("samples", np.asarray(grid), dataformats="HWC"))
        self._queue.put(f"events {step}", lambda: self._events.add(step, summaries))

    def _show(self, step: int, scalars: dict[str, float], speed: float) -> None:
        """Shows the main metrics at the progress bar, and prints them as a line."""
        short = short_metrics(scalars)
        self._bar.set_postfix_str(
            " ".join(f"{SHORT_NAMES[name]} {value:.2f}" for name, value in short.items())
        )
        scores = {name: v for name, v in scalars.items() if name.startswith("evaluation/")}
        text = describe_scalars(short | scores)
        if not self._clock.has_only_compiled:
            time_left = tqdm.format_interval((self._last - step) / speed)
            text += f"  {format_speed(speed, 'step')}  {time_left} left"
        say(f"step {step}/{self._last}  {text}")


def _append(path: Path, line: str) -> None:
    """Appends a line to a file; if that fails, restores the file and raises OSError."""
    size = path.stat().st_size if path.exists() else 0
    try:
        with path.open("a") as file:
            file.write(line)
    except OSError as error:
        with suppress(OSError):
            os.truncate(path, size)
        raise OSError(error.errno, error.strerror, str(path)) from error


def _save_png(grid: Image.Image, path: Path) -> None:
    with atomic_file(path) as partial:
        grid.save(partial, "PNG")
