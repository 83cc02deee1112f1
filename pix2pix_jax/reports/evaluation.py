"""The page of an evaluation: its numbers, and every pair as input, output and target."""

import html
from operator import itemgetter
from pathlib import Path

import numpy as np

from pix2pix_jax.config.metrics import LAB_RANGES, METRICS
from pix2pix_jax.reports.charts import chart, svg
from pix2pix_jax.reports.page import TRUTH, format_metric, page, picture_html, table_html

KINDS = ("input", "output", "target")
# Pairs are moved, not drawn again; without scripts they stay in the order of their names.
SCRIPT = """
const pairs = document.querySelector(".pairs"), order = document.querySelector("#order");
const byName = [...pairs.children];
order.addEventListener("change", () => {
  const [name, sign] = order.value.split(" ");
  // What could not be measured, NaN, stands last.
  const value = pair => isNaN(pair.dataset[name]) ? Infinity : sign * pair.dataset[name];
  const compare = (a, b) => value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0;
  pairs.append(...(name ? [...byName].sort(compare) : byName));
});
"""


def render_page(run: str, summary: dict, pictures: Path) -> str:
    """HTML of a page that stands beside the folder evaluation_<split>/ with the pictures.

    Args:
      run: what it is called.
      summary: the content of evaluation_<split>.json.
      pictures: where those of that folder lie now.
    """
    split, truth = summary["split"], summary["ground_truth"]
    rows = [
        (
            METRICS[name].label,
            format_metric(name, value),
            *([format_metric(name, truth[name]) if name in truth else ""] if truth else []),
            "higher" if METRICS[name].higher_is_better else "lower",
        )
        for name, value in summary["metrics"].items()
    ]
    choices = "".join(
        f'<option value="{name} {sign}">{word} {METRICS[name].label} first</option>'
        for name in summary["pairs"][0]
        if name != "name"
        for word, sign in zip(
            ("worst", "best"), (1, -1) if METRICS[name].higher_is_better else (-1, 1), strict=True
        )
    )
    figures = "".join(
        figure(pair, pictures, f"evaluation_{split}")
        for pair in sorted(summary["pairs"], key=itemgetter("name"))
    )
    body = (
        f"<p>Step {summary['step']}, seed {summary['seed']}, pairs: {summary['images']}. "
        f"{fcn_score_note(summary['segmenter']) if truth else ''}</p>"
        f"{table_html(('', 'output', *([TRUTH] if truth else []), 'is better'), rows)}"
        f'<h2>Colours</h2><div class="charts">{histograms(summary["lab_histograms"])}</div>'
        '<h2>Pairs</h2><p><label>Order: <select id="order">'
        f'<option value="">by name</option>{choices}</select></label></p>'
        f'<div class="heads">{"".join(f"<span>{kind}</span>" for kind in KINDS)}</div>'
        f'<div class="pairs">{figures}</div><script>{SCRIPT}</script>'
    )
    return page(f"{run}: {split} at step {summary['step']}", body)


def figure(pair: dict, pictures: Path, folder: str) -> str:
    """HTML of a pair: three pictures over its metrics, which are also its data to sort by."""
    name = pair["name"]
    values = {metric: value for metric, value in pair.items() if metric != "name"}
    data = "".join(
        f' data-{metric}="{sort_value(metric, value)}"' for metric, value in values.items()
    )
    images = "".join(
        picture_html(
            pictures / kind / f"{name}.png", f"{folder}/{kind}/{name}.png", f"{kind} of {name}"
        )
        for kind in KINDS
    )
    text = ", ".join(
        f"{METRICS[metric].label} {format_metric(metric, value)}"
        for metric, value in values.items()
    )
    return f"<figure{data}>{images}<figcaption>{html.escape(name)}: {text}</figcaption></figure>"


def sort_value(metric: str, value: float | None) -> str:
    """A value as a number of JavaScript; None is an infinite PSNR, or could not be measured."""
    if value is None:
        return "Infinity" if METRICS[metric].infinite_if_equal else "nan"
    return str(value)


def histograms(sides: dict[str, dict[str, list[int]]]) -> str:
    """Figure 7 of the paper: how often which L, a and b occur, on a logarithmic scale.

    Args:
      sides: name of what is drawn to counts by the keys of LAB_RANGES.
    """
    charts = []
    for name, (low, _) in LAB_RANGES.items():
        drawn, axes = chart(2.8)
        for label, counts in sides.items():
            shares = np.array(counts[name]) / np.sum(counts[name])
            shares = np.where(shares > 0, shares, np.nan)  # a gap; there is no logarithm of it
            style = "k:" if label in ("target", TRUTH) else "-"
            places = low + np.arange(len(shares))
            axes.step(places, shares, style, where="mid", linewidth=1.2, label=label)
        axes.set_yscale("log")
        axes.set_xlabel(f"{METRICS[name].label.split()[0]} (CIE Lab units)")
        axes.set_ylabel("share of pixels")
        drawn.legend(fontsize=8, loc="outside lower center", ncols=3)
        charts.append(svg(drawn))
    return "".join(charts)


NEAREST_COLOUR = "nearest colour"


def fcn_score_note(judge: str) -> str:
    """What an FCN-score is worth, by the name of who read it."""
    if judge == NEAREST_COLOUR:
        return "Accuracies and class IOU are read off the colours of the label maps."
    return (
        "The FCN-score (accuracies and class IOU) is read by a segmenter that was trained here on "
        "the real photos of the training split: it compares with that of the ground truth and of "
        "other generators read by the same one, with the paper's only in order and ratio."
    )
