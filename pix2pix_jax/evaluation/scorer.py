"""Measures a generator on a split: first each batch, then all pairs together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import Array

from pix2pix_jax.config.metrics import METRICS
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.examples import evaluation_example, labelled_example
from pix2pix_jax.errors import UsageError
from pix2pix_jax.evaluation.class_reader import ClassReader
from pix2pix_jax.evaluation.colour_histograms import histogram_intersection, lab_histograms
from pix2pix_jax.evaluation.fcn_score import confusion_matrices, fcn_score
from pix2pix_jax.evaluation.pair_metrics import PAIR_METRICS
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.gan.random import stream_key
from pix2pix_jax.models.layers import Moments, network_variables
from pix2pix_jax.models.unet import UNet, translate_each
from pix2pix_jax.runtime.console import progress_bar

BATCH_SIZE = 8  # The scores do not depend on the batch size, except for rounding.
Pictures = dict[str, np.ndarray]  # input, output and target, each [h, w, c] in [-1, 1]


@dataclass(frozen=True)
class SplitScores:
    """The scores of a generator on a split.

    Attributes:
      metrics: values by metric, in the order of METRICS, without metrics that cannot be measured.
      ground_truth: the FCN-score of the targets themselves; empty if there is no FCN-score.
      pairs: for every pair its `name`, and its values by metric.
      histograms: numbers of pixels [bins] for each key of LAB_RANGES, under "output" and "target".
    """

    metrics: dict[str, float]
    ground_truth: dict[str, float]
    pairs: list[dict[str, Any]]
    histograms: dict[str, dict[str, np.ndarray]]


class Scorer:
    """Measures generators of one config on the pairs of one split.

    The dropout of a pair depends only on the seed and on the index of the pair in the split. Each
    pair has its own norm statistics. So no score depends on the other pairs of a batch.
    """

    def __init__(
        self,
        config: Config,
        records: Sequence[dict],
        class_reader: ClassReader | None,
        moments: Moments | None = None,
    ) -> None:
        """Prepares the scorer.

        Args:
          config: the resolved config.
          records: all records of the split.
          class_reader: reads the classes of targets and outputs; None: no FCN-score.
          moments: the running statistics of the generator's norms. With them there is no dropout,
            as in PyTorch's eval mode. None: each image has its own statistics.
        """
        self._data = config.data
        self._records = records
        self._class_reader = class_reader
        self._generator = make_generator(config)
        self._key = stream_key(config, "evaluation") if moments is None else None
        self._moments = moments
        self._batch_size = min(BATCH_SIZE, len(records))

    def score(
        self, params: dict, save_pictures: Callable[[str, Pictures], None] | None = None
    ) -> SplitScores:
        """Scores a generator on the whole split.

        Args:
          params: the parameters of the generator.
          save_pictures: a function to call with the name and the pictures of every pair.

        Raises:
          UsageError: an output is not finite.
        """
        variables = jax.device_put(network_variables(params, self._moments))
        names, batches, size = [], [], self._batch_size
        starts = range(0, len(self._records), size)
        for start in progress_bar(starts, desc="evaluating", leave=False):
            stop = min(start + size, len(self._records))
            records = [self._records[index] for index in range(start, stop)]
            pictures, values = self._measure_batch(variables, records, start)
            batches.append(values)
            names += [record["name"].decode() for record in records]
            if save_pictures:
                for index in range(len(records)):
                    save_pictures(names[start + index], {k: v[index] for k, v in pictures.items()})
        return score_split(names, jax.tree.map(lambda *values: np.concatenate(values), *batches))

    def _measure_batch(
        self, variables: dict[str, dict], records: list[dict], start: int
    ) -> tuple[dict[str, np.ndarray], dict[str, dict]]:
        """Measures the batch of pairs that begins at the index `start` of the split.

        Returns:
          The pictures and the values of the batch, each [b, ...].
        """
        # Copies of the last pair fill the last batch, so that all batches share compiled programs.
        filled = records + records[-1:] * (self._batch_size - len(records))
        examples = [evaluation_example(record, self._data) for record in filled]
        pictures = {name: np.stack([e[name] for e in examples]) for name in ("input", "target")}
        indices = start + np.arange(len(filled))
        output = generate(self._generator, variables, pictures["input"], self._key, indices)
        pictures["output"] = np.asarray(output)  # [b, h, w, c]
        if not np.isfinite(pictures["output"]).all():
            raise UsageError(
                "outputs of the generator are infinite or NaN",
                "train in another --workdir with a smaller --config.optimizer.learning_rate, or "
                "evaluate an earlier --step",
            )
        values = measure(pictures["output"], pictures["target"], tuple(PAIR_METRICS))
        if self._class_reader:
            values["confusion"] = self._compare_classes(self._class_reader, filled, pictures)
        remove_copies = partial(jax.tree.map, lambda value: np.asarray(value)[: len(records)])
        return remove_copies(pictures), remove_copies(values)

    def _compare_classes(
        self, reader: ClassReader, records: list[dict], pictures: dict[str, np.ndarray]
    ) -> dict[str, Array]:
        """Makes the confusion matrices of outputs and of targets, each [b, classes, classes]."""
        palette = reader.palette
        truth = np.stack(
            [labelled_example(record, self._data, palette)["classes"] for record in records]
        )  # [b, h, w]
        return {
            name: confusion_matrices(truth, reader.read(pictures[name]), len(palette.classes))
            for name in ("output", "target")
        }


@partial(jax.jit, static_argnums=0)
def generate(
    generator: UNet,
    variables: dict[str, dict],
    images: Array,
    key: Array | None,
    indices: Array,
) -> Array:
    """Generates an output [h, w, c] in [-1, 1] for each input.

    Args:
      generator: the module.
      variables: as in `translate_each`.
      images: inputs [b, h, w, c] in [-1, 1].
      key: PRNG key of the dropout; None: no dropout.
      indices: [b], the index of each pair in the split; each index has its own dropout.
    """
    keys = None if key is None else jax.vmap(partial(jax.random.fold_in, key))(indices)
    return translate_each(generator, variables, images, keys)


@partial(jax.jit, static_argnums=2)
def measure(output: Array, target: Array, names: tuple[str, ...]) -> dict[str, dict]:
    """Measures all pairs of a batch, except for the FCN-score.

    Args:
      output: [b, h, w, c] in [-1, 1].
      target: [b, h, w, c] in [-1, 1].
      names: keys of PAIR_METRICS; metrics that need larger images are left out.

    Returns:
      `scores`: values [b] by name. `histograms`: numbers of pixels [b, bins] for each key of
      LAB_RANGES, under "output" and "target".
    """
    side = min(output.shape[1:3])
    scores = {
        name: PAIR_METRICS[name](output, target) for name in names if side >= METRICS[name].min_side
    }
    histograms = {
        "output": lab_histograms(output),
        "target": lab_histograms(target),
    }
    return {"scores": scores, "histograms": histograms}


def score_split(names: list[str], values: dict[str, dict]) -> SplitScores:
    """Computes the scores of a split from the values of its pairs.

    Args:
      names: the names of all n pairs.
      values: `scores` and `histograms` as `measure` returns them, and `confusion` if there is an
        FCN-score: confusion matrices, under "output" and "target". All arrays are [n, ...].
    """
    scores, confusion = values["scores"], values.get("confusion")
    histograms = jax.tree.map(lambda counts: counts.sum(0, dtype=np.int64), values["histograms"])
    total = {name: float(value.mean(dtype=np.float64)) for name, value in scores.items()}
    for name, counts in histograms["output"].items():
        total[name] = histogram_intersection(counts, histograms["target"][name])
    pairs = [
        {"name": name} | {metric: float(value[i]) for metric, value in scores.items()}
        for i, name in enumerate(names)
    ]
    truth = {}
    if confusion:
        total |= fcn_score(confusion["output"].sum(0, dtype=np.int64))
        truth = fcn_score(confusion["target"].sum(0, dtype=np.int64))
        for pair, matrix in zip(pairs, confusion["output"], strict=True):
            pair["per_pixel_accuracy"] = fcn_score(matrix)["per_pixel_accuracy"]
    ordered = {name: total[name] for name in METRICS if name in total}
    return SplitScores(ordered, truth, pairs, histograms)
