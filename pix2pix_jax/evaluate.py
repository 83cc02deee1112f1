"""The evaluation command: the generator of a checkpoint on a whole split, as numbers and a page."""

import json
import math
from functools import partial
from pathlib import Path
from typing import Literal

import jax
import numpy as np

from pix2pix_jax.checkpoint_reader import read_generator
from pix2pix_jax.config import Config, UsageError, changed_fields, identity, resolve
from pix2pix_jax.config_files import read_config
from pix2pix_jax.data.builders import fingerprint, prepare
from pix2pix_jax.data.images import to_image
from pix2pix_jax.data.pipeline import open_split
from pix2pix_jax.files import write_whole
from pix2pix_jax.gallery import write_gallery
from pix2pix_jax.guards import memory_errors
from pix2pix_jax.metrics import LABELS, shown
from pix2pix_jax.scoring import make_scorer
from pix2pix_jax.segmenter import open_reader
from pix2pix_jax.train_step import create_state
from pix2pix_jax.writer import say


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
      The exit status.

    Raises:
      UsageError: no such run, checkpoint or split; and, after all else was written, where an
        FCN-score was asked for and the dataset has no palette of classes.
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
        "lab_histograms": jax.tree.map(np.ndarray.tolist, result.histograms),
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
        truth = summary["ground_truth"]
        right = shown(name, truth[name]) if name in truth else ""
        lines.append(f"{LABELS[name]:20} {shown(name, value):>8} {right:>13}".rstrip())
    return "\n".join(lines)
