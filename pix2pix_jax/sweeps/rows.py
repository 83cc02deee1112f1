"""The rows of a sweep's table; a row is all variants with the same name before the slash."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pix2pix_jax.config.metrics import METRICS
from pix2pix_jax.config.schema import Config
from pix2pix_jax.evaluation.evaluation_file import Evaluation
from pix2pix_jax.models.topology import DISCRIMINATORS, receptive_field
from pix2pix_jax.reports.page import TRUTH
from pix2pix_jax.runs.workdir import SweepFolder, Workdir
from pix2pix_jax.sweeps.sweep_file import SweepPlan


@dataclass(frozen=True)
class Statistics:
    """A metric over the runs of a row.

    Attributes:
      mean: the mean of the values; None if a value is None.
      spread: the sample standard deviation; None for one run, or if a value is None.
      values: one value for each run; None if the value is not finite or was not measured.
    """

    mean: float | None
    spread: float | None
    values: list[float | None]


@dataclass(frozen=True)
class ResultsRow:
    """A row of results.json; the names of the fields are the keys of the row.

    Attributes:
      name: name of the row.
      runs: for each evaluated variant its name, and the main keys of its evaluation.
      failed: reasons of failures, by the name of the variant.
      missing: names of the variants that have neither failed nor been evaluated.
      receptive_field: side in pixels of the receptive field of the discriminator; None without a
        discriminator.
      metrics: statistics over all runs, by metric.
    """

    name: str
    runs: list[dict[str, Any]]
    failed: dict[str, str]
    missing: list[str]
    receptive_field: int | None
    metrics: dict[str, Statistics]


def collect_rows(
    plan: SweepPlan, folder: SweepFolder, evaluations: Mapping[str, Evaluation]
) -> list[ResultsRow]:
    """Collects the rows of a sweep in the order of its plan, with the ground truth at the end.

    Args:
      plan: the sweep.
      folder: the folder of the sweep.
      evaluations: finished evaluations, by the name of the variant.
    """
    groups: dict[str, dict[str, Config]] = {}
    for name, config in plan.variants:
        groups.setdefault(name.partition("/")[0], {})[name] = config
    rows = [_make_row(row, variants, folder, evaluations) for row, variants in groups.items()]
    return rows + _ground_truth_rows(evaluations)


def _make_row(
    name: str,
    variants: Mapping[str, Config],
    folder: SweepFolder,
    evaluations: Mapping[str, Evaluation],
) -> ResultsRow:
    # An evaluated variant may have failed later. Then it is in `runs` and in `failed`.
    evaluated = {variant: evaluations[variant] for variant in variants if variant in evaluations}
    reasons = {variant: read_failure(folder.workdir(variant)) for variant in variants}
    keys = ("step", "seed", "images", "data", "segmenter", "metrics")
    *_, config = variants.values()
    discriminator = DISCRIMINATORS[config.model.discriminator]
    return ResultsRow(
        name=name,
        runs=[
            {"name": variant} | {key: evaluation[key] for key in keys}
            for variant, evaluation in evaluated.items()
        ],
        failed={variant: reason for variant, reason in reasons.items() if reason is not None},
        missing=[v for v, reason in reasons.items() if reason is None and v not in evaluated],
        receptive_field=None if config.loss.gan == "none" else receptive_field(discriminator),
        metrics={
            metric: make_statistics([e["metrics"].get(metric) for e in evaluated.values()])
            for metric in METRICS
            if any(metric in evaluation["metrics"] for evaluation in evaluated.values())
        },
    )


def read_failure(run: Workdir) -> str | None:
    """Reads the reason why a variant failed; None if the variant did not fail."""
    if not run.failure_file.exists():
        return None
    return run.failure_file.read_text(encoding="utf-8", errors="replace").strip()


def _ground_truth_rows(evaluations: Mapping[str, Evaluation]) -> list[ResultsRow]:
    """The rows with the FCN-score of the targets.

    There is one row if all evaluations have the same class reader and the same pairs. Otherwise
    each combination of class reader and pairs has a row, with the name of its first run.
    """
    truths = {}
    for run, evaluation in evaluations.items():
        if evaluation["ground_truth"]:
            truths.setdefault((evaluation["segmenter"], evaluation["data"]), (run, evaluation))
    return [
        ResultsRow(
            name=TRUTH if len(truths) == 1 else f"{TRUTH} of {run}",
            runs=[],
            failed={},
            missing=[],
            receptive_field=None,
            metrics={
                metric: make_statistics([value])
                for metric, value in evaluation["ground_truth"].items()
            },
        )
        for run, evaluation in truths.values()
    ]


def make_statistics(values: Sequence[float | None]) -> Statistics:
    """The mean and the spread of one or more values; both are None if a value is None."""
    finite = [value for value in values if value is not None]
    if len(finite) < len(values):
        return Statistics(None, None, list(values))
    spread = float(np.std(finite, ddof=1)) if len(finite) > 1 else None
    return Statistics(float(np.mean(finite)), spread, list(values))
