"""Saves and restores the checkpoints of a run.

A checkpoint contains the whole TrainState, so a resumed run computes the same bits as a run that
was not interrupted. The folder `checkpoints/STEP/` has four items: `generator` and `discriminator`
are the parameters of one network each, so the folder of the generator can be copied alone;
`optimizer` is the Adam state of both networks; `origin` is the `CheckpointInfo`. Orbax keeps a
second copy of the scores in `metrics`. The checkpoint of an imported run also has the running
statistics of its networks, if the imported files had any.
"""

import itertools
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from pix2pix_jax.checkpoints.checksums import DamagedCheckpoint
from pix2pix_jax.checkpoints.errors import OtherPairs, SaveFailed, StateNotFinite
from pix2pix_jax.checkpoints.info import (
    INFO_ITEM,
    CheckpointInfo,
    Totals,
    read_matching_info,
    structure_hash,
)
from pix2pix_jax.checkpoints.orbax_manager import make_manager
from pix2pix_jax.checkpoints.reader import (
    IMPORTED,
    ITEMS,
    STATISTICS_ITEMS,
    checkpoint_items,
    read_item,
)
from pix2pix_jax.checkpoints.scores import DamagedScores, read_scores
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.state import NetworkState, TrainState
from pix2pix_jax.models.running_statistics import Statistics
from pix2pix_jax.runs.workdir import Workdir


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint.

    Attributes:
      state: the state of the training; `state.step` is the step of the checkpoint.
      totals: the sums of the metrics since the last log line.
      fingerprint: the fingerprint of the training pairs.
      scores: the metrics of the evaluation at this step; empty if there was no evaluation.
      statistics: the running statistics of imported networks, by network.
    """

    state: TrainState
    totals: Totals
    fingerprint: str
    scores: dict[str, float] = field(default_factory=dict)
    statistics: dict[str, Statistics] = field(default_factory=dict)


class CheckpointStore:
    """The checkpoints of a run, open for saving and restoring.

    As a context manager, it waits at the end for the last save, and raises SaveFailed if that
    save failed.
    """

    def __init__(self, workdir: Workdir, keep: int, best_metric: str):
        """Opens the folder of the checkpoints.

        Removes unfinished checkpoints, and moves damaged scores to `rejected/`.

        Args:
          workdir: the workdir of the run. Its folder `checkpoints` is created if it does not
            exist.
          keep: the number of newest checkpoints to keep; 0: all.
          best_metric: the checkpoint that is best by this metric is kept, too.

        Raises:
          UsageError: an earlier version saved a checkpoint.
        """
        workdir.checkpoints_folder.mkdir(parents=True, exist_ok=True)
        _move_damaged_scores_aside(workdir)
        self._workdir = workdir
        self._manager = make_manager(workdir.checkpoints_folder.absolute(), keep, best_metric)

    def __enter__(self) -> "CheckpointStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def save(self, checkpoint: Checkpoint) -> None:
        """Copies a checkpoint to the host, then writes it in the background.

        Raises:
          StateNotFinite: a parameter or a value of the optimizer is not finite.
          UsageError: the folder has this or a later step already.
          SaveFailed: this save or the previous save failed.
        """
        step = int(checkpoint.state.step)
        items = jax.tree.map(np.array, checkpoint_items(checkpoint.state))
        _check_finite(step, items)
        structure, fingerprint = structure_hash(items), checkpoint.fingerprint
        info = CheckpointInfo(step, structure, fingerprint, checkpoint.totals, checkpoint.scores)
        items |= {STATISTICS_ITEMS[name]: tree for name, tree in checkpoint.statistics.items()}
        arrays = {name: ocp.args.StandardSave(tree) for name, tree in items.items()}
        args = ocp.args.Composite(**arrays, **{INFO_ITEM: ocp.args.JsonSave(info.to_json())})
        with explain_write_errors(self._workdir):
            is_saved = self._manager.save(step, args=args, metrics=checkpoint.scores or None)
        if not is_saved:  # Orbax skips a step that is not newer than all others, without an error.
            raise UsageError(
                f"{self._workdir.checkpoints_folder}: step {step} was not saved, because this "
                "folder has this step or a later step already",
                "give another --workdir",
            )

    @property
    def is_saving(self) -> bool:
        """Whether a checkpoint is being written."""
        return self._manager.is_saving_in_progress()

    def wait(self) -> None:
        """Waits for the checkpoint that is being written; raises SaveFailed if the save fails."""
        with explain_write_errors(self._workdir):
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits for the last save and closes the store; raises SaveFailed if that save failed."""
        with explain_write_errors(self._workdir):
            self._manager.close()

    def restore_newest(self, template: TrainState, fingerprint: str) -> Checkpoint | None:
        """Restores the newest undamaged checkpoint; None if the run has no checkpoints.

        The checkpoints that are newer than the restored checkpoint are damaged. They are moved to
        `rejected/`. If no checkpoint can be restored, nothing is moved. Nothing is ever deleted.

        Args:
          template: the shapes and dtypes of the state.
          fingerprint: the fingerprint of the training pairs.

        Raises:
          UsageError: all checkpoints are damaged, or the newest undamaged checkpoint was saved with
            other data or by another version.
          OSError: a file cannot be read for another reason.
        """
        rejected: dict[int, str] = {}  # reasons by step
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                restored = self._restore(step, template, fingerprint)
            except DamagedCheckpoint as error:
                rejected[step] = str(error)
            else:
                self._move_rejected_aside(rejected)
                return restored
        if rejected:
            reasons = "; ".join(f"{step}: {reason}" for step, reason in rejected.items())
            raise UsageError(
                f"{self._workdir.checkpoints_folder}: no checkpoint can be restored ({reasons})",
                "copy an undamaged checkpoint into this folder, or move the folder away to start "
                "from step 0",
            )
        return None

    def _restore(self, step: int, template: TrainState, fingerprint: str) -> Checkpoint:
        folder = self._workdir.checkpoint(step).absolute()
        items = checkpoint_items(template)
        info = read_matching_info(folder, items)
        if info.fingerprint not in (fingerprint, IMPORTED):
            raise OtherPairs(folder, info.fingerprint)
        restored = {name: read_item(folder / name, items[name]) for name in ITEMS}
        optimizer = restored["optimizer"]
        state = TrainState(
            step=np.int32(step),
            generator=NetworkState(restored["generator"], optimizer["generator"]),
            discriminator=NetworkState(restored["discriminator"], optimizer["discriminator"]),
        )
        return Checkpoint(state, info.totals, info.fingerprint, info.scores)

    def _move_rejected_aside(self, rejected: dict[int, str]) -> None:
        for step, reason in rejected.items():
            aside = _move_aside(self._workdir, self._workdir.checkpoint(step), str(step))
            print(f"checkpoint {step} is rejected ({reason}) and moved to {aside}", file=sys.stderr)
        self._manager.reload()  # Otherwise Orbax skips these steps when they are saved again.


def remove_unfinished(workdir: Workdir) -> None:
    """Removes the files of unfinished checkpoints, to make room on the disk."""
    for path in workdir.checkpoints_folder.glob("*.orbax-checkpoint-tmp*"):
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def explain_write_errors(workdir: Workdir) -> Iterator[None]:
    """Raises SaveFailed if Orbax cannot write to the disk inside the `with` block.

    Orbax writes in the background, and the next call of Orbax raises the errors of its threads. If
    the disk is full or read-only, a limit of the system is reached, or a folder was removed, the
    error is an OSError of Python or a ValueError of TensorStore. Errors of other types are bugs.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        # The cause is the last part of the message, in front of details in brackets.
        reason = getattr(error, "strerror", None) or str(error).partition(" [")[0]
        reason = reason.rpartition(": ")[2][:200]
        raise SaveFailed(workdir, reason) from error


def _check_finite(step: int, items: dict[str, dict]) -> None:
    """Raises StateNotFinite if a parameter or a value of the optimizer is not finite."""
    for path, leaf in jax.tree.leaves_with_path(items):
        if not np.isfinite(leaf).all():
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            raise StateNotFinite(
                f"step {step}: {name} has values that are not finite, so this step was not saved",
                "train with a lower --config.optimizer.learning_rate",
            )


def _move_damaged_scores_aside(workdir: Workdir) -> None:
    """Moves damaged scores to `rejected/`, because they keep Orbax from opening any checkpoint."""
    for path in workdir.checkpoints_folder.glob("*/metrics"):
        try:
            read_scores(path.parent)
        except DamagedScores as error:
            aside = _move_aside(workdir, path, f"{path.parent.name}-metrics")
            print(f"{error.problem} and moved to {aside}", file=sys.stderr)


def _move_aside(workdir: Workdir, path: Path, name: str) -> Path:
    """Moves a folder to `rejected/NAME-NUMBER`, and returns the new path.

    NUMBER is the first number from 0 that is free.
    """
    workdir.rejected_folder.mkdir(exist_ok=True)
    free = (workdir.rejected_folder / f"{name}-{number}" for number in itertools.count())
    return path.rename(next(new for new in free if not new.exists()))
