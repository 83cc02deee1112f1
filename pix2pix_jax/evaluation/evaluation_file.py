"""The content of evaluation_<split>.json; checks that an evaluation is finished and up to date."""

import json
import math
from pathlib import Path
from typing import Any, Literal, NotRequired

import jax
import numpy as np
from pydantic import TypeAdapter, ValidationError
from tensorflow_datasets.core import DatasetBuilder
from typing_extensions import TypedDict

from pix2pix_jax.config.metrics import MetricName
from pix2pix_jax.config.resume import identity
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.fingerprint import dataset_fingerprint
from pix2pix_jax.evaluation.class_reader import ClassReader, class_reader_name
from pix2pix_jax.evaluation.scorer import SplitScores
from pix2pix_jax.runs.workdir import Workdir

Scores = dict[MetricName, float | None]  # None: infinite or NaN, which JSON does not have
Histograms = dict[Literal["lab_l", "lab_a", "lab_b"], list[int]]


class HistogramSides(TypedDict):
    """Histograms of all outputs and of all targets, as numbers of pixels."""

    output: Histograms
    target: Histograms


class Evaluation(TypedDict):
    """The content of evaluation_<split>.json."""

    split: str
    step: int
    seed: int
    images: int
    config_sha256: str
    data: str  # fingerprint of the pairs
    segmenter: str | None  # name of the class reader; None: no FCN-score
    # Where the running statistics of the norms come from. Evaluations with the statistics of each
    # image do not have this key.
    running_statistics: NotRequired[str]
    metrics: Scores
    ground_truth: Scores
    pairs: list[dict[Literal["name"] | MetricName, str | float | None]]
    lab_histograms: HistogramSides


def make_evaluation(
    config: Config,
    dataset: DatasetBuilder,
    split: str,
    step: int,
    reader: ClassReader | None,
    scores: SplitScores,
) -> Evaluation:
    """Makes the content of evaluation_<split>.json.

    Args:
      config: the resolved config of the run.
      dataset: the dataset prepared from `config`.
      split: the evaluated split.
      step: the step of the checkpoint.
      reader: the reader of the classes; None: no FCN-score.
      scores: the scores of the split.
    """
    return {
        "split": split,
        "step": step,
        "seed": config.seed,
        "images": len(scores.pairs),
        "config_sha256": identity(config),
        "data": pairs_fingerprint(dataset, split),
        "segmenter": reader and reader.name,
        "metrics": _replace_nonfinite(scores.metrics),
        "ground_truth": _replace_nonfinite(scores.ground_truth),
        "pairs": [_replace_nonfinite(pair) for pair in scores.pairs],
        "lab_histograms": jax.tree.map(np.ndarray.tolist, scores.histograms),
    }


def _replace_nonfinite(values: dict[str, Any]) -> dict[str, Any]:
    """Replaces infinity (the PSNR of equal images) and NaN by None: JSON has neither."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }


def pairs_fingerprint(dataset: DatasetBuilder, split: str) -> str:
    """The fingerprint of the evaluated pairs and of the pairs that trained the segmenter."""
    return dataset_fingerprint(dataset, ("train", split))


def to_json(evaluation: Evaluation) -> str:
    """Formats an evaluation as JSON with one line for each key, so that people can read it."""
    lines = (f" {json.dumps(name)}: {json.dumps(value)}" for name, value in evaluation.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read_evaluation(path: Path) -> Evaluation | None:
    """Reads evaluation_<split>.json; None if there is no such file or its content is not valid."""
    try:
        return TypeAdapter(Evaluation).validate_json(path.read_bytes(), strict=True)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValidationError):
        return None


def read_finished_evaluation(config: Config, workdir: Workdir, split: str) -> Evaluation | None:
    """Reads the evaluation of the last step of a run.

    Args:
      config: the resolved config of the run.
      workdir: the workdir of the run.
      split: the evaluated split.

    Returns:
      The evaluation; None if it does not exist, lacks its page or pictures, belongs to another step
      or another config, or was made with running statistics.
    """
    evaluation = read_evaluation(workdir.evaluation_file(split))
    page, pictures = workdir.evaluation_page(split), workdir.evaluation_pictures_folder(split)
    if not evaluation or not page.exists() or not pictures.exists():
        return None
    if "running_statistics" in evaluation:  # Other runs are evaluated without.
        return None
    expected = (config.train.steps, identity(config))
    return evaluation if (evaluation["step"], evaluation["config_sha256"]) == expected else None


def is_up_to_date(
    config: Config, dataset: DatasetBuilder, workdir: Workdir, split: str, fcn_score: bool
) -> bool:
    """Whether a run has a finished evaluation of the pairs that its dataset contains now.

    Args:
      config: the resolved config of the run.
      dataset: the dataset prepared from `config`.
      workdir: the workdir of the run.
      split: the evaluated split.
      fcn_score: whether the evaluation must also have an FCN-score by the current class reader.
    """
    evaluation = read_finished_evaluation(config, workdir, split)
    if evaluation is None or evaluation["data"] != pairs_fingerprint(dataset, split):
        return False
    return not fcn_score or evaluation["segmenter"] == class_reader_name(config.data, dataset)
