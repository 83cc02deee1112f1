"""The evaluation command: the generator of a checkpoint on a whole split, as numbers and a page."""

import json
import math
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from pydantic import TypeAdapter, ValidationError
from tensorflow_datasets.core import DatasetBuilder
from typing_extensions import TypedDict

from pix2pix_jax.checkpoints.reader import IMPORTED, read_network
from pix2pix_jax.config.files import read_config
from pix2pix_jax.config.metrics import METRICS
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.resume import identity
from pix2pix_jax.config.schema import Config, Metric
from pix2pix_jax.data.builders import fingerprint, prepare
from pix2pix_jax.data.image_files import to_image
from pix2pix_jax.data.pipeline import open_split
from pix2pix_jax.errors import UsageError
from pix2pix_jax.evaluation.class_reader import class_reader_name, open_class_reader, why_no_classes
from pix2pix_jax.evaluation.scorer import Evaluation, make_scorer
from pix2pix_jax.reports.evaluation import render_page
from pix2pix_jax.reports.page import TRUTH, format_metric
from pix2pix_jax.runs.compatibility import check_run
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.console import say
from pix2pix_jax.runtime.files import atomic_file, atomic_folder
from pix2pix_jax.runtime.locks import folder_lock
from pix2pix_jax.runtime.memory import explain_out_of_memory

Scores = dict[Metric, float | None]  # None: infinite, or not to be measured
Histograms = dict[Literal["lab_l", "lab_a", "lab_b"], list[int]]


class Sides(TypedDict):
    """Histograms of all outputs and of all targets."""

    output: Histograms
    target: Histograms


class Summary(TypedDict):
    """What evaluation_<split>.json holds."""

    split: str
    step: int
    seed: int
    images: int
    config_sha256: str
    data: str  # fingerprint of the pairs
    segmenter: str | None  # the name of the judge, if any
    metrics: Scores
    ground_truth: Scores
    pairs: list[dict[Literal["name"] | Metric, str | float | None]]
    lab_histograms: Sides


def evaluate(
    config: Config,
    workdir: Workdir,
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
        FCN-score was asked for that the dataset cannot have.
    """
    config = resolve(config)
    check_run(workdir, config)
    step, params, trained_on = read_network(workdir, config, step)
    dataset = prepare(config.data)
    check_pairs(workdir, config, dataset, trained_on)
    records = open_split(dataset, split)
    unread = why_no_classes(config.data, dataset) if fcn_score else ""
    path, page = workdir.evaluation_file(split), workdir.evaluation_page(split)
    with (
        folder_lock(page.parent, wait=True),
        explain_out_of_memory(),
        # Replaced from the last to the first: numbers never stand beside an older page.
        atomic_file(path) as new_json,
        atomic_file(page) as new_page,
        atomic_folder(workdir.evaluation_pictures(split)) as pictures,
    ):
        judge = open_class_reader(config.data, dataset) if fcn_score and not unread else None
        result = make_scorer(config, records, judge)(params, partial(write_pictures, pictures))
        summary = {
            "split": split,
            "step": step,
            "seed": config.seed,
            "images": len(records),
            "config_sha256": identity(config),
            "data": pairs_fingerprint(dataset, split),
            "segmenter": judge and judge.name,
        } | to_json(result)
        new_page.write_text(render_page(workdir.name, summary, pictures), encoding="utf-8")
        fields = (f" {json.dumps(name)}: {json.dumps(value)}" for name, value in summary.items())
        lines = "{\n" + ",\n".join(fields) + "\n}\n"  # a line each, to be read by people
        new_json.write_text(lines, encoding="utf-8")
        remove_old_evaluation(path, summary)  # or, killed now, it would stand beside new pictures
    say(to_text(summary))
    say(f"step {step}, {split}: {len(records)} pairs, shown in {page}")
    if unread:
        raise UsageError(f"{unread}; all else is written, and --no_fcn_score leaves this out")
    return 0


def check_pairs(workdir: Workdir, config: Config, dataset: DatasetBuilder, trained_on: str) -> None:
    """Raises UsageError where a source has changed: what was trained on may be in any split now."""
    same = read_config(workdir.config_file).data.source == config.data.source
    known = same and config.data.source and trained_on != IMPORTED
    if known and fingerprint(dataset) != trained_on:
        raise UsageError(
            f"data.source: {config.data.source} holds other pairs than {workdir} was trained on, "
            "some of which may have moved between splits; bring it back as it was, or put those "
            "to measure into another folder, for --config.data.source"
        )


def remove_old_evaluation(path: Path, new: Summary) -> None:
    """Removes an evaluation, which is about to be replaced, and says so where it is of another."""
    old = read_evaluation(path)
    if old and any(old[key] != new[key] for key in ("step", "data", "segmenter")):
        say(
            f"{path}: of step {old['step']}, is replaced; next time, copy it and report/ to keep it"
        )
    path.unlink(missing_ok=True)


def read_evaluation(path: Path) -> Summary | None:
    """What `evaluate` wrote; None where there is nothing, or something else."""
    try:
        return TypeAdapter(Summary).validate_json(path.read_bytes(), strict=True)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValidationError):
        return None


def read_finished_evaluation(config: Config, workdir: Workdir, split: str) -> Summary | None:
    """The evaluation of a run after its last step, as a resolved config has it, if any."""
    found, page = read_evaluation(workdir.evaluation_file(split)), workdir.evaluation_page(split)
    if not found or not page.exists() or not workdir.evaluation_pictures(split).exists():
        return None
    ours = (config.train.steps, identity(config))
    return found if (found["step"], found["config_sha256"]) == ours else None


def is_up_to_date(
    config: Config, dataset: DatasetBuilder, workdir: Workdir, split: str, fcn_score: bool
) -> bool:
    """Whether it is finished on these pairs and, if that is asked for, by today's segmenter."""
    found = read_finished_evaluation(config, workdir, split)
    if found is None or found["data"] != pairs_fingerprint(dataset, split):
        return False
    return not fcn_score or found["segmenter"] == class_reader_name(config.data, dataset)


def pairs_fingerprint(dataset: DatasetBuilder, split: str) -> str:
    """Which pairs were measured, and which the segmenter was taught by."""
    return fingerprint(dataset, ("train", split))


def to_json(result: Evaluation) -> dict[str, Any]:
    """JSON knows neither infinity, of a PSNR, nor what is not a number."""

    def finite(scores: dict[str, float | str]) -> dict[str, float | str | None]:
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in scores.items()
        }

    return {
        "metrics": finite(result.metrics),
        "ground_truth": finite(result.ground_truth),
        "pairs": [finite(pair) for pair in result.pairs],
        "lab_histograms": jax.tree.map(np.ndarray.tolist, result.histograms),
    }


def write_pictures(folder: Path, name: str, pictures: dict[str, np.ndarray]) -> None:
    """Saves the pictures of a pair as folder/input/NAME.png and so on."""
    for kind, pixels in pictures.items():
        path = folder / kind / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        to_image(pixels).save(path, compress_level=1)


def to_text(summary: dict) -> str:
    """The metrics beside those of the ground truth."""
    lines = [f"{'':20} {'output':>8} {TRUTH if summary['ground_truth'] else '':>13}".rstrip()]
    for name, value in summary["metrics"].items():
        truth = summary["ground_truth"]
        right = format_metric(name, truth[name]) if name in truth else ""
        lines.append(
            f"{METRICS[name].label:20} {format_metric(name, value):>8} {right:>13}".rstrip()
        )
    return "\n".join(lines)
