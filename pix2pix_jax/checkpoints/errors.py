"""The errors of saving and restoring checkpoints that other modules handle."""

from pathlib import Path

from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.workdir import Workdir


class SaveFailed(UsageError):
    """A checkpoint could not be written. Earlier checkpoints have not changed."""

    def __init__(self, workdir: Workdir, reason: str):
        self.reason = reason
        super().__init__(
            f"{workdir.checkpoints_folder}: a checkpoint could not be written ({reason})",
            "free disk space or make this folder writable, then run the same command again",
        )


class OtherPairs(UsageError):
    """A checkpoint was trained on other pairs than the run has now.

    Attributes:
      fingerprint: the fingerprint of the pairs of the checkpoint.
    """

    def __init__(self, checkpoint: Path, fingerprint: str):
        self.fingerprint = fingerprint
        super().__init__(
            f"{checkpoint}: was trained on other pairs than data.source and data.data_dir contain",
            "restore the old pairs, or give another --workdir",
        )


class StateNotFinite(UsageError):
    """A parameter or a value of the optimizer is infinite or not a number."""
