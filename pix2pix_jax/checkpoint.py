"""Checkpoints by Orbax: the whole TrainState, so that a resumed run repeats every bit.

`checkpoints/<step>/` holds four items: `generator` and `discriminator` (parameters alone, so a
generator can be taken away by copying one folder), `optimizer` (both Adam states) and `origin`
(what they are the parameters of, the data they were trained on, and the metrics since the last
line of the log).
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from pix2pix_jax.config import UsageError
from pix2pix_jax.train_step import Half, TrainState

Tree = Any
Totals = dict[str, float]  # sums of metrics since they were last logged, and over how many `steps`
ITEMS = ("generator", "discriminator", "optimizer")
SEAL = "sha256.json"


class Rejected(Exception):
    """A checkpoint that is not what was saved."""


class SealedHandler(ocp.StandardCheckpointHandler):
    """Saves a hash of every file beside them: Orbax itself does not notice a flipped byte."""

    def finalize(self, directory: Path) -> None:
        """Called when all is written, before the checkpoint gets its name."""
        super().finalize(directory)
        (directory / SEAL).write_text(json.dumps(_file_hashes(Path(directory)), indent=2))


@contextmanager
def open_checkpoints(workdir: Path, keep: int) -> Iterator[ocp.CheckpointManager]:
    """The checkpoints of a run; the newest `keep` stay. Closing waits for the last save.

    Raises:
      UsageError: the last save failed.
    """
    policy = preservation_policy.LatestN(keep)
    options = ocp.CheckpointManagerOptions(
        preservation_policy=policy,
        cleanup_tmp_directories=True,  # what a killed process was writing
        # Otherwise Orbax's threads wait for minutes for a folder that could not be made.
        async_options=ocp.options.AsyncOptions(create_directories_asynchronously=False),
    )
    handlers = ocp.handlers.DefaultCheckpointHandlerRegistry()
    for name in ITEMS:
        handler = SealedHandler()
        handlers.add(name, ocp.args.StandardSave, handler)
        handlers.add(name, ocp.args.StandardRestore, handler)
    handlers.add("origin", ocp.args.JsonSave, ocp.JsonCheckpointHandler())
    directory = (workdir / "checkpoints").absolute()
    manager = ocp.CheckpointManager(directory, options=options, handler_registry=handlers)
    try:
        yield manager
    finally:
        with _write_errors(manager):
            manager.close()


def save(manager: ocp.CheckpointManager, state: TrainState, totals: Totals, data: str) -> None:
    """Copies the state to the host and writes it while training goes on.

    Args:
      manager: of the run.
      state: at the step to save.
      totals: that the next line of the log goes on from.
      data: fingerprint of the training pairs.

    Raises:
      UsageError: a value is not finite, or this save or the one before it failed; what is on
        disk stays.
    """
    step = int(state.step)
    items = jax.tree.map(np.array, _items(state))
    for path, leaf in jax.tree.leaves_with_path(items):
        if not np.isfinite(leaf).all():
            raise UsageError(
                f"step {step}: {jax.tree_util.keystr(path)} is not finite, so it was not saved; "
                "start another --workdir, say with a lower --config.optimizer.learning_rate"
            )
    origin = {"structure": _structure(items), "data": data, "totals": totals}
    args = {name: ocp.args.StandardSave(items[name]) for name in ITEMS}
    args["origin"] = ocp.args.JsonSave(origin | {"sha256": _hash(origin)})
    with _write_errors(manager):
        saved = manager.save(step, args=ocp.args.Composite(**args))
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
            rejected[step] = str(error).partition("\n")[0] or type(error).__name__
            continue
        for bad, reason in rejected.items():
            aside = _move_aside(Path(manager.directory) / str(bad))
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


@contextmanager
def _write_errors(manager: ocp.CheckpointManager) -> Iterator[None]:
    """Orbax writes in the background and raises what befell in its next call, in many kinds."""
    try:
        yield
    except Exception as error:
        # The cause stands last, before details in brackets.
        reason = getattr(error, "strerror", None) or str(error).partition(" [")[0]
        reason = reason.rpartition(": ")[2][:200]
        raise UsageError(
            f"{manager.directory}: a checkpoint could not be written ({reason}); make room there, "
            "then the same command goes on from the one before"
        ) from error


def _items(state: TrainState) -> dict[str, Tree]:
    return {
        "generator": state.generator.params,
        "discriminator": state.discriminator.params,
        "optimizer": {
            "generator": state.generator.opt_state,
            "discriminator": state.discriminator.opt_state,
        },
    }


def _structure(items: dict[str, Tree]) -> str:
    leaves = jax.tree.leaves_with_path(items)
    text = [f"{jax.tree_util.keystr(path)} {leaf.shape} {leaf.dtype}" for path, leaf in leaves]
    return hashlib.sha256("\n".join(text).encode()).hexdigest()


def _restore(
    manager: ocp.CheckpointManager, step: int, template: TrainState, data: str
) -> tuple[TrainState, Totals]:
    items = _items(template)
    origin = json.loads((Path(manager.directory) / str(step) / "origin" / "metadata").read_text())
    if origin.pop("sha256") != _hash(origin):
        raise Rejected("origin is not what was saved")
    if origin["structure"] != _structure(items):
        raise UsageError(
            f"{manager.directory}/{step}: holds other parameters than this version makes; "
            "go on with the version that saved it, or start another --workdir"
        )
    if origin["data"] != data:
        raise UsageError(
            f"{manager.directory}/{step}: was trained on other data than data.source and "
            "data.data_dir now hold; bring that back, or start another --workdir"
        )
    restored = _read(manager, step, items)
    state = TrainState(
        step=np.int32(step),
        generator=Half(restored["generator"], restored["optimizer"]["generator"]),
        discriminator=Half(restored["discriminator"], restored["optimizer"]["discriminator"]),
    )
    return state, origin["totals"]


def _hash(origin: dict) -> str:
    return hashlib.sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()


def _file_hashes(directory: Path) -> dict[str, str]:
    """SHA-256 of all files but the seal itself, by their place."""
    hashes = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.name != SEAL:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
            hashes[str(path.relative_to(directory))] = digest.hexdigest()
    return hashes


def _read(manager: ocp.CheckpointManager, step: int, templates: dict[str, Tree]) -> dict[str, Tree]:
    for name in templates:
        directory = Path(manager.directory) / str(step) / name
        saved, found = json.loads((directory / SEAL).read_text()), _file_hashes(directory)
        for place, digest in saved.items():
            if found.get(place) != digest:
                raise Rejected(f"{name}/{place} is not what was saved")
    empty = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), templates)
    args = {name: ocp.args.StandardRestore(tree) for name, tree in empty.items()}
    return dict(manager.restore(step, args=ocp.args.Composite(**args)).items())


def _move_aside(path: Path) -> Path:
    aside = path.parent.parent / "rejected"
    aside.mkdir(exist_ok=True)
    number = sum(1 for _ in aside.glob(f"{path.name}-*"))
    return path.rename(aside / f"{path.name}-{number}")
