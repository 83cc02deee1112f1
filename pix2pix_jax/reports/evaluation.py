"""The page of an evaluation: its metrics, and every pair as input, output and target."""

from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from pix2pix_jax.config.metrics import LAB_RANGES, METRICS
from pix2pix_jax.reports.charts import make_chart, render_svg
from pix2pix_jax.reports.page import (
    TRUTH,
    Picture,
    format_metric,
    open_picture,
    relative_link,
    render,
)
from pix2pix_jax.runs.workdir import Workdir

KINDS = ("input", "output", "target")
NEAREST_COLOUR = "nearest colour"  # name of the class reader that needs no segmenter


@dataclass(frozen=True)
class Pair:
    """A pair on the page.

    Attributes:
      name: of the pair.
      pictures: input, output and target.
      sort_keys: values by metric, as JavaScript reads numbers.
      caption: all metrics in words.
    """

    name: str
    pictures: list[Picture]
    sort_keys: dict[str, str]
    caption: str


def render_page(workdir: Workdir, summary: Mapping[str, Any], pictures: Path) -> str:
    """HTML of the page of an evaluation.

    Args:
      workdir: of the run.
      summary: the content of evaluation_<split>.json.
      pictures: the folder that holds the pictures now; it will be moved to
        `workdir.evaluation_pictures(split)`.
    """
    split, truth = summary["split"], summary["ground_truth"]
    return render(
        "evaluation.html",
        title=f"{workdir.name}: {split} at step {summary['step']}",
        step=summary["step"],
        seed=summary["seed"],
        note=fcn_score_note(summary["segmenter"]) if truth else "",
        header=["", "output", *([TRUTH] if truth else []), "is better"],
        rows=metric_rows(summary["metrics"], truth),
        histograms=draw_histograms(summary["lab_histograms"]),
        orders=sort_orders([name for name in summary["pairs"][0] if name != "name"]),
        kinds=KINDS,
        pairs=[
            make_pair(pair, workdir, split, pictures)
            for pair in sorted(summary["pairs"], key=itemgetter("name"))
        ],
    )


def metric_rows(
    scores: Mapping[str, float | None], truth: Mapping[str, float | None]
) -> list[list[str]]:
    """A row of the table for every metric: label, output, ground truth if any, direction."""
    rows = []
    for name, value in scores.items():
        row = [METRICS[name].label, format_metric(name, value)]
        if truth:
            row.append(format_metric(name, truth[name]) if name in truth else "")
        rows.append([*row, "higher" if METRICS[name].higher_is_better else "lower"])
    return rows


def sort_orders(metrics: list[str]) -> list[dict[str, Any]]:
    """The orders that a reader can choose; `sign` times the metric rises from first to last."""
    orders = []
    for name in metrics:
        rising = METRICS[name].higher_is_better  # the worst pair has the smallest value
        for word, sign in (("worst", 1 if rising else -1), ("best", -1 if rising else 1)):
            label = f"{word} {METRICS[name].label} first"
            orders.append({"metric": name, "sign": sign, "label": label})
    return orders


def make_pair(scores: Mapping[str, Any], workdir: Workdir, split: str, pictures: Path) -> Pair:
    """A pair with its three pictures.

    Args:
      scores: `name`, and values by metric; None is infinite or not measured.
      workdir: of the run.
      split: of the pair.
      pictures: the folder that holds the pictures now.
    """
    name, page = scores["name"], workdir.evaluation_page(split)
    values = {metric: value for metric, value in scores.items() if metric != "name"}
    shown = []
    for kind in KINDS:
        path = workdir.evaluation_picture(split, kind, name)  # where it will be
        now = pictures / path.relative_to(workdir.evaluation_pictures(split))
        shown.append(open_picture(now, relative_link(path, page), f"{kind} of {name}"))
    return Pair(
        name,
        pictures=shown,
        sort_keys={metric: sort_key(metric, value) for metric, value in values.items()},
        caption=", ".join(
            f"{METRICS[metric].label} {format_metric(metric, value)}"
            for metric, value in values.items()
        ),
    )


def sort_key(metric: str, value: float | None) -> str:
    """A value as JavaScript reads it; None is infinite, or could not be measured."""
    if value is None:
        return "Infinity" if METRICS[metric].infinite_if_equal else "NaN"
    return str(value)


def draw_histograms(sides: Mapping[str, Mapping[str, list[int]]]) -> list[Markup]:
    """Figure 7 of the paper: the share of pixels by L, by a and by b, on a logarithmic scale.

    Args:
      sides: label of a line to counts of pixels, by the keys of LAB_RANGES.
    """
    charts = []
    for name, (low, _) in LAB_RANGES.items():
        figure, axes = make_chart(2.8)
        for label, counts in sides.items():
            shares = np.array(counts[name]) / np.sum(counts[name])
            shares = np.where(shares > 0, shares, np.nan)  # zero has no logarithm: leave a gap
            style = "k:" if label in ("target", TRUTH) else "-"
            centres = low + np.arange(len(shares))
            axes.step(centres, shares, style, where="mid", linewidth=1.2, label=label)
        axes.set_yscale("log")
        axes.set_xlabel(f"{METRICS[name].label.split()[0]} (CIE Lab units)")
        axes.set_ylabel("share of pixels")
        figure.legend(fontsize=8, loc="outside lower center", ncols=3)
        charts.append(render_svg(figure))
    return charts


def fcn_score_note(segmenter: str) -> str:
    """What the FCN-score can be compared with, given the name of the class reader.

    The text also stands in results.md of a sweep.
    """
    if segmenter == NEAREST_COLOUR:
        return "Accuracies and class IOU are read off the colours of the label maps."
    return (
        "The FCN-score (accuracies and class IOU) is read by a segmenter that was trained here on "
        "the real photos of the training split: it compares with that of the ground truth and of "
        "other generators read by the same one, with the paper's only in order and ratio."
    )
