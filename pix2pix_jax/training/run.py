"""Defines TrainingRun: the config, the workdir and the dataset of a run that is being trained."""

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
      config: the resolved config.
      workdir: the workdir of the run.
      dataset: the prepared dataset of the config.
    """

    config: Config
    workdir: Workdir
    dataset: DatasetBuilder

    @cached_property
    def fingerprint(self) -> str:
        """The fingerprint of the dataset, which every checkpoint stores."""
        return dataset_fingerprint(self.dataset)
