"""What a generator is worth on a split: its outputs measured pair by pair, then summed up."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jax import Array
from tensorflow_datasets.core import DatasetBuilder
from tqdm import tqdm

from pix2pix_jax.config.metrics import FCN_SCORE, METRICS
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.examples import evaluation_example, labelled_example
from pix2pix_jax.data.pipeline import open_split
from pix2pix_jax.errors import UsageError
from pix2pix_jax.evaluation import metrics
from pix2pix_jax.evaluation.class_reader import ClassReader, open_class_reader, why_no_classes
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.gan.random import stream_key
from pix2pix_jax.models.unet import translate

BATCH_SIZE = 8  # on which, but for rounding, no number depends
Show = Callable[[str, dict[str, np.ndarray]], None]  # name of a pair, its input, output and target


class Evaluation(NamedTuple):
    """What a generator is worth on a split."""

    metrics: dict[str, float]  # those of METRICS that can be measured
    ground_truth: dict[str, float]  # the FCN-score of the targets themselves
    pairs: list[dict[str, str | float]]  # name and metrics of every pair
    histograms: dict[str, dict[str, np.ndarray]]  # pixels by Lab, of outputs and targets


def make_evaluator(config: Config, dataset: DatasetBuilder) -> Callable[[dict], dict[str, float]]:
    """A function of a generator's parameters: its metrics on the whole validation split.

    The FCN-score is among them where it decides which checkpoint is best (train.best_metric); then
    its segmenter is trained here, if there is none yet.

    Args:
      config: resolved.
      dataset: prepared from it.

    Raises:
      UsageError: the dataset can have no FCN-score, or its images are too small for an SSIM, and
        the best checkpoint is to be told by that.
    """
    judge = None
    if config.train.evaluate_every and config.train.best_metric in FCN_SCORE:
        unread = why_no_classes(config.data, dataset)
        if unread:
            raise UsageError(f"{unread}; choose another --config.train.best_metric")
        judge = open_class_reader(config.data, dataset)
    small = min(config.data.image_size) < metrics.SSIM_WINDOW
    if config.train.evaluate_every and config.train.best_metric == "ssim" and small:
        raise UsageError(
            f"train.best_metric: ssim needs sides of at least {metrics.SSIM_WINDOW} pixels; choose "
            "another --config.train.best_metric"
        )
    score = make_scorer(config, open_split(dataset, "val"), judge)

    def evaluate(params: dict) -> dict[str, float]:
        scores = score(jax.device_get(params)).metrics  # from here on it runs on one device
        return {name: value for name, value in scores.items() if not np.isnan(value)}

    return evaluate


def make_scorer(
    config: Config, records: Sequence[dict], judge: ClassReader | None
) -> Callable[..., Evaluation]:
    """A function of a generator's parameters, and of a function to show its pictures to.

    The noise of a pair is keyed by its place in the split, and every pair is translated on its
    own, so that no result depends on how the split is cut into batches.

    Args:
      config: resolved.
      records: of a split.
      judge: reads the classes of targets; None: no FCN-score.

    The function raises UsageError where outputs are not finite.
    """
    data, size = config.data, min(BATCH_SIZE, len(records))
    generator, key = make_generator(config), stream_key(config, "evaluation")
    classes = len(judge.palette.classes) if judge else 0
    confuse = jax.jit(partial(metrics.confusion_counts, classes=classes))

    @jax.jit
    def generate(params: dict, images: Array, places: Array) -> Array:
        keys = jax.vmap(partial(jax.random.fold_in, key))(places)
        return translate(generator, params, images, keys)

    def measured(params: dict, batch: list[dict], first: int) -> tuple[dict, dict]:
        # The last batch is filled up with its last pair, so that nothing compiles twice.
        filled = batch + batch[-1:] * (size - len(batch))
        examples = [evaluation_example(record, data) for record in filled]
        pictures = {name: np.stack([e[name] for e in examples]) for name in ("input", "target")}
        output = generate(params, pictures["input"], first + np.arange(size))
        pictures["output"] = np.asarray(output)  # [size, h, w, c]
        if not np.isfinite(pictures["output"]).all():
            raise UsageError(
                "generator: its outputs are not finite numbers at this step; an earlier one may do"
            )
        values = measure(pictures["output"], pictures["target"])
        if judge:
            maps = [labelled_example(record, data, judge.palette)["classes"] for record in filled]
            values["confusion"] = {
                name: confuse(np.stack(maps), judge.read(pictures[name]))
                for name in ("output", "target")
            }
        cut = partial(jax.tree.map, lambda value: np.asarray(value)[: len(batch)])
        return cut(pictures), cut(values)

    def score(params: dict, show: Show | None = None) -> Evaluation:
        names, found, params = [], [], jax.device_put(params)
        firsts = range(0, len(records), size)
        for first in tqdm(firsts, "evaluating", leave=False, disable=not sys.stderr.isatty()):
            batch = [records[i] for i in range(first, min(first + size, len(records)))]
            pictures, values = measured(params, batch, first)
            found.append(values)
            names += [record["name"].decode() for record in batch]
            if show:
                for place in range(len(batch)):
                    show(names[first + place], {k: v[place] for k, v in pictures.items()})
        return summarize(names, jax.tree.map(lambda *values: np.concatenate(values), *found))

    return score


@jax.jit
def measure(output: Array, target: Array) -> dict[str, dict]:
    """All that depends on pixels alone, image by image: scores [b] and counts [b, bins]."""
    scores = {"l1": metrics.l1(output, target), "psnr": metrics.psnr(output, target)}
    if min(output.shape[1:3]) >= metrics.SSIM_WINDOW:
        scores["ssim"] = metrics.ssim(output, target)
    histograms = {
        "output": metrics.lab_histograms(output),
        "target": metrics.lab_histograms(target),
    }
    return {"scores": scores, "histograms": histograms}


def summarize(names: list[str], values: dict[str, dict]) -> Evaluation:
    """The values of all pairs, [n, ...], as those of the split."""
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
