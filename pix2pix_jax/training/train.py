"""The training command: config -> dataset -> batches -> train step -> metrics -> recorder."""

import math
from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from itertools import islice

import jax
import numpy as np

from pix2pix_jax.checkpoints.reader import best_step
from pix2pix_jax.checkpoints.store import CheckpointStore, Totals
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.examples import Example
from pix2pix_jax.data.pipeline import make_training_batches, prefetch
from pix2pix_jax.data.records import open_split
from pix2pix_jax.evaluation.validation import ValidationScorer
from pix2pix_jax.gan.parallel import parallel_steps
from pix2pix_jax.gan.state import TrainState, create_state
from pix2pix_jax.gan.step import Batch, Metrics
from pix2pix_jax.runs.compatibility import check_workdir
from pix2pix_jax.runs.ownership import claim_workdir
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime import distributed
from pix2pix_jax.runtime.backend import copy_to_devices
from pix2pix_jax.runtime.console import say
from pix2pix_jax.runtime.memory import explain_out_of_memory
from pix2pix_jax.runtime.signals import StopSignals
from pix2pix_jax.training.metric_window import MetricWindow
from pix2pix_jax.training.preparation import prepare_dataset, settle_config
from pix2pix_jax.training.recorder import Progress, Recorder
from pix2pix_jax.training.run import TrainingRun
from pix2pix_jax.training.schedule import Due, all_intervals

IMAGES_PER_CALL = 64  # on a device, at most, if train.steps_per_call is None


def train(config: Config, workdir: Workdir) -> int:
    """Trains a run, or goes on with it after an interruption.

    Returns:
      The exit status: 0 when done, 128 + the number of the signal that stopped it.

    Raises:
      UsageError: an unusable config, dataset, workdir or checkpoint, or a loss that is not finite.
    """
    config = settle_config(config, workdir)
    template = jax.eval_shape(lambda: create_state(config))  # Refuses impossible networks early.
    if distributed.is_first():
        check_workdir(workdir, config)  # Before anything is written anywhere.
    run = TrainingRun(config, workdir, prepare_dataset(config))
    with (
        claim_workdir(workdir) if distributed.is_first() else nullcontext(),
        explain_out_of_memory(),
    ):
        if distributed.is_first():  # Another process may have begun a run here meanwhile.
            check_workdir(workdir, config)
        start = restore_or_create(run, template)
        last = config.train.steps
        if start.step >= last:
            say(f"{workdir}: done, step {start.step} of train.steps {last}; nothing left to do")
            return 0
        scorer = prepare_scorer(run)
        say_start(run, start)
        with StopSignals() as signals:  # until the last checkpoint is on the disk
            step, signal = fit(run, start, scorer, signals)
    if signal:
        say(f"{workdir}: stopped at step {step} and saved; the same command goes on from there")
        return 128 + signal
    say_end(run)
    return 0


@dataclass(frozen=True)
class Start:
    """What a run starts with.

    Attributes:
      state: restored or new, equal to the bit on all processes.
      totals: sums of metrics for the next line of the log; the first process alone has them.
      resumed: whether a checkpoint was restored.
    """

    state: TrainState
    totals: Totals
    resumed: bool

    @property
    def step(self) -> int:
        """Completed steps."""
        return int(self.state.step)


def restore_or_create(run: TrainingRun, template: TrainState) -> Start:
    """Restores the newest checkpoint in the first process, or creates the state of step 0.

    Args:
      run: to start.
      template: shapes and dtypes of the state.

    Raises:
      UsageError: checkpoints of other data or another version, or all of them damaged.
    """
    found, options = None, run.config.train
    if distributed.is_first():
        with CheckpointStore(run.workdir, options.keep, options.best_metric) as store:
            found = store.restore_newest(template, run.data)
    state = found.state if found else jax.device_get(create_state(run.config))
    return Start(
        state=distributed.broadcast_from_first(state),
        totals=found.totals if found else {},
        resumed=found is not None,
    )


def prepare_scorer(run: TrainingRun) -> ValidationScorer | None:
    """Prepares what measures generators on the validation split; None but in the first process.

    If `train.best_metric` is an FCN-score and the dataset has no segmenter yet, the segmenter is
    trained here, which may take a quarter of an hour.
    """
    with distributed.first_process_first("scorer"):
        return ValidationScorer(run.config, run.dataset) if distributed.is_first() else None


def say_start(run: TrainingRun, start: Start) -> None:
    """Says where training starts and how long it is."""
    config, dataset = run.config, run.dataset
    pairs = dataset.info.splits["train"].num_examples
    epochs = round(config.train.steps * config.data.batch_size / pairs, 1)
    where = f"going on from step {start.step}" if start.resumed else "starting"
    say(f"{run.workdir}: {where}, {epochs:,g} epochs of {pairs} pairs from {dataset.data_dir}")
    say("compiling; the first time, this takes half a minute on a CPU")


def say_end(run: TrainingRun) -> None:
    """Says which checkpoint is best and where to look at the results."""
    workdir, options = run.workdir, run.config.train
    best = best_step(workdir, options.best_metric)
    if best is not None:
        say(
            f"{workdir}: best by {options.best_metric} is step {best}; pix2pix evaluate "
            "--step=best scores it"
        )
    say(f"{workdir}: {options.steps} steps done; the pictures are in {workdir.report_page}")


def fit(
    run: TrainingRun, start: Start, scorer: ValidationScorer | None, signals: StopSignals
) -> tuple[int, int]:
    """Trains to train.steps, or until a signal.

    Args:
      run: to train.
      start: the state that training starts with.
      scorer: of this process, which records the run; None: another process records it.
      signals: asked after every call whether to stop.

    Returns:
      The last step, which is saved, and the signal that ended training, or 0.
    """
    records = open_split(run.dataset, "train")
    with explain_out_of_memory("data.resident_mib: too large"):
        batches, pairs = make_training_batches(
            run.config, records, jax.process_index(), jax.process_count()
        )
    window, step, signal = MetricWindow(start.totals), start.step, 0
    with (
        closing(prefetch(batches, start.step)) as batches,
        Recorder(run, scorer, start.step, window) if scorer else nullcontext() as recorder,
    ):
        for step, state, metrics in run_steps(run.config, start.state, batches, pairs):
            window.add(metrics)
            signal, due = signals.requested(), Due.after(step, run.config.train)
            values = window.read(step) if due.any or signal else {}
            if recorder is not None:
                recorder.record(Progress(step, state, due, stop=signal > 0), window, values)
            if signal:
                break
    return step, signal


def run_steps(
    config: Config, state: TrainState, batches: Iterator[Example], pairs: Batch
) -> Iterator[tuple[int, TrainState, Metrics]]:
    """Runs the steps that are left, several in a call to the devices.

    Args:
      config: resolved.
      state: to start with, NumPy arrays.
      batches: of this process, one a step.
      pairs: resident on the devices, to crop batches from; empty if batches carry their images.

    Yields:
      Completed steps, the state after them, and the metrics [steps] of the call.
    """
    steps, size = parallel_steps(config, pairs), steps_per_call(config)
    step, last, state = int(state.step), config.train.steps, copy_to_devices(state)
    while step < last:
        # Full calls where they fit, single steps before and after them.
        count = size if step % size == 0 and step + size <= last else 1
        stacked = shard_batches(list(islice(batches, count)))
        state, metrics = steps(state, stacked)  # pyright: ignore (JAX takes NumPy arrays, too)
        if jax.default_backend() == "cpu":  # Several simulated devices can starve one another.
            jax.block_until_ready(metrics)
        step += count
        yield step, state, metrics


def steps_per_call(config: Config) -> int:
    """`train.steps_per_call`, or a number that suits the devices: results are equal to the bit."""
    if config.train.steps_per_call:
        return config.train.steps_per_call
    if jax.default_backend() == "cpu":
        return 1
    common = math.gcd(*all_intervals(config.train))
    most = max(1, IMAGES_PER_CALL * jax.device_count() // config.data.batch_size)
    return max(size for size in range(1, most + 1) if common % size == 0)


def shard_batches(batches: list[Example]) -> Example:
    """Stacks batches [b, ...] for `parallel_steps`: [devices, steps, b / devices, ...]."""
    devices = jax.local_device_count()
    stacked = {}
    for name in batches[0]:
        steps = np.stack([batch[name] for batch in batches])  # [steps, b, ...]
        split = steps.reshape(len(batches), devices, -1, *steps.shape[2:])
        stacked[name] = split.swapaxes(0, 1)  # [devices, steps, b / devices, ...]
    return stacked
