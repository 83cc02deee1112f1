"""Checkpoints by Orbax: the whole TrainState, so that a resumed run repeats every bit.

`checkpoints/<step>/` holds four items: `generator` and `discriminator` (parameters alone, so a
generator can be taken away by copying one folder), `optimizer` (both Adam states) and `origin`
(what they are the parameters of, the data they were trained on, the metrics since the last line of
the log, and those of its evaluation, which Orbax keeps as `metrics`, too).
"""

import itertools
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from pix2pix_jax.checkpoints.checksums import ChecksumHandler, add_hash, check_files
from pix2pix_jax.checkpoints.reader import (
    IMPORTED,
    checkpoint_items,
    empty_like,
    read_origin,
    read_scores,
    structure_hash,
)
from pix2pix_jax.config.metrics import goodness
from pix2pix_jax.errors import UsageError, reason_of
from pix2pix_jax.gan.state import NetworkState, TrainState
from pix2pix_jax.runs.workdir import Workdir

Totals = dict[str, float]  # sums of metrics since they were last logged, and over how many `steps`
ITEMS = ("generator", "discriminator", "optimizer")


class SaveFailed(UsageError):
    """A checkpoint could not be written; those before it are as they were."""

    def __init__(self, workdir: Workdir, reason: str):
        self.reason = reason
        super().__init__(
            f"{workdir.checkpoints}: a checkpoint could not be written ({reason}); make room "
            "there, then the same command goes on from the one before"
        )


@contextmanager
def open_checkpoints(workdir: Workdir, keep: int, best: str) -> Iterator[ocp.CheckpointManager]:
    """The checkpoints of a run for the `with` block, whose end waits for the last save.

    Args:
      workdir, keep, best: as `make_manager` takes them.

    Raises:
      SaveFailed: the last save failed.
    """
    manager = make_manager(workdir, keep, best)
    try:
        yield manager
    finally:
        with write_errors(workdir):
            manager.close()


def make_manager(workdir: Workdir, keep: int, best: str) -> ocp.CheckpointManager:
    """Orbax's view of the checkpoints of a run, which has to be closed.

    The newest `keep` stay, and of those evaluated the best.

    Args:
      workdir: of the run.
      keep: how many.
      best: the metric that decides which is the best.
    """
    better = partial(goodness, best)
    newest = preservation_policy.LatestN(keep)
    best_one = preservation_policy.BestN(
        get_metric_fn=better, n=1, keep_checkpoints_without_metrics=False
    )
    policy = preservation_policy.AnyPreservationPolicy([newest, best_one])
    # The first of several processes has the whole state, and needs no other for it.
    alone = {
        "multiprocessing_options": ocp.options.MultiprocessingOptions(
            primary_host=0, active_processes={0}, barrier_sync_key_prefix="first"
        )
    }
    options = ocp.CheckpointManagerOptions(
        preservation_policy=policy,
        best_fn=better,  # without it, Orbax does not write the metrics
        cleanup_tmp_directories=True,  # what a killed process was writing
        # Otherwise Orbax's threads wait for minutes for a folder that could not be made.
        async_options=ocp.options.AsyncOptions(create_directories_asynchronously=False),
        create=False,
        **alone,
    )
    handlers = ocp.handlers.DefaultCheckpointHandlerRegistry()
    for name in ITEMS:
        handler = ChecksumHandler(**alone)
        handlers.add(name, ocp.args.StandardSave, handler)
        handlers.add(name, ocp.args.StandardRestore, handler)
    handlers.add("origin", ocp.args.JsonSave, ocp.JsonCheckpointHandler(**alone))
    directory = workdir.checkpoints.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.glob("*/metrics"):
        try:
            read_scores(path.parent)
        except UsageError as error:  # for which Orbax would open none of the checkpoints
            aside = _move_aside(path, f"{path.parent.name}-metrics", workdir)
            print(f"{str(error).partition(';')[0]}, moved to {aside}", file=sys.stderr)
    return ocp.CheckpointManager(directory, options=options, handler_registry=handlers)


def save(
    manager: ocp.CheckpointManager,
    state: TrainState,
    totals: Totals,
    data: str,
    scores: dict[str, float],
) -> None:
    """Copies the state to the host and writes it while training goes on.

    Args:
      manager: of the run.
      state: at the step to save.
      totals: that the next line of the log goes on from.
      data: fingerprint of the training pairs.
      scores: metrics of its evaluation; none where it was not evaluated.

    Raises:
      UsageError: a value is not finite.
      SaveFailed: this save or the one before it failed. What is on disk stays.
    """
    step = int(state.step)
    items = jax.tree.map(np.array, checkpoint_items(state))
    for path, leaf in jax.tree.leaves_with_path(items):
        if not np.isfinite(leaf).all():
            raise UsageError(
                f"step {step}: {jax.tree_util.keystr(path)} is not finite, so it was not saved; "
                "start another --workdir, say with a lower --config.optimizer.learning_rate"
            )
    origin = {"step": step, "structure": structure_hash(items)}
    origin |= {"data": data, "totals": totals, "scores": scores}
    args = {name: ocp.args.StandardSave(items[name]) for name in ITEMS}
    args["origin"] = ocp.args.JsonSave(add_hash(origin))
    with write_errors(Workdir(Path(manager.directory).parent)):
        saved = manager.save(step, args=ocp.args.Composite(**args), metrics=scores or None)
    if not saved:  # Orbax passes over a step that is not newer than all others, and says nothing
        raise UsageError(f"{manager.directory}: step {step} was not saved; is it there already?")


def restore_newest(
    manager: ocp.CheckpointManager, template: TrainState, data: str
) -> tuple[TrainState, Totals] | None:
    """The newest state and totals that are what was saved; None where nothing was saved yet.

    What cannot be read, or has another hash than was saved, is moved to `rejected/`, never
    deleted, once an older one is restored in its place. Where none can be, nothing is moved.

    Args:
      manager: of the run.
      template: shapes and dtypes of the state.
      data: fingerprint of the training pairs.

    Raises:
      UsageError: saved from other data or by another version, or none left to go on from.
    """
    rejected: dict[int, str] = {}
    for step in sorted(manager.all_steps(), reverse=True):
        try:
            restored = _restore(manager, step, template, data)
        except (UsageError, MemoryError):
            raise
        except Exception as error:  # Orbax and its readers raise many kinds, some bare
            rejected[step] = reason_of(error)
            continue
        for bad, reason in rejected.items():
            directory = Path(manager.directory)
            aside = _move_aside(directory / str(bad), str(bad), Workdir(directory.parent))
            print(f"checkpoint {bad} rejected ({reason}), moved to {aside}", file=sys.stderr)
        manager.reload()  # or the steps moved aside could not be saved again
        return restored
    if rejected:
        reasons = "; ".join(f"{step}: {reason}" for step, reason in rejected.items())
        raise UsageError(
            f"{manager.directory}: no checkpoint can be restored ({reasons}); bring one back from "
            "elsewhere, or move this folder away to start from step 0"
        )
    return None


def remove_unfinished(workdir: Workdir) -> None:
    """Removes what a failed save has left, and takes room that others may need."""
    for path in workdir.checkpoints.glob("*.orbax-checkpoint-tmp*"):
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def write_errors(workdir: Workdir) -> Iterator[None]:
    """Orbax writes in the background and raises what befell in its next call, in many kinds."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        # The cause stands last, before details in brackets.
        reason = getattr(error, "strerror", None) or str(error).partition(" [")[0]
        reason = reason.rpartition(": ")[2][:200]
        raise SaveFailed(workdir, reason) from error


def _restore(
    manager: ocp.CheckpointManager, step: int, template: TrainState, data: str
) -> tuple[TrainState, Totals]:
    items, directory = checkpoint_items(template), Path(manager.directory) / str(step)
    origin = read_origin(directory, items)
    if origin["data"] not in (data, IMPORTED):
        raise UsageError(
            f"{directory}: was trained on other data than data.source and "
            "data.data_dir now hold; bring that back, or start another --workdir"
        )
    for name in items:
        check_files(directory / name)
    args = {name: ocp.args.StandardRestore(empty_like(tree)) for name, tree in items.items()}
    restored = manager.restore(step, args=ocp.args.Composite(**args))
    state = TrainState(
        step=np.int32(step),
        generator=NetworkState(restored["generator"], restored["optimizer"]["generator"]),
        discriminator=NetworkState(
            restored["discriminator"], restored["optimizer"]["discriminator"]
        ),
    )
    return state, origin["totals"]


def _move_aside(path: Path, name: str, workdir: Workdir) -> Path:
    """To rejected/ in the workdir: nothing is ever deleted."""
    aside = workdir.rejected
    aside.mkdir(exist_ok=True)
    free = (aside / f"{name}-{number}" for number in itertools.count())
    return path.rename(next(place for place in free if not place.exists()))
