"""TrainingRun: the config, the folder and the dataset of a run."""

from dataclasses import dataclass
from functools import cached_property

from tensorflow_datasets.core import DatasetBuilder

from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.fingerprint import dataset_fingerprint
from pix2pix_jax.runs.workdir import Workdir


@dataclass(frozen=True)
class TrainingRun:
    """A run that is being trained.

    Attributes:
      config: resolved.
      workdir: the workdir of the run.
      dataset: prepared from the config.
    """

    config: Config
    workdir: Workdir
    dataset: DatasetBuilder

    @cached_property
    def fingerprint(self) -> str:
        """The fingerprint of the dataset; every checkpoint holds it."""
        return dataset_fingerprint(self.dataset)
