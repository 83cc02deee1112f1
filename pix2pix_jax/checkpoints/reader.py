"""Reads checkpoints: to resume a run, or to take a network out of it."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import orbax.checkpoint as ocp
from pydantic import TypeAdapter, ValidationError

from pix2pix_jax.checkpoints.checksums import CorruptCheckpoint, check_files, check_hash
from pix2pix_jax.config.metrics import goodness
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError, reason_of
from pix2pix_jax.gan.state import TrainState, create_state
from pix2pix_jax.runs.workdir import Workdir

Tree = Any
ITEMS = ("generator", "discriminator", "optimizer")  # of arrays, a folder for each
IMPORTED = "imported"  # stands for the training data's fingerprint if the data is not known


def checkpoint_items(state: TrainState) -> dict[str, Tree]:
    """The arrays of a state, by the item of ITEMS that holds them."""
    return {
        "generator": state.generator.params,
        "discriminator": state.discriminator.params,
        "optimizer": {
            "generator": state.generator.opt_state,
            "discriminator": state.discriminator.opt_state,
        },
    }


def structure_hash(items: dict[str, Tree]) -> str:
    """A hash of the path, shape and dtype of every array."""
    leaves = jax.tree.leaves_with_path(items)
    text = [f"{jax.tree_util.keystr(path)} {leaf.shape} {leaf.dtype}" for path, leaf in leaves]
    return hashlib.sha256("\n".join(text).encode()).hexdigest()


def read_origin(directory: Path, items: dict[str, Tree]) -> dict[str, Any]:
    """Reads the origin of a checkpoint: step, structure, data, totals and scores.

    Args:
      directory: folder of the checkpoint.
      items: arrays, or their shapes and dtypes, of the networks that are to be restored.

    Raises:
      UsageError: the checkpoint holds other parameters than `items`.
      CorruptCheckpoint, OSError: the origin is damaged or missing.
    """
    origin = _read_origin(directory)
    if origin["structure"] != structure_hash(items):
        raise UsageError(
            f"{directory}: holds other parameters than this version of pix2pix_jax makes; "
            "go on with the version that saved it, or give another --workdir"
        )
    return origin


def _read_origin(directory: Path) -> dict[str, Any]:
    """Reads the origin of a checkpoint of any structure.

    Raises:
      UsageError: an earlier version saved it.
      CorruptCheckpoint, OSError: the origin is damaged or missing.
    """
    content = (directory / "origin" / "metadata").read_bytes()
    try:
        origin = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CorruptCheckpoint("origin does not match its saved hash") from error
    origin = check_hash(origin, "origin")
    if "step" not in origin:
        raise UsageError(
            f"{directory}: was saved by an earlier version; go on with that version, or give "
            "another --workdir"
        )
    if str(origin["step"]) != directory.name:
        raise CorruptCheckpoint(f"origin is of step {origin['step']}")
    return origin


def is_sound(directory: Path) -> bool:
    """Whether all files of a checkpoint match their saved hashes."""
    try:
        _read_origin(directory)
        for name in ITEMS:
            check_files(directory / name)
    except Exception:  # a damaged file of hashes may raise anything
        return False
    return True


def empty_like(template: Tree) -> Tree:
    """NumPy arrays that tell Orbax the shapes and dtypes, and to restore into NumPy arrays."""
    return jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), template)


def saved_steps(workdir: Workdir) -> list[int]:
    """The steps of a run's checkpoints, in ascending order."""
    names = (path.name for path in workdir.checkpoints.glob("*"))
    return sorted(int(name) for name in names if name.isdecimal())


def read_network(
    workdir: Workdir,
    config: Config,
    step: int | Literal["best", "newest"],
    network: Literal["generator", "discriminator"] = "generator",
) -> tuple[int, Tree, str]:
    """Reads the parameters of a network, also while its run is still training.

    Args:
      workdir: of the run.
      config: of the run, resolved.
      step: a saved step, the newest one, or the evaluated one that is best by
        `train.best_metric`.
      network: the network to read.

    Returns:
      The step, the parameters, and the fingerprint of the data that they were trained on.

    Raises:
      UsageError: no such checkpoint, or a damaged one.
    """
    directory, steps = workdir.checkpoints.absolute(), saved_steps(workdir)
    step = _find_step(workdir, config.train.best_metric, step)
    others = ", ".join(str(other) for other in steps if other != step) or "none"
    if step not in steps:
        raise UsageError(f"--step: no checkpoint {step} in {directory}; there are {others}")
    items = checkpoint_items(jax.eval_shape(lambda: create_state(config)))
    try:
        origin = read_origin(directory / str(step), items)
        check_files(directory / str(step) / network)
        with ocp.StandardCheckpointer() as reader:
            params = reader.restore(directory / str(step) / network, empty_like(items[network]))
    except (UsageError, MemoryError):
        raise
    except Exception as error:  # Orbax and its readers raise many types of errors
        raise UsageError(
            f"{directory}/{step}: cannot be restored ({reason_of(error)}); give another --step: "
            f"{others}"
        ) from error
    return step, params, origin["data"]


def _find_step(workdir: Workdir, metric: str, step: int | Literal["best", "newest"]) -> int:
    """The number of a step that may be given as "best" or "newest".

    Raises:
      UsageError: no checkpoints, or none with this metric.
    """
    steps = saved_steps(workdir)
    if not steps:
        directory = workdir.checkpoints.absolute()
        raise UsageError(f"{directory}: holds no checkpoints; train writes the first one")
    if step == "newest":
        return steps[-1]
    if step == "best":
        best = best_step(workdir, metric)
        if best is None:
            raise UsageError(_why_none_is_best(workdir, metric))
        return best
    return step


def best_step(workdir: Workdir, metric: str) -> int | None:
    """The checkpoint that is best by a metric; None if no checkpoint has this metric."""
    scores = _read_all_scores(workdir)
    known = [step for step in scores if metric in scores[step]]
    return max(known, key=lambda step: (goodness(metric, scores[step]), step), default=None)


def _why_none_is_best(workdir: Workdir, metric: str) -> str:
    all_scores = _read_all_scores(workdir).values()
    measured = sorted({name for scores in all_scores for name in scores})
    return f"--step: {workdir.checkpoints} has no checkpoint with a score of {metric}: " + (
        f"measured were {', '.join(measured)}; give one of these as --config.train.best_metric"
        if measured
        else "none was evaluated during training; train with --config.train.evaluate_every"
    )


def _read_all_scores(workdir: Workdir) -> dict[int, dict[str, float]]:
    return {step: read_scores(workdir.checkpoint(step)) for step in saved_steps(workdir)}


def read_scores(checkpoint: Path) -> dict[str, float]:
    """Reads the evaluation's metrics of a checkpoint; empty if it was not evaluated.

    Args:
      checkpoint: folder of the checkpoint.

    Raises:
      UsageError: the metrics are damaged.
    """
    path = checkpoint / "metrics" / "metrics"
    if not path.exists() or not checkpoint.name.isdecimal():  # STEP.SUFFIX is still being written
        return {}
    try:
        scores = TypeAdapter(dict[str, float]).validate_json(path.read_bytes(), strict=True)
        if scores != _read_origin(checkpoint)["scores"]:
            raise CorruptCheckpoint("the metrics differ from those in the checkpoint's origin")
        return scores
    except (ValidationError, CorruptCheckpoint, OSError) as error:
        raise UsageError(
            f"{path}: is damaged; it holds no more than the scores of its checkpoint, so move it "
            "away"
        ) from error
