"""The page of an evaluation: metrics, histograms of colours, and the pictures of every pair."""

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
from pix2pix_jax.runs.workdir import PICTURE_KINDS, Workdir, picture_file
from pix2pix_jax.runtime.console import plural

NEAREST_COLOUR = "nearest colour"  # name of the class reader without a segmenter


@dataclass(frozen=True)
class Pair:
    """A pair on the page.

    Attributes:
      name: name of the pair.
      pictures: one for each of PICTURE_KINDS.
      sort_keys: values by metric, written as numbers of JavaScript.
      caption: labels and values of all metrics.
    """

    name: str
    pictures: list[Picture]
    sort_keys: dict[str, str]
    caption: str


def render_evaluation_page(workdir: Workdir, evaluation: Mapping[str, Any], pictures: Path) -> str:
    """Renders the page of an evaluation as HTML.

    Args:
      workdir: the workdir of the run.
      evaluation: the content of evaluation_<split>.json.
      pictures: the folder of the pictures; it may have a temporary name until it becomes
        `workdir.evaluation_pictures_folder(split)`.
    """
    split, truth = evaluation["split"], evaluation["ground_truth"]
    return render(
        "evaluation.html",
        title=f"{workdir.name}: {split} at step {evaluation['step']}",
        step=evaluation["step"],
        seed=evaluation["seed"],
        num_pairs=plural(len(evaluation["pairs"]), "pair"),
        note=evaluation_note(evaluation),
        header=["", "output", *([TRUTH] if truth else []), "better if"],
        rows=metric_rows(evaluation["metrics"], truth),
        histograms=draw_histograms(evaluation["lab_histograms"]),
        orders=sort_orders([name for name in evaluation["pairs"][0] if name != "name"]),
        kinds=PICTURE_KINDS,
        pairs=[
            make_pair(pair, workdir, split, pictures)
            for pair in sorted(evaluation["pairs"], key=itemgetter("name"))
        ],
    )


def metric_rows(
    scores: Mapping[str, float | None], truth: Mapping[str, float | None]
) -> list[list[str]]:
    """The rows of the table: label, output, ground truth if any, and "higher" or "lower"."""
    rows = []
    for name, value in scores.items():
        row = [METRICS[name].label, format_metric(name, value)]
        if truth:
            row.append(format_metric(name, truth[name]) if name in truth else "")
        rows.append([*row, "higher" if METRICS[name].higher_is_better else "lower"])
    return rows


def sort_orders(metrics: list[str]) -> list[dict[str, Any]]:
    """The orders of pairs that a reader can choose; the page sorts by sign * metric, ascending."""
    orders = []
    for name in metrics:
        from_worst = 1 if METRICS[name].higher_is_better else -1
        for word, sign in (("worst", from_worst), ("best", -from_worst)):
            label = f"{word} {METRICS[name].label} first"
            orders.append({"metric": name, "sign": sign, "label": label})
    return orders


def make_pair(scores: Mapping[str, Any], workdir: Workdir, split: str, pictures: Path) -> Pair:
    """Makes a pair of the page, with its pictures.

    Args:
      scores: the entry of this pair in evaluation_<split>.json.
      workdir: the workdir of the run.
      split: the evaluated split.
      pictures: the folder of the pictures, as in `render_evaluation_page`.
    """
    name, page = scores["name"], workdir.evaluation_page(split)
    values = {metric: value for metric, value in scores.items() if metric != "name"}
    pair_pictures = []
    for kind in PICTURE_KINDS:
        link = relative_link(workdir.evaluation_picture(split, kind, name), page)
        pair_pictures.append(
            open_picture(picture_file(pictures, kind, name), link, f"{kind} of {name}")
        )
    return Pair(
        name,
        pictures=pair_pictures,
        sort_keys={metric: sort_key(metric, value) for metric, value in values.items()},
        caption=", ".join(
            f"{METRICS[metric].label} {format_metric(metric, value)}"
            for metric, value in values.items()
        ),
    )


def sort_key(metric: str, value: float | None) -> str:
    """Writes a value as a number of JavaScript; None means infinite, or not measured."""
    if value is None:
        return "Infinity" if METRICS[metric].infinite_if_equal else "NaN"
    return str(value)


def draw_histograms(histograms: Mapping[str, Mapping[str, list[int]]]) -> list[Markup]:
    """Draws histograms in CIE Lab on a logarithmic scale (figure 7 of the paper).

    Args:
      histograms: for each label of a line, the numbers of pixels for each key of LAB_RANGES.

    Returns:
      SVGs, one for each key of LAB_RANGES.
    """
    charts = []
    for name, (low, _) in LAB_RANGES.items():
        figure, axes = make_chart(2.8)
        for label, counts in histograms.items():
            shares = np.array(counts[name]) / np.sum(counts[name])
            shares = np.where(shares > 0, shares, np.nan)  # 0 has no logarithm.
            style = "k:" if label in ("target", TRUTH) else "-"
            centres = low + np.arange(len(shares))
            axes.step(centres, shares, style, where="mid", linewidth=1.2, label=label)
        axes.set_yscale("log")
        axes.set_xlabel(f"{METRICS[name].label.split()[0]} (CIE Lab units)")
        axes.set_ylabel("share of pixels")
        figure.legend(fontsize=8, loc="outside lower center", ncols=3)
        charts.append(render_svg(figure))
    return charts


def evaluation_note(evaluation: Mapping[str, Any]) -> str:
    """The sentences about how the outputs were made and measured; "" if nothing is unusual."""
    sentences = []
    if source := evaluation.get("running_statistics"):
        sentences.append(f"The norms use the {source}, and there is no dropout.")
    if evaluation["ground_truth"]:
        sentences.append(fcn_score_note(evaluation["segmenter"]))
    return " ".join(sentences)


def fcn_score_note(segmenter: str) -> str:
    """The sentence that says how classes were read, and which FCN-scores are comparable.

    Args:
      segmenter: the name of the class reader.
    """
    if segmenter == NEAREST_COLOUR:
        return "Accuracies and class IOU are read off the colours of the label maps."
    return (
        "The classes for the FCN-score (accuracies and class IOU) are read by a segmenter that was "
        "trained here on the real photos of the training split. Such a score is comparable with "
        "scores by the same segmenter: those of the ground truth and of other generators. The "
        "paper used another segmenter, so compare only the order and the ratios of its scores."
    )
