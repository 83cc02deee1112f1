"""Writes all outputs of a training run: metrics, pictures, checkpoints and the report."""

from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from pix2pix_jax.checkpoints.saver import CheckpointSaver
from pix2pix_jax.checkpoints.store import Checkpoint
from pix2pix_jax.config.files import write_config
from pix2pix_jax.data.contents.facts import dataset_contents, write_contents
from pix2pix_jax.data.pair_names import list_pair_names, read_pair_names
from pix2pix_jax.data.records import open_split
from pix2pix_jax.evaluation.checkpoint_scorer import CheckpointScorer
from pix2pix_jax.gan.state import TrainState
from pix2pix_jax.reports.run import write_run_page
from pix2pix_jax.runtime.retry_queue import RetryQueue
from pix2pix_jax.training.divergence import CollapseWatch, explain_divergence
from pix2pix_jax.training.due import Due
from pix2pix_jax.training.initial_state import InitialState
from pix2pix_jax.training.metrics.names import measured_metrics
from pix2pix_jax.training.metrics.window import MetricWindow
from pix2pix_jax.training.metrics.writer import MetricWriter
from pix2pix_jax.training.run import TrainingRun
from pix2pix_jax.training.sample_grid import SampleGrid


@dataclass(frozen=True)
class Progress:
    """The progress of a run after a call to the devices.

    Attributes:
      step: the number of completed steps.
      state: the state after these steps.
      due: the outputs that are due after this step.
      stop: whether a signal stops the run here.
    """

    step: int
    state: TrainState
    due: Due
    stop: bool


class Recorder:
    """Writes the outputs that are due after each call to the devices. Use as a context manager."""

    def __init__(
        self, run: TrainingRun, scorer: CheckpointScorer, start: InitialState, window: MetricWindow
    ):
        """Opens all outputs.

        Args:
          run: the run to record.
          scorer: computes the metrics of the generator when an evaluation is due.
          start: the state from which the run starts or resumes.
          window: the metrics since the last log line before that step.
        """
        config, workdir = run.config, run.workdir
        last, batch_size = config.train.steps, config.data.batch_size
        self._run, self._scorer = run, scorer
        self._watch = CollapseWatch(config.loss.gan)
        self._samples = SampleGrid(config, open_split(run.dataset, "val", config.data.max_pairs))
        self._start: InitialState | None = start  # None after the first call to the devices
        with ExitStack() as stack:
            # This context ends after the last save, because its message names the newest step.
            records = open_split(run.dataset, "train", config.data.max_pairs)
            stack.enter_context(explain_divergence(config, records, workdir))
            self._queue = stack.enter_context(RetryQueue())
            self._writer = stack.enter_context(
                MetricWriter(
                    workdir, start.step, last, batch_size, self._queue, window.metric_names
                )
            )
            self._saver = stack.enter_context(CheckpointSaver(workdir, config.train))
            self._outputs = stack.pop_all()

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        """Closes all outputs; after NotFinite, also writes the names of the pairs of the step."""
        return self._outputs.__exit__(kind, error, traceback)

    def record(
        self, progress: Progress, window: MetricWindow, metrics: dict[str, np.ndarray]
    ) -> None:
        """Writes the outputs that are due.

        Args:
          progress: the progress of the run.
          window: the metrics since the last log line; cleared at multiples of train.log_every.
          metrics: the result of `window.read`, [steps] by name; empty if nothing was read.

        Raises:
          NotFinite: validation/l1 is not finite.
          UsageError: a parameter is not finite, or too many saves have failed.
        """
        run, step, due = self._run, progress.step, progress.due
        self._writer.advance(step)
        self._saver.poll()
        if metrics:
            self._watch.update(step, metrics["loss/discriminator"])
        # The config is written only after a step has shown that the networks fit into memory.
        if self._start is not None:
            self._write_start(self._start)
            self._start = None
        scores = self._write_line(progress, window) if due.line else {}
        if step % run.config.train.log_every == 0:
            window.clear()
        if due.sample or progress.stop:
            self._queue.put("report", lambda: write_run_page(run.workdir, run.config, step))
        if due.save or progress.stop:
            is_last = progress.stop or step == run.config.train.steps
            checkpoint = Checkpoint(progress.state, window.totals, run.fingerprint, scores)
            self._saver.save(checkpoint, is_last=is_last)

    def _write_line(self, progress: Progress, window: MetricWindow) -> dict[str, float]:
        """Writes a line of metrics, and the sample grid and the scores that are due.

        Returns:
          The scores by metric; empty if no evaluation is due.
        """
        step, due, params = progress.step, progress.due, progress.state.generator.params
        outputs, l1 = self._samples.translate(step, params)
        scores = self._scorer.score(params) if due.evaluate else {}
        scalars = {
            f"evaluation/{name}": value
            for name, value in scores.items()
            if np.isfinite(value)  # A PSNR may be infinite, but JSON has no infinity.
        }
        if due.log:  # At other steps, the window is not complete.
            scalars |= measured_metrics(window.means(), self._run.config.loss.gan)
        scalars["validation/l1"] = l1
        self._writer.write(step, scalars, self._samples.draw(outputs) if due.sample else None)
        return scores

    def _write_start(self, start: InitialState) -> None:
        """Writes the config, and saves networks that were taken from another run.

        The other run may be removed before the first checkpoint is due.
        """
        self._queue.put(self._run.workdir.config_file.name, self._write_config)
        if read_pair_names(self._run.workdir.pair_names_file, self._run.fingerprint) is None:
            self._queue.put("pair_names.json", self._write_pair_names)
        if start.is_transferred:
            self._saver.save(Checkpoint(start.state, start.totals, self._run.fingerprint))

    def _write_config(self) -> None:
        run = self._run
        if contents := dataset_contents(run.dataset, run.config.data):
            write_contents(contents, run.workdir.pairs_file)
        write_config(run.config, run.workdir.config_file)

    def _write_pair_names(self) -> None:
        list_pair_names(self._run.dataset).write(self._run.workdir.pair_names_file)
