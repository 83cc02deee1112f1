"""Checkpoints by Orbax: the whole TrainState, so that a resumed run repeats every bit.

`checkpoints/<step>/` holds four items: `generator` and `discriminator` (parameters alone, so a
generator can be taken away by copying one folder), `optimizer` (both Adam states) and `digest`,
a hash of each of them: Orbax itself does not notice a flipped byte.
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
ITEMS = ("generator", "discriminator", "optimizer")


class Rejected(Exception):
    """A checkpoint that is not what was saved."""


@contextmanager
def open_checkpoints(workdir: Path, keep: int) -> Iterator[ocp.CheckpointManager]:
    """The checkpoints of a run; the newest `keep` stay. Closing waits for the last save."""
    policy = preservation_policy.LatestN(keep)
    options = ocp.CheckpointManagerOptions(preservation_policy=policy)
    with ocp.CheckpointManager((workdir / "checkpoints").absolute(), options=options) as manager:
        yield manager


def save(manager: ocp.CheckpointManager, state: TrainState, data: str) -> None:
    """Copies the state to the host and writes it while training goes on.

    Args:
      manager: of the run.
      state: at the step to save.
      data: fingerprint of the training pairs.

    Raises:
      UsageError: a value is not finite; what is on disk stays.
    """
    step = int(state.step)
    items = jax.tree.map(np.array, _items(state))
    for path, leaf in jax.tree.leaves_with_path(items):
        if not np.isfinite(leaf).all():
            raise UsageError(
                f"step {step}: {jax.tree_util.keystr(path)} is not finite, so it was not saved; "
                "start another --workdir, say with a lower --config.optimizer.learning_rate"
            )
    digest = {name: content_hash(items[name]) for name in ITEMS}
    digest |= {"structure": _structure(items), "data": data}
    saved = manager.save(
        step,
        args=ocp.args.Composite(
            digest=ocp.args.JsonSave(digest | {"digest": _hash(digest)}),
            **{name: ocp.args.StandardSave(items[name]) for name in ITEMS},
        ),
    )
    if not saved:  # Orbax passes over a step that is not newer than all others, and says nothing
        raise UsageError(f"{manager.directory}: step {step} was not saved; is it there already?")


def restore_newest(
    manager: ocp.CheckpointManager, template: TrainState, data: str
) -> TrainState | None:
    """The newest state that is exactly what was saved; None where nothing was saved yet.

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
            state = _restore(manager, step, template, data)
        except (UsageError, MemoryError):
            raise
        except Exception as error:  # Orbax and its readers raise many kinds, some bare
            rejected[step] = str(error).partition("\n")[0] or type(error).__name__
            continue
        for bad, reason in rejected.items():
            aside = _move_aside(Path(manager.directory) / str(bad))
            print(f"checkpoint {bad} rejected ({reason}), moved to {aside}", file=sys.stderr)
        manager.reload()  # or the steps moved aside could not be saved again
        return state
    if rejected:
        reasons = "; ".join(f"{step}: {reason}" for step, reason in rejected.items())
        raise UsageError(
            f"{manager.directory}: no checkpoint can be restored ({reasons}); bring one back, or "
            "move them all away to start from step 0"
        )
    return None


def restore_generator(workdir: Path, template: Tree, step: int | None = None) -> tuple[Tree, int]:
    """Parameters of the generator alone, and their step: the newest, or those of `step`.

    Raises:
      UsageError: no such checkpoint, or one that is not what was saved.
    """
    with open_checkpoints(workdir, keep=1) as manager:
        steps = sorted(manager.all_steps())
        if not steps:
            raise UsageError(f"{workdir}/checkpoints: is empty; train this run first")
        if step is not None and step not in steps:
            raise UsageError(f"{workdir}/checkpoints: no step {step}, only {steps}; mend --step")
        step = steps[-1] if step is None else step
        try:
            restored = _read(manager, step, {"generator": template})
        except Exception as error:
            raise UsageError(
                f"{workdir}/checkpoints/{step}: {error}; give another --step"
            ) from error
    return restored["generator"], step


def content_hash(tree: Tree) -> str:
    """SHA-256 of every leaf's place, shape, type and bytes."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(tree):
        leaf = np.ascontiguousarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {leaf.shape} {leaf.dtype}\n".encode())
        digest.update(leaf.data)
    return digest.hexdigest()


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
) -> TrainState:
    items = _items(template)
    digest = _digest(manager, step)
    if digest["structure"] != _structure(items):
        raise UsageError(
            f"{manager.directory}/{step}: holds other parameters than this version makes; "
            "go on with the version that saved it, or start another --workdir"
        )
    if digest["data"] != data:
        raise UsageError(
            f"{manager.directory}/{step}: was trained on other data than data.source and "
            "data.data_dir now hold; bring that back, or start another --workdir"
        )
    restored = _read(manager, step, items)
    return TrainState(
        step=np.int32(step),
        generator=Half(restored["generator"], restored["optimizer"]["generator"]),
        discriminator=Half(restored["discriminator"], restored["optimizer"]["discriminator"]),
    )


def _digest(manager: ocp.CheckpointManager, step: int) -> dict[str, str]:
    digest = json.loads((Path(manager.directory) / str(step) / "digest" / "metadata").read_text())
    if digest.pop("digest") != _hash(digest):
        raise Rejected("digest is not what was saved")
    return digest


def _hash(digest: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(digest, sort_keys=True).encode()).hexdigest()


def _read(manager: ocp.CheckpointManager, step: int, templates: dict[str, Tree]) -> dict[str, Tree]:
    digest = _digest(manager, step)
    empty = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), templates)
    args = {name: ocp.args.StandardRestore(tree) for name, tree in empty.items()}
    restored = manager.restore(step, args=ocp.args.Composite(**args))
    for name in templates:
        if content_hash(restored[name]) != digest[name]:
            raise Rejected(f"{name} is not what was saved")
    return dict(restored.items())


def _move_aside(path: Path) -> Path:
    aside = path.parent.parent / "rejected"
    aside.mkdir(exist_ok=True)
    number = sum(1 for _ in aside.glob(f"{path.name}-*"))
    return path.rename(aside / f"{path.name}-{number}")
