"""Reads checkpoints: to resume a run, or to use one of its networks."""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from pydantic import TypeAdapter, ValidationError

from pix2pix_jax.checkpoints.checksums import (
    DamagedCheckpoint,
    check_files,
    explain_damage,
)
from pix2pix_jax.checkpoints.info import CheckpointInfo, read_matching_info
from pix2pix_jax.config.metrics import goodness
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError, reason_of
from pix2pix_jax.gan.state import TrainState, create_state
from pix2pix_jax.runs.workdir import Workdir

Tree = Any
CheckpointStep = int | Literal["best", "newest"]  # the step of a checkpoint, as a user gives it
ITEMS = ("generator", "discriminator", "optimizer")  # folders of arrays in a checkpoint
IMPORTED = "imported"  # replaces the fingerprint of the training data if the data is unknown
# The first process has the whole state, so it saves and restores without the other processes.
FIRST_PROCESS = ocp.options.MultiprocessingOptions(
    primary_host=0, active_processes={0}, barrier_sync_key_prefix="first"
)


class SavedNetwork(NamedTuple):
    """A network of a checkpoint.

    Attributes:
      step: the step of the checkpoint.
      params: the parameters of the network.
      data: the fingerprint of the pairs that the network was trained on, or IMPORTED.
    """

    step: int
    params: Tree
    data: str


class DamagedScores(UsageError):
    """The scores of a checkpoint are damaged, or do not belong to the checkpoint."""


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


def saved_steps(workdir: Workdir) -> list[int]:
    """The steps of a run's checkpoints, in ascending order."""
    names = (path.name for path in workdir.checkpoints.glob("*"))
    return sorted(int(name) for name in names if name.isdecimal())


def read_network(
    workdir: Workdir,
    config: Config,
    step: CheckpointStep,
    network: Literal["generator", "discriminator"] = "generator",
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
    folder, steps = workdir.checkpoints.absolute(), saved_steps(workdir)
    step = _find_step(workdir, config.train.best_metric, step)
    others = ", ".join(str(other) for other in steps if other != step)
    if step not in steps:
        raise UsageError(f"--step: there is no checkpoint {step} in {folder}; give one of {others}")
    items = checkpoint_items(jax.eval_shape(lambda: create_state(config)))
    try:
        info = read_matching_info(folder / str(step), items)
        params = read_item(folder / str(step) / network, items[network])
    except DamagedCheckpoint as error:
        fix = f"give another --step: {others}" if others else "train again in another --workdir"
        raise UsageError(
            f"{folder}/{step}: cannot be restored ({reason_of(error)}); {fix}"
        ) from error
    return SavedNetwork(step, params, info.data)


def _find_step(workdir: Workdir, metric: str, step: CheckpointStep) -> int:
    """Turns "best" or "newest" into the number of a step; returns a number unchanged.

    Raises:
      UsageError: there is no checkpoint, no checkpoint has a score of this metric, or the scores of
        a checkpoint cannot be read.
    """
    steps = saved_steps(workdir)
    if not steps:
        folder = workdir.checkpoints.absolute()
        raise UsageError(
            f"{folder}: holds no checkpoints; run `pix2pix train` until a checkpoint is saved"
        )
    if step == "newest":
        return steps[-1]
    if step == "best":
        best = best_step(workdir, metric)
        if best is None:
            raise UsageError(_why_none_is_best(workdir, metric))
        return best
    return step


def best_step(workdir: Workdir, metric: str) -> int | None:
    """The step of the checkpoint with the best score; None if no checkpoint has this metric.

    If several checkpoints are equally good, the newest of them is the best.
    """
    scores = _read_all_scores(workdir)
    scored = [step for step in scores if metric in scores[step]]
    return max(scored, key=lambda step: (goodness(metric, scores[step]), step), default=None)


def _why_none_is_best(workdir: Workdir, metric: str) -> str:
    all_scores = _read_all_scores(workdir).values()
    measured = sorted({name for scores in all_scores for name in scores})
    fix = "train with --config.train.evaluate_every=N, or give --step=newest"
    if measured:
        fix = f"give --config.train.best_metric={' or '.join(measured)}"
    return f"--step: no checkpoint in {workdir.checkpoints} has a score of {metric}; {fix}"


def _read_all_scores(workdir: Workdir) -> dict[int, dict[str, float]]:
    return {step: read_scores(workdir.checkpoint(step)) for step in saved_steps(workdir)}


def read_scores(checkpoint: Path) -> dict[str, float]:
    """Reads the scores of a checkpoint, by metric.

    The scores are empty if the checkpoint is unfinished or was not evaluated.

    Args:
      checkpoint: the folder of the checkpoint.

    Raises:
      DamagedScores: the scores or the item `origin` are damaged, or differ from each other.
      UsageError: an earlier version saved the checkpoint.
      OSError: a file cannot be read for another reason.
    """
    path = checkpoint / "metrics" / "metrics"
    is_finished = checkpoint.name.isdecimal()  # An unfinished checkpoint has the name STEP.SUFFIX.
    if not path.exists() or not is_finished:
        return {}
    try:
        with explain_damage():
            content = path.read_bytes()
        scores = TypeAdapter(dict[str, float]).validate_json(content, strict=True)
        if scores != CheckpointInfo.read(checkpoint).scores:
            raise DamagedCheckpoint("the scores differ from those in the item `origin`")
        return scores
    except (ValidationError, DamagedCheckpoint) as error:
        raise DamagedScores(
            f"{path}: is damaged; move this file away (the file has only the scores of its "
            "checkpoint)"
        ) from error
