"""Runs `pix2pix train`: config -> dataset -> batches -> training steps -> metrics -> recorder."""

import shlex
from contextlib import closing, nullcontext

import jax

from pix2pix_jax.checkpoints.scores import best_step
from pix2pix_jax.config.resolve import run_epochs
from pix2pix_jax.config.resume import free_fields
from pix2pix_jax.config.schema import ENDLESS_SCHEDULES, Config, Data
from pix2pix_jax.data.contents.lines import dataset_lines
from pix2pix_jax.data.pipeline import make_training_batches, prefetch
from pix2pix_jax.data.records import count_pairs, open_split
from pix2pix_jax.evaluation.checkpoint_scorer import CheckpointScorer
from pix2pix_jax.gan.state import create_state
from pix2pix_jax.runs.checks import check_workdir
from pix2pix_jax.runs.ownership import claim_workdir
from pix2pix_jax.runs.restart import init_command
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime import distributed
from pix2pix_jax.runtime.console import plural, say
from pix2pix_jax.runtime.memory import explain_out_of_memory
from pix2pix_jax.runtime.signals import StopSignals
from pix2pix_jax.runtime.storage.files import check_writable
from pix2pix_jax.training.due import Due
from pix2pix_jax.training.first_steps import FirstSteps
from pix2pix_jax.training.initial_state import InitialState, check_initial_run, restore_or_create
from pix2pix_jax.training.metrics.window import MetricWindow
from pix2pix_jax.training.preparation import prepare_config, prepare_dataset, resolve_length
from pix2pix_jax.training.recorder import Progress, Recorder
from pix2pix_jax.training.run import TrainingRun
from pix2pix_jax.training.steps import run_steps

MANY_EPOCHS = 10  # In a run of fewer epochs, the last epoch is more than a tenth of all steps.


def train(config: Config, workdir: Workdir) -> int:
    """Trains a run, or resumes it after an interruption.

    Args:
      config: the config of an experiment.
      workdir: the workdir of the run.

    Returns:
      The exit status: 0 if train.steps are done; 128 + N if signal number N stopped the training.

    Raises:
      UsageError: the config, the dataset, the workdir or a checkpoint cannot be used, or a metric
        is not finite.
    """
    config = prepare_config(config, workdir)
    # This raises an error for networks that are not possible, before anything is written.
    template = jax.eval_shape(lambda: create_state(config))
    if distributed.is_first():
        check_workdir(workdir, config)
        check_initial_run(config, workdir)
    dataset = prepare_dataset(config)
    run = TrainingRun(resolve_length(config, dataset), workdir, dataset)
    with (
        claim_workdir(workdir) if distributed.is_first() else nullcontext(),
        explain_out_of_memory(),
    ):
        if distributed.is_first():  # Another process may have started a run since the first check.
            check_workdir(workdir, config)
        start = restore_or_create(run, template)
        # With train.epochs, other pairs give another number of steps. The error about the pairs,
        # which `restore_or_create` raises, shows the cause, so the steps are checked only now.
        if distributed.is_first():
            check_workdir(workdir, run.config)
        run = start.run
        if start.step >= run.config.train.steps:
            if distributed.is_first():  # Other processes need not have the files of the run.
                say(describe_finished(run, start.step))
            return 0
        if distributed.is_first():
            for folder in (workdir.path, workdir.checkpoints_folder):
                check_writable(folder)
        scorer = prepare_scorer(run)
        say_start(run, start)
        # Until the last checkpoint is on the disk, a signal only asks for a stop.
        with StopSignals() as signals:
            step, signal = fit(run, start, scorer, signals)
    if signal:
        say(f"{workdir.location}: stopped at step {step} and saved; the same command resumes there")
        return 128 + signal
    say_end(run)
    return 0


def prepare_scorer(run: TrainingRun) -> CheckpointScorer | None:
    """Prepares the scorer of the validation split in the first process.

    If the run is evaluated during training by an FCN-score (train.best_metric), and the dataset has
    no segmenter yet, a segmenter is trained here. This may take a quarter of an hour.

    Returns:
      The scorer; None in all other processes.
    """
    with distributed.first_process_first("scorer"):
        return CheckpointScorer(run.config, run.dataset) if distributed.is_first() else None


def describe_finished(run: TrainingRun, step: int) -> str:
    """The line about a run that has no step left to train.

    Args:
      run: the run.
      step: the step of its newest checkpoint.
    """
    last, location = run.config.train.steps, run.workdir.location
    state = f"done, step {step} of train.steps {last}; nothing is left to do"
    if step > last:
        state = f"is at step {step}, past train.steps {last}"
    longer = f"`pix2pix train --workdir={shlex.quote(location)} --config.train.steps={2 * step}`"
    if "train.steps" not in free_fields(run.config):  # The rate has decayed to zero.
        longer = init_command(run.workdir, run.config)
    return f"{location}: {state}; to train longer, run {longer}"


def say_start(run: TrainingRun, start: InitialState) -> None:
    """Prints the start of the run, its length in epochs, and the lines about its dataset."""
    config, dataset = run.config, run.dataset
    pairs = count_pairs(dataset, "train", config.data.max_pairs)
    epochs = round(config.train.steps * config.data.batch_size / pairs, 1)
    length = f"{plural(epochs, 'epoch')} of {plural(pairs, 'pair')} from {dataset.data_dir}"
    if pairs < count_pairs(dataset, "train"):
        length += f" with {plural(count_pairs(dataset, 'train'), 'pair')} (data.max_pairs)"
    say(f"{run.workdir.location}: {start.action}, {length}")
    if start.has_statistics:
        say(
            "the running averages of the imported networks belong to their imported weights, so "
            "later checkpoints leave them out; `pix2pix export` then estimates new averages"
        )
    dataset_and_batch = [*dataset_lines(dataset, config.data), *batch_lines(config.data, pairs)]
    for line in [*dataset_and_batch, *rate_lines(config)]:
        say(line)


def batch_lines(data: Data, pairs: int) -> list[str]:
    """The line about a batch that has more images than there are pairs; none for other batches.

    Args:
      data: the group `data` of a resolved config.
      pairs: the number of training pairs, at most data.max_pairs.
    """
    if data.batch_size <= pairs:
        return []
    limit, fix = "the training split", "add pairs"
    if pairs == data.max_pairs:
        limit, fix = f"data.max_pairs {pairs}", "a larger --config.data.max_pairs"
    return [
        f"WARNING: data.batch_size {data.batch_size} is larger than {limit}, so every batch has "
        f"pairs more than once; give --config.data.batch_size={pairs} or less, or {fix}"
    ]


def rate_lines(config: Config) -> list[str]:
    """The line about a short run whose last epoch has the learning rate 0; none for other runs.

    Args:
      config: a config with train.num_pairs, if its schedule needs that field.
    """
    decay_per, schedule = config.optimizer.decay_per, config.optimizer.schedule
    if decay_per != "epoch" or schedule in ENDLESS_SCHEDULES:
        return []
    epochs = run_epochs(config)
    # A run of one epoch has a constant rate; see `decay_epochs`.
    if epochs == 1 or epochs >= MANY_EPOCHS:
        return []
    return [
        f"WARNING: the learning rate is 0 in the last of {epochs} epochs, because it decays per "
        "epoch; with --config.optimizer.decay_per=step, it falls until the last step"
    ]


def say_end(run: TrainingRun) -> None:
    """Prints the step of the best checkpoint, the number of steps and the path of the report."""
    workdir, train_config = run.workdir, run.config.train
    location, metric = workdir.location, train_config.best_metric
    if (best := best_step(workdir, metric)) is not None:
        say(
            f"{location}: best by {metric} is step {best}; run `pix2pix evaluate "
            f"--workdir={shlex.quote(location)} --step=best` to score this step"
        )
    page = f"{location}/{workdir.report_page.relative_to(workdir.path)}"
    steps = plural(train_config.steps, "step")
    say(f"{location}: {steps} done; the pictures are in {shlex.quote(page)}")


def fit(
    run: TrainingRun, start: InitialState, scorer: CheckpointScorer | None, signals: StopSignals
) -> tuple[int, int]:
    """Trains until train.steps are done, or until a signal asks for a stop.

    Args:
      run: the run to train.
      start: the state that training starts from.
      scorer: the scorer of the first process, which records the run; None in other processes.
      signals: the signals to check after every call to the devices.

    Returns:
      The last step, which is saved; and the number of the signal that stopped the training, or 0.
    """
    records = open_split(run.dataset, "train", run.config.data.max_pairs)
    with explain_out_of_memory("data.resident_mib: too large"):
        batches, pairs = make_training_batches(
            run.config, records, jax.process_index(), jax.process_count()
        )
    window, step, signal = MetricWindow(start.totals), start.step, 0
    first_steps = FirstSteps(run.config, start.step)
    with (
        closing(prefetch(batches, start.step)) as next_batches,
        Recorder(run, scorer, start, window) if scorer else nullcontext() as recorder,
    ):
        for step, state, metrics in run_steps(run.config, start.state, next_batches, pairs):
            window.add(metrics)
            signal, due = signals.poll(), Due.after(step, run.config.train)
            # `read` waits for the devices, so it is called only if metrics are needed.
            is_early = recorder is not None and first_steps.is_due
            values = window.read(step) if due.any or signal or is_early else {}
            if recorder is not None:
                first_steps.show(step, values, due.line)
                recorder.record(Progress(step, state, due, stop=signal > 0), window, values)
                if values:  # The devices have waited for the outputs.
                    first_steps.leave_out_output()
            if signal:
                break
    return step, signal
