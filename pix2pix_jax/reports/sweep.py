"""The page of a sweep: its table, a chart of every metric, and the pictures side by side."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from pix2pix_jax.config.metrics import LAB_RANGES, METRICS
from pix2pix_jax.reports.charts import make_chart, render_svg
from pix2pix_jax.reports.evaluation import KINDS, draw_histograms
from pix2pix_jax.reports.page import TRUTH, Picture, open_picture, relative_link, render
from pix2pix_jax.runs.workdir import SweepFolder, Workdir
from pix2pix_jax.runtime.files import write_atomically

MAX_PAIRS = 6  # in the grid of pictures
COLOUR = "#1f77b4"
Row = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """The results of a sweep, as its page shows them.

    Attributes:
      title: of the sweep.
      split: the evaluated split.
      rows: of results.json.
      evaluations: content of evaluation_<split>.json by the name of the run.
      note: what the numbers mean.
      header: of the table.
      cells: of the table, by line.
    """

    title: str
    split: str
    rows: list[Row]
    evaluations: dict[str, Any]
    note: str
    header: list[str]
    cells: list[list[str]]


def write_comparison(folder: SweepFolder, comparison: Comparison) -> None:
    """Writes the page of a sweep."""
    rows, split = comparison.rows, comparison.split
    first_runs = {row["name"]: row["runs"][0]["name"] for row in rows if row["runs"]}
    first_evaluations = {row: comparison.evaluations[run] for row, run in first_runs.items()}
    workdirs = {row: folder.run(run) for row, run in first_runs.items()}
    pairs = common_pairs(workdirs, first_evaluations, split)
    page = render(
        "sweep.html",
        title=comparison.title,
        note=comparison.note,
        header=comparison.header,
        rows=comparison.cells,
        metric_charts=[chart for metric in METRICS if (chart := draw_runs(metric, rows))],
        histograms=draw_histograms(histograms_by_row(first_evaluations)) if first_runs else [],
        columns=["input", *workdirs, TRUTH],
        pictures=picture_grid(folder, split, workdirs, pairs),
        runs=[
            {
                "name": run["name"],
                "evaluation": link(folder, folder.run(run["name"]).evaluation_page(split)),
                "training": link(folder, folder.run(run["name"]).report_page),
            }
            for row in rows
            for run in row["runs"]
        ],
    )
    write_atomically(folder.report_page, page)


def histograms_by_row(evaluations: dict[str, Any]) -> dict[str, dict[str, list[int]]]:
    """Histograms of the outputs by row; the ground truth's too if all rows have the same pairs."""
    sides = {row: found["lab_histograms"]["output"] for row, found in evaluations.items()}
    if len({found["data"] for found in evaluations.values()}) == 1:
        sides[TRUTH] = next(iter(evaluations.values()))["lab_histograms"]["target"]
    return sides


def common_pairs(
    workdirs: dict[str, Workdir], evaluations: dict[str, Any], split: str
) -> list[str]:
    """Names of the first pairs that have all pictures in every row; none if data differ by row."""
    names = [
        {
            pair["name"]
            for pair in evaluations[row]["pairs"]
            if has_pictures(workdir, split, pair["name"])
        }
        for row, workdir in workdirs.items()
    ]
    return sorted(set.intersection(*names))[:MAX_PAIRS] if names else []


def has_pictures(workdir: Workdir, split: str, pair: str) -> bool:
    """Whether all pictures of a pair exist: the user may have deleted some to free space."""
    return all(workdir.evaluation_picture(split, kind, pair).exists() for kind in KINDS)


def picture_grid(
    folder: SweepFolder, split: str, workdirs: dict[str, Workdir], pairs: list[str]
) -> list[Picture]:
    """Line by line for every pair: its input, the output of each row, the ground truth.

    Args:
      folder: of the sweep.
      split: the evaluated split.
      workdirs: of the first run, by row.
      pairs: names.
    """
    pictures = []
    for pair in pairs:
        any_run = next(iter(workdirs.values()))
        columns = [("input", any_run, "input")]
        columns += [(row, workdir, "output") for row, workdir in workdirs.items()]
        columns.append((TRUTH, any_run, "target"))
        for caption, workdir, kind in columns:
            path = workdir.evaluation_picture(split, kind, pair)
            pictures.append(open_picture(path, link(folder, path), caption))
    return pictures


def link(folder: SweepFolder, target: Path) -> str:
    """The address of a file, from the page of the sweep."""
    return relative_link(target, folder.report_page)


def draw_runs(metric: str, rows: list[Row]) -> Markup | None:
    """Every run of every row as a dot, their mean as a bar, the ground truth as a dashed line.

    Args:
      metric: a key of METRICS.
      rows: of results.json.

    Returns:
      SVG; None if no run has the metric.
    """
    rows = [row for row in rows if metric in row["metrics"]]
    truths = [row["metrics"][metric]["mean"] for row in rows if not row["runs"]]
    rows = [row for row in rows if row["runs"]]
    if not rows:
        return None
    figure, axes = make_chart(0.9 + 0.3 * len(rows))
    axes.grid(visible=False, axis="y")
    for place, row in enumerate(rows):
        values = [value for value in row["metrics"][metric]["values"] if value is not None]
        axes.plot(values, [place] * len(values), "o", color=COLOUR, alpha=0.6)
        if values:
            axes.plot([np.mean(values)] * 2, [place - 0.3, place + 0.3], color=COLOUR)
    for truth in truths:
        if truth is not None:
            axes.axvline(truth, color="black", linestyle="--", linewidth=1)
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    better = "higher" if METRICS[metric].higher_is_better else "lower"
    shared = " in common" if metric in LAB_RANGES else ""
    axes.set_xlabel(f"{METRICS[metric].label}{shared}, {better} is better")
    axes.xaxis.set_major_locator(MaxNLocator(4))
    return render_svg(figure)
