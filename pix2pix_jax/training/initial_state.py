"""Makes or restores the state that a run starts from: new, resumed, or taken from another run."""

from dataclasses import dataclass, replace

import jax

from pix2pix_jax.checkpoints.errors import OtherPairs
from pix2pix_jax.checkpoints.info import Totals
from pix2pix_jax.checkpoints.reader import has_statistics
from pix2pix_jax.checkpoints.store import CheckpointStore
from pix2pix_jax.checkpoints.transfer import (
    TransferredState,
    check_generator,
    find_initial_step,
    transfer_state,
)
from pix2pix_jax.config.fields import replace_fields
from pix2pix_jax.config.initial_run import InitialRun
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.data_dir import DataDir
from pix2pix_jax.data.pair_names import find_pair_names, list_pair_names, read_pair_names
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.state import TrainState, create_state
from pix2pix_jax.remote.sync import read_initial_config, sync_workdir
from pix2pix_jax.runs.restart import advise_new_run, shorten, user_changes
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime import distributed
from pix2pix_jax.runtime.console import say
from pix2pix_jax.training.run import TrainingRun


@dataclass(frozen=True)
class InitialState:
    """The state that a run starts or resumes from.

    Attributes:
      run: the run. If it starts from another run, train.init names the step of the checkpoint.
      state: the restored or new state, as NumPy arrays; equal to the bit in all processes.
      totals: the sums of the metrics since the last log line. A process other than the first does
        not read checkpoints, so it has no sums.
      action: what the run does, for the first printed line. Only the first process prints this
        line.
      is_transferred: whether the networks were taken from another run, and are not saved yet.
      has_statistics: whether the networks were imported together with running statistics, which
        trained networks lose.
    """

    run: TrainingRun
    state: TrainState
    totals: Totals = Totals()
    action: str = "starting"
    is_transferred: bool = False
    has_statistics: bool = False

    @property
    def step(self) -> int:
        """The number of completed steps."""
        return int(self.state.step)


def restore_or_create(run: TrainingRun, template: TrainState) -> InitialState:
    """Makes the state to train from.

    This is the newest checkpoint, else the networks of train.init, else new networks. Only the
    first process reads files; the other processes receive its state.

    Args:
      run: the run to start or to resume.
      template: the shapes and dtypes of the state.

    Raises:
      UsageError: all checkpoints are damaged, a checkpoint was saved with other data or by another
        version, or the networks of train.init do not fit or cannot be read.
    """
    initial = _restore(run, template) if distributed.is_first() else None
    if initial is None and run.config.train.init and distributed.is_first():
        initial = _take_from_other_run(run)
    if initial is None:
        initial = InitialState(run, jax.device_get(create_state(run.config)))
    return replace(initial, state=distributed.broadcast_from_first(initial.state))


def _restore(run: TrainingRun, template: TrainState) -> InitialState | None:
    """Restores the newest checkpoint of a run; None if there is no checkpoint."""
    train_config = run.config.train
    with CheckpointStore(run.workdir, train_config.keep, train_config.best_metric) as store:
        try:
            checkpoint = store.restore_newest(template, run.fingerprint)
        except OtherPairs as error:
            raise explain_other_pairs(run, error) from error
    if checkpoint is None:
        return None
    step = int(checkpoint.state.step)
    return InitialState(
        run,
        checkpoint.state,
        checkpoint.totals,
        f"resuming from step {step}",
        has_statistics=has_statistics(run.workdir, step),
    )


def explain_other_pairs(run: TrainingRun, error: OtherPairs) -> UsageError:
    """The error for a run whose pairs have changed, with the numbers and names of the changes."""
    problem, workdir = error.problem, run.workdir
    old = read_pair_names(workdir.pair_names_file, error.fingerprint)
    old = old or find_pair_names(error.fingerprint, DataDir.parse(run.config.data.data_dir))
    changes = old.describe_changes(list_pair_names(run.dataset)) if old else ""
    if changes:
        problem += f": {changes}"
    return UsageError(problem, f"restore the old pairs, or {advise_new_run(workdir, run.config)}")


def check_initial_run(config: Config, workdir: Workdir) -> None:
    """Checks that a new run can start from the run of train.init, before anything is written.

    Args:
      config: the resolved config.
      workdir: the workdir of the run. If it has a run already, nothing is checked, because an
        existing run resumes from its own checkpoints.

    Raises:
      UsageError: train.init names no run, or a run with another generator or without this step.
    """
    if config.train.init is None or workdir.config_file.exists():
        return
    other = parse_initial_run(config.train.init, workdir)
    other_workdir, old = Workdir.parse(other.location), read_initial_config(other)
    check_generator(other_workdir, old, config)
    if other_workdir.address is None:  # The checkpoints of a bucket are downloaded later.
        find_initial_step(other_workdir, old, other.step)


def parse_initial_run(init: str, workdir: Workdir) -> InitialRun:
    """Parses train.init of a resolved config; see `shorten` for the path in printed lines."""
    other = InitialRun.parse(init)
    return replace(other, location=shorten(other.location, workdir))


def _take_from_other_run(run: TrainingRun) -> InitialState:
    """Makes the first state from the networks of the run that train.init names."""
    assert run.config.train.init is not None
    other = parse_initial_run(run.config.train.init, run.workdir)
    workdir = Workdir.parse(other.location)
    with sync_workdir(workdir):
        old = read_initial_config(other)
        transferred = transfer_state(workdir, old, other.step, run.config)
        had_statistics = has_statistics(workdir, transferred.step)
    init = str(replace(other.resolve(), step=transferred.step))
    config = replace_fields(run.config, {"train": {"init": init}})
    say(describe_transfer(run.workdir, workdir, transferred))
    if changes := describe_changes(old, config):
        say(f"fields that differ from {workdir.location}: {changes}")
    return InitialState(
        replace(run, config=config),
        transferred.state,
        is_transferred=True,
        has_statistics=had_statistics,
    )


def describe_transfer(workdir: Workdir, other: Workdir, transferred: TransferredState) -> str:
    """The line about the networks that a new run takes from another run."""
    source = f"from step {transferred.step} of {other.location}"
    if transferred.why_new_discriminator:
        return (
            f"{workdir}: starts with the generator and its optimizer {source}; the discriminator "
            f"is new, because {transferred.why_new_discriminator}"
        )
    return f"{workdir}: starts with the generator, the discriminator and their optimizers {source}"


def describe_changes(old: Config, new: Config) -> str:
    """The fields that differ between two runs, with their values; "" if none differs."""
    changes = user_changes(old, new).items()
    return ", ".join(f"{name} {before} -> {after}" for name, (before, after) in changes)
