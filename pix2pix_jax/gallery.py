"""The page of an evaluation: its numbers, and every pair as input, output and target."""

import html
import math
from operator import itemgetter
from pathlib import Path

import numpy as np

from pix2pix_jax.files import write_whole
from pix2pix_jax.judge import judged
from pix2pix_jax.metrics import LAB_RANGES, METRICS
from pix2pix_jax.page import LABELS, TRUTH, chart, page, picture, run_name, shown, svg, table

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


def write_gallery(workdir: Path, summary: dict) -> None:
    """Writes report/evaluation_<split>.html.

    Args:
      workdir: of the run, whose pictures lie in report/evaluation_<split>/.
      summary: the content of evaluation_<split>.json.
    """
    split, folder, truth = summary["split"], workdir / "report", summary["ground_truth"]
    rows = [
        (
            LABELS[name],
            shown(name, value),
            *([shown(name, truth[name]) if name in truth else ""] if truth else []),
            "higher" if METRICS[name] else "lower",
        )
        for name, value in summary["metrics"].items()
    ]
    choices = "".join(
        f'<option value="{name} {sign if METRICS[name] else -sign}">{word} {LABELS[name]} first'
        "</option>"
        for name in summary["pairs"][0]
        if name != "name"
        for word, sign in (("worst", 1), ("best", -1))
    )
    figures = "".join(
        figure(pair, folder / f"evaluation_{split}", folder)
        for pair in sorted(summary["pairs"], key=itemgetter("name"))
    )
    body = (
        f"<p>Step {summary['step']}, seed {summary['seed']}, pairs: {summary['images']}. "
        f"{judged(summary['segmenter']) if truth else ''}</p>"
        f"{table(('', 'output', *([TRUTH] if truth else []), 'is better'), rows)}"
        f'<h2>Colours</h2><div class="charts">{histograms(summary["lab_histograms"])}</div>'
        '<h2>Pairs</h2><p><label>Order: <select id="order">'
        f'<option value="">by name</option>{choices}</select></label></p>'
        f'<div class="heads">{"".join(f"<span>{kind}</span>" for kind in KINDS)}</div>'
        f'<div class="pairs">{figures}</div><script>{SCRIPT}</script>'
    )
    title = f"{run_name(workdir)}: {split} at step {summary['step']}"
    write_whole(folder / f"evaluation_{split}.html", page(title, body))


def figure(pair: dict, pictures: Path, folder: Path) -> str:
    """HTML of a pair: three pictures over its metrics, which are also its data to sort by."""
    name = pair["name"]
    values = {metric: value for metric, value in pair.items() if metric != "name"}
    missing = {"psnr": "Infinity"}  # the only one that can be infinite
    data = "".join(
        f' data-{metric}="{missing.get(metric, math.nan) if value is None else value}"'
        for metric, value in values.items()
    )
    images = "".join(
        picture(pictures / kind / f"{name}.png", folder, f"{kind} of {name}") for kind in KINDS
    )
    text = ", ".join(f"{LABELS[metric]} {shown(metric, value)}" for metric, value in values.items())
    return f"<figure{data}>{images}<figcaption>{html.escape(name)}: {text}</figcaption></figure>"


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
        axes.set_xlabel(f"{LABELS[name].split()[0]} (CIE Lab units)")
        axes.set_ylabel("share of pixels")
        drawn.legend(fontsize=8, loc="outside lower center", ncols=3)
        charts.append(svg(drawn))
    return "".join(charts)
