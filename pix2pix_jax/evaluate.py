"""The evaluation command: the generator of a checkpoint on a whole split, as numbers and a page."""

import json
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import numpy as np
from jax import Array

from pix2pix_jax import metrics
from pix2pix_jax.checkpoint import read_generator
from pix2pix_jax.config import Config, UsageError, changed_fields, identity, resolve
from pix2pix_jax.config_files import read_config
from pix2pix_jax.data.builders import fingerprint, prepare
from pix2pix_jax.data.images import to_image
from pix2pix_jax.data.palettes import PALETTES
from pix2pix_jax.data.pipeline import labelled, open_split, plain
from pix2pix_jax.files import write_whole
from pix2pix_jax.gallery import write_gallery
from pix2pix_jax.generator import make_generator, translate
from pix2pix_jax.guards import memory_errors
from pix2pix_jax.segmenter import Reader, open_reader
from pix2pix_jax.train_step import create_state, purpose_key
from pix2pix_jax.writer import say

BATCH_SIZE = 8  # of which no number depends
Show = Callable[[str, dict[str, np.ndarray]], None]  # name of a pair, its input, output and target


class Evaluation(NamedTuple):
    """What a generator is worth on a split."""

    metrics: dict[str, float]  # those of METRICS that can be measured
    ground_truth: dict[str, float]  # the FCN-score of the targets themselves
    pairs: list[dict[str, str | float]]  # name and metrics of every pair
    histograms: dict[str, dict[str, np.ndarray]]  # pixels by Lab, of outputs and targets


def evaluate(
    config: Config,
    workdir: Path,
    split: str,
    step: int | Literal["best", "newest"],
    fcn_score: bool,
) -> int:
    """Scores a split, and writes `evaluation_<split>.json` and its page.

    Args:
      config: of the run; data.name and the like may be others.
      workdir: of the run.
      split: train, val or test.
      step: of the checkpoint.
      fcn_score: whether to measure it.

    Returns:
      The exit status: 0, or 2 where an FCN-score was asked for and the dataset has no classes.

    Raises:
      UsageError: no such run, checkpoint or split.
    """
    config = resolve(config)
    check_run(workdir, config)
    template = jax.eval_shape(lambda: create_state(config))
    step, params = read_generator(workdir, template, step, config.train.best_metric)
    dataset = prepare(config.data)
    records = open_split(dataset, split)
    read, reader, refusal = None, None, None
    if fcn_score:
        try:
            read, reader = open_reader(config.data, dataset)
        except UsageError as error:  # the other metrics can still be had
            refusal = error
    pictures = workdir / "report" / f"evaluation_{split}"
    with memory_errors():
        result = make_scorer(config, records, read)(params, partial(write_pictures, pictures))
    summary = {
        "split": split,
        "step": step,
        "seed": config.seed,
        "images": len(records),
        "config_sha256": identity(config),
        "data": fingerprint(dataset),
        "segmenter": reader,
        "metrics": finite(result.metrics),
        "ground_truth": finite(result.ground_truth),
        "pairs": [finite(pair) for pair in result.pairs],
        "lab_histograms": {
            name: {side: counts.tolist() for side, counts in sides.items()}
            for name, sides in result.histograms.items()
        },
    }
    write_gallery(workdir, summary)
    write_whole(workdir / f"evaluation_{split}.json", json.dumps(summary, indent=1) + "\n")
    say(as_text(summary))
    say(f"{workdir}: {len(records)} pairs of {split}, step {step}; the page is in")
    say(f"{workdir}/report/evaluation_{split}.html")
    if refusal is not None:
        raise refusal
    return 0


def check_run(workdir: Path, config: Config) -> None:
    """Raises UsageError where a config is not that of the run, but for data and seed."""
    run = read_config(workdir / "config.json")
    free = {"seed", "data.name", "data.synthetic_pairs"}
    changed = [field for field in changed_fields(run, config) if field not in free]
    if changed:
        raise UsageError(
            f"{workdir}/config.json: was trained with another {', '.join(changed)}; leave out "
            "--config, and what changes these"
        )


def make_scorer(
    config: Config, records: Sequence[dict], read: Reader | None
) -> Callable[..., Evaluation]:
    """A function of a generator's parameters, and of a function to show its pictures to.

    The noise of a pair is keyed by its place in the split, and every pair is translated on its
    own, so that no result depends on how the split is cut into batches.

    Args:
      config: resolved.
      records: of a split.
      read: tells the classes of targets; None: no FCN-score.
    """
    data, size = config.data, min(BATCH_SIZE, len(records))
    generator, key = make_generator(config), purpose_key(config, "evaluation")
    classes = len(PALETTES[data.name].classes) if read else 0
    confuse = jax.jit(partial(metrics.confusion, classes=classes))

    @jax.jit
    def generate(params: dict, images: Array, places: Array) -> Array:
        keys = jax.vmap(partial(jax.random.fold_in, key))(places)
        return translate(generator, params, images, keys)

    def measured(params: dict, batch: list[dict], first: int) -> tuple[dict, dict]:
        # The last batch is filled up with its last pair, so that nothing compiles twice.
        filled = batch + batch[-1:] * (size - len(batch))
        examples = [plain(record, data) for record in filled]
        pictures = {name: np.stack([e[name] for e in examples]) for name in ("input", "target")}
        output = generate(params, pictures["input"], first + np.arange(size))
        pictures["output"] = np.asarray(output)  # [size, h, w, c]
        values = measure(pictures["output"], pictures["target"])
        if read:
            maps = [labelled(record, data, PALETTES[data.name])["classes"] for record in filled]
            values["confusion"] = {
                name: confuse(np.stack(maps), read(pictures[name])) for name in ("output", "target")
            }
        cut = partial(jax.tree.map, lambda value: np.asarray(value)[: len(batch)])
        return cut(pictures), cut(values)

    def score(params: dict, show: Show | None = None) -> Evaluation:
        names, found = [], []
        for first in range(0, len(records), size):
            batch = [records[i] for i in range(first, min(first + size, len(records)))]
            pictures, values = measured(params, batch, first)
            found.append(values)
            names += [record["name"].decode() for record in batch]
            if show:
                for place in range(len(batch)):
                    show(names[first + place], {k: v[place] for k, v in pictures.items()})
        return summed(names, jax.tree.map(lambda *values: np.concatenate(values), *found))

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


def summed(names: list[str], values: dict[str, dict]) -> Evaluation:
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
    ordered = {name: total[name] for name in metrics.METRICS if name in total}
    return Evaluation(ordered, truth, pairs, histograms)


def write_pictures(folder: Path, name: str, pictures: dict[str, np.ndarray]) -> None:
    """Saves the pictures of a pair as folder/input/NAME.png and so on."""
    for kind, pixels in pictures.items():
        path = folder / kind / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        to_image(pixels).save(path, compress_level=1)


def finite(scores: dict[str, float | str]) -> dict[str, float | str | None]:
    """JSON knows neither infinity nor what is not a number."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in scores.items()
    }


def as_text(summary: dict) -> str:
    """The metrics beside those of the ground truth."""
    lines = [f"{'':20} {'output':>8} {'ground truth':>13}"]
    for name, value in summary["metrics"].items():
        truth = summary["ground_truth"].get(name)
        lines.append(f"{name:20} {number(value):>8} {'' if truth is None else number(truth):>13}")
    return "\n".join(lines)


def number(value: float | None) -> str:
    """Three digits after the point; None is what is not finite."""
    return "-" if value is None else f"{value:.3f}"
