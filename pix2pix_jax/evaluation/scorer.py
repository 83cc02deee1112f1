"""Measures a generator on a split: pair by pair first, then summarized over the split."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import Array
from tqdm import tqdm

from pix2pix_jax.config.metrics import METRICS
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.examples import evaluation_example, labelled_example
from pix2pix_jax.errors import UsageError
from pix2pix_jax.evaluation import metrics
from pix2pix_jax.evaluation.class_reader import ClassReader
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.gan.random import stream_key
from pix2pix_jax.models.unet import UNet, translate

BATCH_SIZE = 8  # Scores do not depend on the batch size, except by rounding.
Pictures = dict[str, np.ndarray]  # input, output and target, each [h, w, c] in [-1, 1]


@dataclass(frozen=True)
class Evaluation:
    """The scores of a generator on a split.

    Attributes:
      metrics: values by metric, in the order of METRICS; metrics that cannot be measured are not
        in it.
      ground_truth: the FCN-score of the targets themselves; empty if there is no FCN-score.
      pairs: `name` and the metrics of every pair.
      histograms: pixels per bin, as histograms["output" or "target"]["lab_l", ...].
    """

    metrics: dict[str, float]
    ground_truth: dict[str, float]
    pairs: list[dict[str, Any]]
    histograms: dict[str, dict[str, np.ndarray]]


class Scorer:
    """Measures generators of one config on the pairs of one split.

    The noise of a pair is a function of the seed and of the pair's index in the split, and every
    pair is translated on its own. So no result depends on how the split is cut into batches.
    """

    def __init__(
        self, config: Config, records: Sequence[dict], class_reader: ClassReader | None
    ) -> None:
        """Prepares the scorer.

        Args:
          config: resolved.
          records: all records of a split.
          class_reader: reads the classes of targets; None: no FCN-score.
        """
        self._data = config.data
        self._records = records
        self._class_reader = class_reader
        self._generator = make_generator(config)
        self._key = stream_key(config, "evaluation")
        self._batch_size = min(BATCH_SIZE, len(records))

    def score(
        self, params: dict, show: Callable[[str, Pictures], None] | None = None
    ) -> Evaluation:
        """Scores a generator on the whole split.

        Args:
          params: of the generator.
          show: called with the name and the pictures of every pair.

        Raises:
          UsageError: an output is not finite.
        """
        params = jax.device_put(params)
        names, batches, size = [], [], self._batch_size
        starts = range(0, len(self._records), size)
        for start in tqdm(starts, "evaluating", leave=False, disable=not sys.stderr.isatty()):
            stop = min(start + size, len(self._records))
            records = [self._records[index] for index in range(start, stop)]
            pictures, values = self._measure_batch(params, records, start)
            batches.append(values)
            names += [record["name"].decode() for record in records]
            if show:
                for index in range(len(records)):
                    show(names[start + index], {k: v[index] for k, v in pictures.items()})
        return summarize(names, jax.tree.map(lambda *values: np.concatenate(values), *batches))

    def _measure_batch(
        self, params: dict, records: list[dict], start: int
    ) -> tuple[dict[str, np.ndarray], dict[str, dict]]:
        """Pictures and values of the pairs from index `start` of the split on: [b, ...] each."""
        # The last batch is filled with copies of its last pair, so that nothing compiles twice.
        filled = records + records[-1:] * (self._batch_size - len(records))
        examples = [evaluation_example(record, self._data) for record in filled]
        pictures = {name: np.stack([e[name] for e in examples]) for name in ("input", "target")}
        indices = start + np.arange(len(filled))
        output = generate(self._generator, params, pictures["input"], self._key, indices)
        pictures["output"] = np.asarray(output)  # [b, h, w, c]
        if not np.isfinite(pictures["output"]).all():
            raise UsageError(
                "generator: its outputs at this step are not finite; an earlier step may work"
            )
        values = measure(pictures["output"], pictures["target"], tuple(metrics.PER_IMAGE))
        if self._class_reader:
            values["confusion"] = self._count_classes(self._class_reader, filled, pictures)
        without_copies = partial(jax.tree.map, lambda value: np.asarray(value)[: len(records)])
        return without_copies(pictures), without_copies(values)

    def _count_classes(
        self, reader: ClassReader, records: list[dict], pictures: dict[str, np.ndarray]
    ) -> dict[str, Array]:
        """Confusion matrices of outputs and of targets: [b, classes, classes] each."""
        palette = reader.palette
        truth = np.stack(
            [labelled_example(record, self._data, palette)["classes"] for record in records]
        )  # [b, h, w]
        return {
            name: confusion_counts(truth, reader.read(pictures[name]), len(palette.classes))
            for name in ("output", "target")
        }


confusion_counts = jax.jit(metrics.confusion_counts, static_argnums=2)


@partial(jax.jit, static_argnums=0)
def generate(generator: UNet, params: dict, images: Array, key: Array, indices: Array) -> Array:
    """Outputs of a generator, in [-1, 1], with the noise of pairs at these indices of the split."""
    keys = jax.vmap(partial(jax.random.fold_in, key))(indices)
    return translate(generator, params, images, keys)


@partial(jax.jit, static_argnums=2)
def measure(output: Array, target: Array, names: tuple[str, ...]) -> dict[str, dict]:
    """Measures every pair by its pixels alone.

    Args:
      output: [b, h, w, c] in [-1, 1].
      target: [b, h, w, c] in [-1, 1].
      names: keys of `metrics.PER_IMAGE`; a metric that needs larger images is left out.

    Returns:
      `scores`, [b] for each name, and `histograms` of outputs and targets, [b, bins] for each key
      of LAB_RANGES.
    """
    side = min(output.shape[1:3])
    scores = {
        name: metrics.PER_IMAGE[name](output, target)
        for name in names
        if side >= METRICS[name].min_side
    }
    histograms = {
        "output": metrics.lab_histograms(output),
        "target": metrics.lab_histograms(target),
    }
    return {"scores": scores, "histograms": histograms}


def summarize(names: list[str], values: dict[str, dict]) -> Evaluation:
    """The evaluation of a split.

    Args:
      names: of all pairs.
      values: `scores`, `histograms` and maybe `confusion` of all pairs, [n, ...] each.
    """
    scores, confusion = values["scores"], values.get("confusion")
    histograms = jax.tree.map(lambda counts: counts.sum(0, dtype=np.int64), values["histograms"])
    total = {name: float(value.mean(dtype=np.float64)) for name, value in scores.items()}
    for name, counts in histograms["output"].items():
        total[name] = metrics.intersection(counts, histograms["target"][name])
    pairs = [
        {"name": name} | {metric: float(value[i]) for metric, value in scores.items()}
        for i, name in enumerate(names)
    ]
    truth = {}
    if confusion:
        total |= metrics.fcn_score(confusion["output"].sum(0, dtype=np.int64))
        truth = metrics.fcn_score(confusion["target"].sum(0, dtype=np.int64))
        for pair, counts in zip(pairs, confusion["output"], strict=True):
            pair["per_pixel_accuracy"] = metrics.fcn_score(counts)["per_pixel_accuracy"]
    ordered = {name: total[name] for name in METRICS if name in total}
    return Evaluation(ordered, truth, pairs, histograms)
