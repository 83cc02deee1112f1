"""The item `origin` of a checkpoint: its step, its training data, sums of metrics, and scores."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax

from pix2pix_jax.checkpoints.checksums import (
    DamagedCheckpoint,
    add_hash,
    check_hash,
    explain_damage,
)
from pix2pix_jax.errors import UsageError

Tree = Any
INFO_ITEM = "origin"  # the name of the item in a checkpoint


@dataclass(frozen=True)
class Totals:
    """Sums of the metrics since the last multiple of train.log_every.

    Attributes:
      steps: the number of steps that were added up.
      sums: the sum of each metric, by its name.
    """

    steps: int = 0
    sums: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The sums as a checkpoint stores them, with the number of steps under the key `steps`."""
        return {"steps": self.steps} | self.sums if self.steps else {}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Totals":
        """Makes Totals from the result of `to_json`."""
        sums = {name: value for name, value in content.items() if name != "steps"}
        return cls(content.get("steps", 0), sums)


@dataclass(frozen=True)
class CheckpointInfo:
    """The item `origin` of a checkpoint.

    Attributes:
      step: the step of the checkpoint.
      structure: the `structure_hash` of the arrays.
      fingerprint: the fingerprint of the training pairs.
      totals: the sums of the metrics since the last log line.
      scores: the metrics of the evaluation at this step; empty if there was no evaluation.
    """

    step: int
    structure: str
    fingerprint: str
    totals: Totals
    scores: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """The content of the item, including its own hash."""
        content = {"step": self.step, "structure": self.structure, "data": self.fingerprint}
        return add_hash(content | {"totals": self.totals.to_json(), "scores": self.scores})

    @classmethod
    def read(cls, folder: Path) -> "CheckpointInfo":
        """Reads the item of a checkpoint.

        Args:
          folder: the folder of the checkpoint.

        Raises:
          UsageError: an earlier version saved the checkpoint.
          DamagedCheckpoint: the item is damaged or missing.
          OSError: the item cannot be read for another reason.
        """
        with explain_damage():
            text = (folder / INFO_ITEM / "metadata").read_bytes()
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DamagedCheckpoint(f"{INFO_ITEM} does not match its saved hash") from error
        content = check_hash(content, INFO_ITEM)
        if "step" not in content:
            raise UsageError(
                f"{folder}: was saved by an earlier version of pix2pix_jax",
                "use that version, or give another --workdir",
            )
        if str(content["step"]) != folder.name:
            raise DamagedCheckpoint(f"{INFO_ITEM} was saved at step {content['step']}")
        totals = Totals.from_json(content["totals"])
        return cls(
            content["step"], content["structure"], content["data"], totals, content["scores"]
        )


def structure_hash(items: dict[str, Tree]) -> str:
    """One hash of the paths, shapes and dtypes of all arrays of a checkpoint.

    Args:
      items: the arrays, or their shapes and dtypes, by the name of the item.
    """
    leaves = jax.tree.leaves_with_path(items)
    text = [f"{jax.tree_util.keystr(path)} {leaf.shape} {leaf.dtype}" for path, leaf in leaves]
    return hashlib.sha256("\n".join(text).encode()).hexdigest()


def read_matching_info(folder: Path, items: dict[str, Tree]) -> CheckpointInfo:
    """Reads the `CheckpointInfo` of a checkpoint, and checks that its arrays fit `items`.

    Args:
      folder: the folder of the checkpoint.
      items: the arrays that the checkpoint should hold, or their shapes and dtypes.

    Raises:
      UsageError: the arrays of the checkpoint have other names, shapes or dtypes, or an earlier
        version saved the checkpoint.
      DamagedCheckpoint: the item is damaged or missing.
      OSError: the item cannot be read for another reason.
    """
    info = CheckpointInfo.read(folder)
    if info.structure != structure_hash(items):
        raise UsageError(
            f"{folder}: holds other parameters than this version of pix2pix_jax creates",
            "use the version that saved the checkpoint, or give another --workdir",
        )
    return info
