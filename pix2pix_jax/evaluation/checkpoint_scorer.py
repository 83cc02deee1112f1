"""Measures a generator on the validation split while it is trained."""

import jax
import numpy as np
from tensorflow_datasets.core import DatasetBuilder

from pix2pix_jax.config.metrics import METRICS
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.records import open_split
from pix2pix_jax.errors import UsageError
from pix2pix_jax.evaluation.class_reader import ClassReader, open_class_reader, why_no_classes
from pix2pix_jax.evaluation.scorer import Scorer

OTHER_METRIC = "choose another --config.train.best_metric"


class CheckpointScorer:
    """Measures generators of one config on the whole validation split.

    The FCN-score is measured only if it decides which checkpoint is best (train.best_metric).
    """

    def __init__(self, config: Config, dataset: DatasetBuilder) -> None:
        """Prepares the scorer; trains a segmenter if train.best_metric needs a new segmenter.

        Args:
          config: the resolved config.
          dataset: the dataset prepared from `config`.

        Raises:
          UsageError: the dataset has no validation split, or train.best_metric cannot be measured.
        """
        reader = _open_reader_for_best_metric(config, dataset)
        self._scorer = Scorer(config, open_split(dataset, "val", config.data.max_pairs), reader)

    def score(self, params: dict) -> dict[str, float]:
        """Measures a generator with these parameters: values by metric, without any NaN.

        Raises:
          UsageError: an output of the generator is not finite.
        """
        # The parameters may be on several devices, but the scorer uses one device.
        scores = self._scorer.score(jax.device_get(params)).metrics
        return {name: value for name, value in scores.items() if not np.isnan(value)}


def _open_reader_for_best_metric(config: Config, dataset: DatasetBuilder) -> ClassReader | None:
    """Opens the class reader for train.best_metric; None if no evaluation needs classes.

    Raises:
      UsageError: train.best_metric cannot be measured on this dataset.
    """
    if not config.train.evaluate_every:
        return None
    name = config.train.best_metric
    metric = METRICS[name]
    if min(config.data.image_size) < metric.min_side:
        raise UsageError(
            f"train.best_metric: {name} needs images with sides of at least {metric.min_side} "
            "pixels",
            OTHER_METRIC,
        )
    if not metric.in_fcn_score:
        return None
    reason = why_no_classes(config.data, dataset)
    if reason:
        raise UsageError(
            f"train.best_metric: {name} belongs to the FCN-score, which cannot be measured here "
            f"({reason})",
            OTHER_METRIC,
        )
    return open_class_reader(config.data, dataset, OTHER_METRIC)
