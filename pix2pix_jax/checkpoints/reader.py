"""What stands in a checkpoint, for whoever reads it: to resume, or to take the generator away."""

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
IMPORTED = "imported"  # in place of the fingerprint of pairs, which are not known


def checkpoint_items(state: TrainState) -> dict[str, Tree]:
    """The parts of a state that are saved apart."""
    return {
        "generator": state.generator.params,
        "discriminator": state.discriminator.params,
        "optimizer": {
            "generator": state.generator.opt_state,
            "discriminator": state.discriminator.opt_state,
        },
    }


def structure_hash(items: dict[str, Tree]) -> str:
    """A hash of all places, shapes and dtypes."""
    leaves = jax.tree.leaves_with_path(items)
    text = [f"{jax.tree_util.keystr(path)} {leaf.shape} {leaf.dtype}" for path, leaf in leaves]
    return hashlib.sha256("\n".join(text).encode()).hexdigest()


def read_origin(directory: Path, items: dict[str, Tree]) -> dict[str, Any]:
    """What a checkpoint is of; raises UsageError where its parameters are others than `items`."""
    origin = _origin(directory)
    if origin["structure"] != structure_hash(items):
        raise UsageError(
            f"{directory}: holds other parameters than this version makes; "
            "go on with the version that saved it, or start another --workdir"
        )
    return origin


def _origin(directory: Path) -> dict[str, Any]:
    """What was saved as such; raises Rejected or OSError where it is something else.

    Raises:
      UsageError: saved by an earlier version.
    """
    content = (directory / "origin" / "metadata").read_bytes()
    try:
        origin = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CorruptCheckpoint("origin is not what was saved") from error
    origin = check_hash(origin, "origin")
    if "step" not in origin:
        raise UsageError(
            f"{directory}: is of an earlier version; go on with that, or start another --workdir"
        )
    if str(origin["step"]) != directory.name:
        raise CorruptCheckpoint(f"origin is of step {origin['step']}")
    return origin


def is_sound(directory: Path) -> bool:
    """Whether a checkpoint is what was saved, as far as its hashes tell."""
    try:
        _origin(directory)
        for name in ("generator", "discriminator", "optimizer"):
            check_files(directory / name)
    except Exception:  # what a damaged file raises is anything
        return False
    return True


def empty_like(template: Tree) -> Tree:
    """What Orbax takes the shapes, and plain arrays as the kind of result, from."""
    return jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), template)


def saved_steps(workdir: Workdir) -> list[int]:
    """The steps that a run has checkpoints of, in order."""
    names = (path.name for path in workdir.checkpoints.glob("*"))
    return sorted(int(name) for name in names if name.isdecimal())


def read_network(
    workdir: Workdir,
    config: Config,
    step: int | Literal["best", "newest"],
    network: Literal["generator", "discriminator"] = "generator",
) -> tuple[int, Tree, str]:
    """A network's parameters of a run, which may be going on.

    Args:
      workdir: of the run.
      config: of the run, resolved.
      step: a number, the newest, or the best by `train.best_metric` of those that were evaluated.
      network: which.

    Returns:
      The step, the parameters, and the fingerprint of the data that they were trained on.

    Raises:
      UsageError: no checkpoints, not this one, none evaluated, or one that is not what was saved.
    """
    directory, steps = workdir.checkpoints.absolute(), saved_steps(workdir)
    if not steps:
        raise UsageError(f"{directory}: holds no checkpoints; train writes the first one")
    if step == "best":
        step = best_step(workdir, config.train.best_metric)
        if step is None:
            raise UsageError(_why_none_is_best(workdir, config.train.best_metric))
    elif step == "newest":
        step = steps[-1]
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
    except Exception as error:  # Orbax and its readers raise many kinds, some bare
        raise UsageError(
            f"{directory}/{step}: cannot be restored ({reason_of(error)}); give another --step: "
            f"{others}"
        ) from error
    return step, params, origin["data"]


def best_step(workdir: Workdir, metric: str) -> int | None:
    """Of the checkpoints that were evaluated, the best by a metric; None where none was."""
    scores = _scores(workdir)
    known = [step for step in scores if metric in scores[step]]
    return max(known, key=lambda step: (goodness(metric, scores[step]), step), default=None)


def _why_none_is_best(workdir: Workdir, metric: str) -> str:
    measured = sorted({name for scores in _scores(workdir).values() for name in scores})
    return f"--step: best by {metric} is not known in {workdir.checkpoints}: " + (
        f"measured were {', '.join(measured)}; give one as --config.train.best_metric"
        if measured
        else "none was evaluated while it trained; set --config.train.evaluate_every then"
    )


def _scores(workdir: Workdir) -> dict[int, dict[str, float]]:
    return {step: read_scores(workdir.checkpoint(step)) for step in saved_steps(workdir)}


def read_scores(checkpoint: Path) -> dict[str, float]:
    """The metrics that were saved with a checkpoint; none where it was not evaluated.

    Raises:
      UsageError: they are not what was saved.
    """
    path = checkpoint / "metrics" / "metrics"
    if not path.exists() or not checkpoint.name.isdecimal():  # or it is still being written
        return {}
    try:
        scores = TypeAdapter(dict[str, float]).validate_json(path.read_bytes(), strict=True)
        if scores != _origin(checkpoint)["scores"]:
            raise CorruptCheckpoint("others than were measured")
        return scores
    except (ValidationError, CorruptCheckpoint, OSError) as error:
        raise UsageError(
            f"{path}: is not what was saved; it only says how good that checkpoint was, so move it "
            "away"
        ) from error
