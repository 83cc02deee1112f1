"""The page of a sweep: a table, a chart of every metric, and the pictures of all rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from pix2pix_jax.config.metrics import LAB_RANGES, METRICS
from pix2pix_jax.reports.charts import COLOUR, make_chart, render_svg
from pix2pix_jax.reports.evaluation import draw_histograms
from pix2pix_jax.reports.page import TRUTH, Picture, open_picture, relative_link, render
from pix2pix_jax.runs.workdir import PICTURE_KINDS, SweepFolder, Workdir
from pix2pix_jax.runtime.storage.files import link_or_copy, write_atomically

MAX_PAIRS = 6  # number of pairs in the grid of pictures
JsonRow = dict[str, Any]  # a row of results.json


@dataclass(frozen=True)
class SweepPage:
    """The results of a sweep, as its page shows them.

    Attributes:
      title: title of the sweep.
      split: the evaluated split.
      rows: the rows of results.json.
      evaluations: contents of evaluation_<split>.json, by the name of the run.
      note: sentences about the table.
      header: the first line of the table.
      cells: the other lines of the table.
    """

    title: str
    split: str
    rows: list[JsonRow]
    evaluations: dict[str, Any]
    note: str
    header: list[str]
    cells: list[list[str]]


def write_sweep_page(folder: SweepFolder, page: SweepPage) -> None:
    """Writes the page of a sweep, with links to the pictures and the pages of its runs."""
    rows, split = page.rows, page.split
    first_runs = {row["name"]: row["runs"][0]["name"] for row in rows if row["runs"]}
    first_evaluations = {row: page.evaluations[run] for row, run in first_runs.items()}
    workdirs = {row: folder.workdir(run) for row, run in first_runs.items()}
    pairs = common_pairs(workdirs, first_evaluations, split)
    html = render(
        "sweep.html",
        title=page.title,
        note=page.note,
        header=page.header,
        rows=page.cells,
        legend=describe_charts(rows),
        metric_charts=[chart for metric in METRICS if (chart := draw_runs(metric, rows))],
        histograms=draw_histograms(histograms_by_row(first_evaluations)) if first_runs else [],
        columns=["input", *workdirs, TRUTH],
        pictures=picture_grid(folder, split, workdirs, pairs),
        runs=[
            {
                "name": run["name"],
                "evaluation": link(folder, folder.workdir(run["name"]).evaluation_page(split)),
                "training": link(folder, folder.workdir(run["name"]).report_page),
            }
            for row in rows
            for run in row["runs"]
        ],
    )
    write_atomically(folder.report_page, html)


def describe_charts(rows: list[JsonRow]) -> str:
    """The sentence that explains what the charts of metrics show."""
    signs = ["A dot is a run"]
    if any(len(row["runs"]) > 1 for row in rows):
        signs.append("a bar is the mean of a row")
    if any(row["metrics"] and not row["runs"] for row in rows):
        signs.append("a dashed line is the ground truth")
    return ", ".join([*signs[:-2], " and ".join(signs[-2:])]) + "."


def histograms_by_row(evaluations: dict[str, Any]) -> dict[str, dict[str, list[int]]]:
    """The histograms of the outputs by row, and of the targets if all rows have the same pairs."""
    histograms = {
        row: evaluation["lab_histograms"]["output"] for row, evaluation in evaluations.items()
    }
    if have_same_pairs(evaluations):
        histograms[TRUTH] = next(iter(evaluations.values()))["lab_histograms"]["target"]
    return histograms


def have_same_pairs(evaluations: dict[str, Any]) -> bool:
    """Whether all evaluations used the same pairs; False without evaluations.

    Equal names do not prove equal pairs, because many datasets have a pair named "1".
    """
    return len({evaluation["data"] for evaluation in evaluations.values()}) == 1


def common_pairs(
    workdirs: dict[str, Workdir], evaluations: dict[str, Any], split: str
) -> list[str]:
    """The first MAX_PAIRS pairs with all pictures in every row; empty if rows have other pairs."""
    if not have_same_pairs(evaluations):
        return []
    names = [
        {
            pair["name"]
            for pair in evaluations[row]["pairs"]
            if has_pictures(workdir, split, pair["name"])
        }
        for row, workdir in workdirs.items()
    ]
    return sorted(set.intersection(*names))[:MAX_PAIRS]


def has_pictures(workdir: Workdir, split: str, pair: str) -> bool:
    """Whether all pictures of a pair exist; the user may have deleted some to free space."""
    return all(workdir.evaluation_picture(split, kind, pair).exists() for kind in PICTURE_KINDS)


def picture_grid(
    folder: SweepFolder, split: str, workdirs: dict[str, Workdir], pairs: list[str]
) -> list[Picture]:
    """The pictures of all pairs, line by line: input, the output of each row, ground truth.

    The pictures are linked or copied into the report, so that the report can be copied alone.

    Args:
      folder: the folder of the sweep.
      split: the evaluated split.
      workdirs: the workdir of the first run of each row, by row.
      pairs: names of the pairs.
    """
    if not pairs:
        return []
    # All rows have the same pairs, so the inputs and targets can come from any run.
    any_run = next(iter(workdirs.values()))
    columns = [("input", any_run, "input")]
    columns += [(f"output of {row}", workdir, "output") for row, workdir in workdirs.items()]
    columns.append((TRUTH, any_run, "target"))
    pictures = []
    for pair in pairs:
        for column, workdir, kind in columns:
            path = folder.report_picture(workdir, kind, pair)
            link_or_copy(workdir.evaluation_picture(split, kind, pair), path)
            pictures.append(open_picture(path, link(folder, path), f"{column}, pair {pair}"))
    return pictures


def link(folder: SweepFolder, target: Path) -> str:
    """The link from the page of the sweep to a file."""
    return relative_link(target, folder.report_page)


def draw_runs(metric: str, rows: list[JsonRow]) -> Markup | None:
    """Draws a metric: a dot for each run, a bar for the mean of runs, a line for the ground truth.

    Args:
      metric: a key of METRICS.
      rows: the rows of results.json.

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
    for height, row in enumerate(rows):
        values = [value for value in row["metrics"][metric]["values"] if value is not None]
        axes.plot(values, [height] * len(values), "o", color=COLOUR, alpha=0.6)
        if len(values) > 1:
            axes.plot([np.mean(values)] * 2, [height - 0.3, height + 0.3], color=COLOUR)
    for truth in truths:
        if truth is not None:
            axes.axvline(truth, color="black", linestyle="--", linewidth=1)
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    better = "higher" if METRICS[metric].higher_is_better else "lower"
    measure = " intersection" if metric in LAB_RANGES else ""
    axes.set_xlabel(f"{METRICS[metric].label}{measure}, {better} is better")
    axes.xaxis.set_major_locator(MaxNLocator(4))
    return render_svg(figure)
