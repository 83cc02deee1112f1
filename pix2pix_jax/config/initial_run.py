"""The run that a new run starts from, as the field train.init names it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pix2pix_jax.runtime.storage.files import is_address, local_path

CheckpointStep = int | Literal["best", "newest"]  # a step as the user gives it


@dataclass(frozen=True)
class InitialRun:
    """The run and the checkpoint that a new run takes its networks from.

    Attributes:
      location: the workdir of that run, a path or gs://BUCKET/DIR.
      step: the step of the checkpoint: a number, "newest" or "best".
    """

    location: str
    step: CheckpointStep = "newest"

    @classmethod
    def parse(cls, text: str) -> "InitialRun":
        """Parses WORKDIR or WORKDIR:STEP."""
        location, _, step = text.rpartition(":")
        if location and step.isdecimal():
            return cls(location, int(step))
        if location and step in ("newest", "best"):
            return cls(location, step)
        return cls(text)

    def __str__(self) -> str:
        return self.location if self.step == "newest" else f"{self.location}:{self.step}"

    def resolve(self) -> "InitialRun":
        """The same run with an absolute path.

        Raises:
          UsageError: the address is not gs://BUCKET/DIR, or the home folder is not known.
        """
        path = local_path(self.location)
        if is_address(self.location):
            return replace(self, location=self.location.rstrip("/"))
        return replace(self, location=str(path.absolute()))

    def is_start_of(self, recorded: str | None) -> bool:
        """Whether a run whose config.json has `recorded` as train.init may have started from here.

        The recorded step is a number. "newest" and "best" may name another step by now.
        """
        if recorded is None:
            return False
        other = InitialRun.parse(recorded)
        same_step = not isinstance(self.step, int) or self.step == other.step
        return same_step and _same_place(self.location, other.location)


def _same_place(location: str, other: str) -> bool:
    if is_address(location) or is_address(other):
        return location == other
    return Path(location).resolve() == Path(other).resolve()
