"""The page of a sweep: its table, a chart of every metric, and the pictures side by side."""

import html
from typing import Any
from urllib.parse import quote

import numpy as np
from matplotlib.ticker import MaxNLocator

from pix2pix_jax.config.metrics import LAB_RANGES, METRICS
from pix2pix_jax.reports.charts import chart, svg
from pix2pix_jax.reports.evaluation import KINDS, histograms
from pix2pix_jax.reports.page import TRUTH, page, picture_html, table_html
from pix2pix_jax.runs.workdir import SweepFolder, Workdir
from pix2pix_jax.runtime.files import write_atomically

SHOWN = 6  # pairs in the grid of pictures


def write_comparison(
    title: str,
    folder: SweepFolder,
    split: str,
    rows: list[dict[str, Any]],
    evaluations: dict[str, dict[str, Any]],
    note: str,
    header: list[str],
    lines: list[list[str]],
) -> None:
    """Writes report/index.html.

    Args:
      title: of the sweep.
      folder: of the sweep.
      split: that was evaluated.
      rows: of results.json.
      evaluations: by the names of their runs.
      note: what the numbers are.
      header, lines: of the table.
    """
    body = [
        f"<p>{html.escape(note)}</p>",
        table_html(map(html.escape, header), [map(narrow, line) for line in lines]),
    ]
    firsts = {row["name"]: row["runs"][0]["name"] for row in rows if row["runs"]}
    if firsts:
        charts = "".join(runs_chart(metric, rows) for metric in METRICS)
        body.append(
            "<h2>Metrics</h2><p>A dot for every run, a bar for their mean, a dashed line for the "
            f'ground truth.</p><div class="charts">{charts}</div>'
        )
        shown = {name: evaluations[run] for name, run in firsts.items()}
        sides = {name: found["lab_histograms"]["output"] for name, found in shown.items()}
        if len({found["data"] for found in shown.values()}) == 1:
            sides[TRUTH] = next(iter(shown.values()))["lab_histograms"]["target"]
        body.append(
            "<h2>Colours</h2><p>Of the first run of every row.</p>"
            f'<div class="charts">{histograms(sides)}</div>'
        )
        names = [
            {
                pair["name"]
                for pair in found["pairs"]
                if drawn(folder.run(firsts[name]), split, pair)
            }
            for name, found in shown.items()
        ]
        common = sorted(set.intersection(*names))[:SHOWN]  # none where rows are of different data
        if common:
            body.append(
                "<h2>Pictures</h2><p>Of the first run of every row.</p>"
                f"{grid(folder, split, {n: folder.run(run) for n, run in firsts.items()}, common)}"
            )
    links = "".join(
        f'<li>{html.escape(run["name"])}: <a href="../{quote(run["name"])}/report/'
        f'evaluation_{split}.html">evaluation</a>, '
        f'<a href="../{quote(run["name"])}/report/index.html">training</a></li>'
        for row in rows
        for run in row["runs"]
    )
    body.append(f"<h2>Runs</h2><ul>{links}</ul>")
    write_atomically(folder.report_page, page(title, "".join(body)))


def narrow(cell: str) -> str:
    """HTML of a cell with its spread below the mean, or the table is wider than a screen."""
    return html.escape(cell).replace(" ± ", "<br>± ")


def drawn(run: Workdir, split: str, pair: dict[str, Any]) -> bool:
    """Whether all pictures of a pair are there: some may have been deleted for room."""
    return all(run.evaluation_picture(split, kind, pair["name"]).exists() for kind in KINDS)


def grid(folder: SweepFolder, split: str, firsts: dict[str, Workdir], pairs: list[str]) -> str:
    """A line for every pair: input, what the first run of each row made of it, ground truth."""
    any_run = next(iter(firsts.values()))
    columns = [("input", any_run, "input")]
    columns += [(name, run, "output") for name, run in firsts.items()]
    columns.append((TRUTH, any_run, "target"))
    cells = [f"<span>{html.escape(name)}</span>" for name, _, _ in columns]
    for pair in pairs:
        for caption, run, kind in columns:
            path = run.evaluation_picture(split, kind, pair)
            cells.append(picture_html(path, f"../{path.relative_to(folder.path)}", caption))
    style = f"grid-template-columns: repeat({len(columns)}, minmax(6rem, 1fr))"
    return f'<div class="wide"><div class="grid" style="{style}">{"".join(cells)}</div></div>'


def runs_chart(metric: str, rows: list[dict[str, Any]]) -> str:
    """Every run of every row as a dot, their mean as a line, the ground truth dashed."""
    rows = [row for row in rows if metric in row["metrics"]]
    truths = [row["metrics"][metric]["mean"] for row in rows if not row["runs"]]
    truths = [truth for truth in truths if truth is not None]
    rows = [row for row in rows if row["runs"]]
    if not rows:
        return ""
    figure, axes = chart(0.9 + 0.3 * len(rows))
    axes.grid(visible=False, axis="y")
    for place, row in enumerate(rows):
        values = [value for value in row["metrics"][metric]["values"] if value is not None]
        axes.plot(values, [place] * len(values), "o", color="#1f77b4", alpha=0.6)
        if values:
            axes.plot([np.mean(values)] * 2, [place - 0.3, place + 0.3], color="#1f77b4")
    for truth in truths:
        axes.axvline(truth, color="black", linestyle="--", linewidth=1)
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    better = "higher" if METRICS[metric].higher_is_better else "lower"
    shared = " in common" if metric in LAB_RANGES else ""
    axes.set_xlabel(f"{METRICS[metric].label}{shared}, {better} is better")
    axes.xaxis.set_major_locator(MaxNLocator(4))
    return svg(figure)
