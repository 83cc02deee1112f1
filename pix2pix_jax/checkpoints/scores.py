"""Reads the scores of checkpoints, and finds the best checkpoint of a run."""

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pix2pix_jax.checkpoints.checksums import DamagedCheckpoint, explain_damage
from pix2pix_jax.checkpoints.info import CheckpointInfo
from pix2pix_jax.config.metrics import goodness
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.workdir import Workdir


class DamagedScores(UsageError):
    """The scores of a checkpoint are damaged, or do not belong to the checkpoint."""


def best_step(workdir: Workdir, metric: str) -> int | None:
    """The step of the checkpoint with the best score; None if no checkpoint has this metric.

    If several checkpoints are equally good, the newest of them is the best.
    """
    scores = _read_all_scores(workdir)
    scored = [step for step in scores if metric in scores[step]]
    return max(scored, key=lambda step: (goodness(metric, scores[step]), step), default=None)


def scored_metrics(workdir: Workdir) -> list[str]:
    """The metrics for which a checkpoint of a run has a score, in alphabetical order."""
    return sorted({name for scores in _read_all_scores(workdir).values() for name in scores})


def _read_all_scores(workdir: Workdir) -> dict[int, dict[str, float]]:
    return {step: read_scores(workdir.checkpoint(step)) for step in workdir.checkpoint_steps()}


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
            f"{path}: is damaged",
            "move this file away (the file has only the scores of its checkpoint)",
        ) from error
