"""Reads checkpoints: to resume a run, or to use one of its networks."""

from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from pix2pix_jax.checkpoints.checksums import (
    DamagedCheckpoint,
    check_files,
)
from pix2pix_jax.checkpoints.info import CheckpointInfo, Tree, read_matching_info
from pix2pix_jax.checkpoints.scores import best_step, scored_metrics
from pix2pix_jax.config.initial_run import CheckpointStep
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError, prefix_errors, reason_of
from pix2pix_jax.gan.networks import NetworkName
from pix2pix_jax.gan.state import TrainState, create_state
from pix2pix_jax.models.running_statistics import Statistics, empty_statistics
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.suggestions import give_one_of

ITEMS = ("generator", "discriminator", "optimizer")  # folders of arrays in a checkpoint
# Folders of the running statistics of each network, in the checkpoint of an imported run only.
STATISTICS_ITEMS = {
    "generator": "generator_statistics",
    "discriminator": "discriminator_statistics",
}
IMPORTED = "imported"  # replaces the fingerprint of the training data if the data is unknown
# The first process has the whole state, so it saves and restores without the other processes.
FIRST_PROCESS = ocp.options.MultiprocessingOptions(
    primary_host=0, active_processes={0}, barrier_sync_key_prefix="first"
)


class StepNotFound(UsageError):
    """A run has no checkpoint of the wanted step. The caller names the flag of the step."""


class SavedNetwork(NamedTuple):
    """A network of a checkpoint.

    Attributes:
      step: the step of the checkpoint.
      params: the parameters of the network.
      fingerprint: the fingerprint of the pairs that the network was trained on, or IMPORTED.
    """

    step: int
    params: Tree
    fingerprint: str


class SavedItems(NamedTuple):
    """Items of a checkpoint.

    Attributes:
      items: the arrays of each item, by its name in ITEMS.
      fingerprint: the fingerprint of the pairs that the networks were trained on, or IMPORTED.
    """

    items: dict[str, Tree]
    fingerprint: str


def checkpoint_items(state: TrainState) -> dict[str, Tree]:
    """The arrays of a state, by the name of their item in ITEMS."""
    return {
        "generator": state.generator.params,
        "discriminator": state.discriminator.params,
        "optimizer": {
            "generator": state.generator.opt_state,
            "discriminator": state.discriminator.opt_state,
        },
    }


def is_undamaged(checkpoint: Path) -> bool:
    """Whether all files of a checkpoint match their saved hashes."""
    try:
        CheckpointInfo.read(checkpoint)
        for name in ITEMS:
            check_files(checkpoint / name)
        for name in STATISTICS_ITEMS.values():
            if (checkpoint / name).exists():
                check_files(checkpoint / name)
    except (DamagedCheckpoint, UsageError):  # UsageError: an earlier version saved the checkpoint.
        return False
    return True


def read_item(item: Path, template: Tree) -> Tree:
    """Checks all files of an item, and reads its arrays as NumPy arrays.

    Args:
      item: the absolute path of the folder `checkpoints/STEP/NAME`.
      template: the expected arrays, or their shapes and dtypes.

    Raises:
      DamagedCheckpoint: a file is missing or damaged, or the item belongs to another step.
      OSError: a file cannot be read for another reason.
    """
    check_files(item)
    empty = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), template)
    try:
        with ocp.StandardCheckpointer(multiprocessing_options=FIRST_PROCESS) as reader:
            return reader.restore(item, empty)
    except Exception:
        # A training run may have removed this checkpoint while Orbax was reading it. For damaged
        # files, Orbax raises ValueError, KeyError, AttributeError, RecursionError and others, so
        # the type of the error does not show the cause. If the files are intact, the error is a bug
        # of this project and keeps its traceback.
        check_files(item)
        raise


def read_network(
    workdir: Workdir,
    config: Config,
    step: CheckpointStep,
    network: NetworkName = "generator",
) -> SavedNetwork:
    """Reads the parameters of a network. The run may be training at the same time.

    Args:
      workdir: the workdir of the run.
      config: the resolved config of the run.
      step: the number of a saved step, "newest", or "best" for the evaluated step that is best by
        `train.best_metric`.
      network: the network to read.

    Raises:
      UsageError: there is no such checkpoint, the checkpoint is damaged, another version saved it,
        or no checkpoint has a score that would make it the best.
      OSError: a file cannot be read for another reason.
    """
    with prefix_errors("--step", StepNotFound):
        step = find_step(workdir, config.train.best_metric, step)
    saved = read_items(workdir, config, step, (network,))
    return SavedNetwork(step, saved.items[network], saved.fingerprint)


def read_items(workdir: Workdir, config: Config, step: int, names: tuple[str, ...]) -> SavedItems:
    """Reads items of a checkpoint. The run may be training at the same time.

    Args:
      workdir: the workdir of the run.
      config: the resolved config of the run.
      step: the step of the checkpoint, as `find_step` returns it.
      names: the items to read, of ITEMS.

    Raises:
      UsageError: the checkpoint is damaged, or another version saved it.
      OSError: a file cannot be read for another reason.
    """
    folder = workdir.checkpoints_folder.absolute()
    others = [other for other in workdir.checkpoint_steps() if other != step]
    items = checkpoint_items(jax.eval_shape(lambda: create_state(config)))
    try:
        info = read_matching_info(folder / str(step), items)
        trees = {name: read_item(folder / str(step) / name, items[name]) for name in names}
    except DamagedCheckpoint as error:
        fix = f"{give_one_of(others)} as the step" if others else "train again in another --workdir"
        raise UsageError(
            f"{folder}/{step}: cannot be restored ({reason_of(error)})", fix
        ) from error
    return SavedItems(trees, info.fingerprint)


def read_statistics(
    workdir: Workdir, step: int, network: NetworkName, params: Tree
) -> Statistics | None:
    """Reads the running statistics that an imported network had in its file.

    Args:
      workdir: the workdir of the run.
      step: the step of the checkpoint.
      network: the network.
      params: the parameters of the network, or their shapes.

    Returns:
      The running statistics; None if the checkpoint has none, because its network was trained here
      or had none in its file.

    Raises:
      UsageError: the running statistics are damaged.
      OSError: a file cannot be read for another reason.
    """
    item = workdir.checkpoint(step).absolute() / STATISTICS_ITEMS[network]
    if not item.exists():
        return None
    shapes = {layer: row["scale"].shape for layer, row in params.items() if "scale" in row}
    template = {layer: empty_statistics(*shape) for layer, shape in shapes.items()}
    try:
        return read_item(item, template)
    except DamagedCheckpoint as error:
        raise UsageError(
            f"{item}: cannot be restored ({reason_of(error)})", "import the networks again"
        ) from error


def has_statistics(workdir: Workdir, step: int) -> bool:
    """Whether a checkpoint has the running statistics of an imported network."""
    return any((workdir.checkpoint(step) / name).exists() for name in STATISTICS_ITEMS.values())


def find_step(workdir: Workdir, metric: str, step: CheckpointStep) -> int:
    """Finds the step of a checkpoint: a number, "best" or "newest".

    Args:
      workdir: the workdir of the run.
      metric: the metric that decides which checkpoint is best.
      step: the step, as in `read_network`.

    Raises:
      StepNotFound: there is no such checkpoint, or no checkpoint has a score of this metric.
      UsageError: there are no checkpoints, or the scores of a checkpoint cannot be read.
    """
    steps = workdir.checkpoint_steps()
    folder = workdir.checkpoints_folder.absolute()
    if not steps:
        raise UsageError(
            f"{folder}: holds no checkpoints", "run `pix2pix train` until a checkpoint is saved"
        )
    if step == "newest":
        return steps[-1]
    if step == "best":
        best = best_step(workdir, metric)
        if best is None:
            problem = f"no checkpoint in {folder} has a score of {metric}"
            raise StepNotFound(problem, _advise_best_metric(workdir))
        return best
    if step not in steps:
        raise StepNotFound(f"there is no checkpoint {step} in {folder}", give_one_of(steps))
    return step


def _advise_best_metric(workdir: Workdir) -> str:
    """What to do if no checkpoint has a score of train.best_metric."""
    measured = scored_metrics(workdir)
    if not measured:
        return "train with --config.train.evaluate_every=N, or give the newest step"
    others = f" (or {', '.join(measured[1:])})" if measured[1:] else ""
    return f"give --config.train.best_metric={measured[0]}{others}"
