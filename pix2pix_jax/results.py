"""What a sweep has found: results.json, results.md and a page, from the runs in its folder."""

import html
import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pix2pix_jax.config import Config, UsageError, identity, resolve
from pix2pix_jax.config_files import Sweep
from pix2pix_jax.discriminator import TABLES, receptive_field
from pix2pix_jax.files import write_whole
from pix2pix_jax.gallery import histograms
from pix2pix_jax.metrics import LAB_RANGES, LABELS, METRICS, shown
from pix2pix_jax.page import page, picture, svg, table

FAILED = "failed.txt"
TRUTH = "ground truth"
SHOWN = 6  # pairs in the grid of pictures
NOTE = (
    "Mean and standard deviation over the runs of a row. The FCN-score (accuracies, class IOU) is "
    "read by a segmenter that was trained here on the real photos of the training split: it "
    "compares within this table and with the row 'ground truth', with the paper's only in order "
    "and ratio. L1 is of images in [-1, 1]; of a histogram the share is shown that it has in "
    "common with that of the real photos."
)


def finished(config: Config, folder: Path, split: str) -> dict[str, Any] | None:
    """The evaluation of a variant after its last step, as a resolved config has it, if any."""
    path = folder / f"evaluation_{split}.json"
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text())
    except json.JSONDecodeError:  # not what was written; it is made anew
        return None
    same = (found["step"], found["config_sha256"]) == (config.train.steps, identity(config))
    return found if same else None


def write_results(plan: Sweep, workdir: Path, split: str) -> dict[str, str]:
    """Writes results.json, results.md and report/index.html; returns why variants failed."""
    rows = collect(plan, workdir, split)
    results = {"title": plan.title, "split": split, "rows": rows, "paper": plan.paper}
    write_whole(workdir / "results.json", json.dumps(results, indent=1) + "\n")
    header, lines = as_table(rows, plan.paper)
    marked = [header, ["---"] * len(header), *lines]
    text = "".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in marked
    )
    note = f"{split} split. {NOTE}{caution(rows)}"
    write_whole(workdir / "results.md", f"# {plan.title}\n\n{text}\n{note}\n")
    write_page(plan, workdir, split, rows)
    return {name: reason for row in rows for name, reason in row["failed"].items()}


def caution(rows: list[dict[str, Any]]) -> str:
    """What keeps the FCN-scores of a table from being compared, if anything."""
    judges = {run["segmenter"] for row in rows for run in row["runs"]}
    if len(judges) < 2:
        return ""
    return (
        f" Its FCN-scores are of {len(judges)} different segmenters and do not compare: give all "
        "runs one data.data_dir, remove their evaluation files, and run the sweep again."
    )


def collect(plan: Sweep, workdir: Path, split: str) -> list[dict[str, Any]]:
    """A row for all variants of the same name before the slash, in the order of the plan."""
    rows: dict[str, dict[str, Any]] = {}
    for name, config in plan.variants:
        row = rows.setdefault(
            name.partition("/")[0], {"runs": [], "failed": {}, "missing": [], "ground_truth": {}}
        )
        row["receptive_field"] = (
            receptive_field(TABLES[config.model.discriminator])
            if config.loss.gan != "none"
            else None
        )
        reason = workdir / name / FAILED
        try:
            found = finished(resolve(config), workdir / name, split)
        except UsageError:  # told when it was tried
            found = None
        if found:
            run = {key: found[key] for key in ("step", "seed", "images", "metrics", "segmenter")}
            row["runs"].append({"name": name} | run)
            row["ground_truth"] = found["ground_truth"]
        elif reason.exists():
            row["failed"][name] = reason.read_text().strip()
        else:
            row["missing"].append(name)
    for row in rows.values():
        row["metrics"] = {
            metric: _over([run["metrics"].get(metric) for run in row["runs"]])
            for metric in METRICS
            if any(metric in run["metrics"] for run in row["runs"])
        }
    return [{"name": name} | row for name, row in rows.items()]


def _over(values: list[float | None]) -> dict[str, Any]:
    """Mean and spread (the standard deviation of a sample) of the runs of a row."""
    there = [value for value in values if value is not None]
    whole = len(there) == len(values)
    return {
        "mean": float(np.mean(there)) if whole else None,
        "spread": float(np.std(there, ddof=1)) if whole and len(there) > 1 else None,
        "values": values,
    }


def as_table(
    rows: list[dict[str, Any]], paper: dict[str, dict[str, float]]
) -> tuple[list[str], list[list[str]]]:
    """Header and lines: ours beside the paper's where it has some, and the ground truth last."""
    measured = [metric for metric in METRICS if any(metric in row["metrics"] for row in rows)]
    printed = {metric for scores in paper.values() for metric in scores}
    header = ["variant", "receptive field", "runs"]
    for metric in measured:
        header += [LABELS[metric], "paper"] if metric in printed else [LABELS[metric]]
    lines = []
    for row in rows:
        field, count = row["receptive_field"], len(row["runs"])
        whole = count + len(row["failed"]) + len(row["missing"])
        line = [row["name"], f"{field}x{field}" if field else "", f"{count} of {whole}"]
        for reason in list(row["failed"].values())[:1]:
            line[2] += f"; failed: {reason}"
        scores = {m: _spread(m, value) for m, value in row["metrics"].items()}
        lines.append(line + _cells(scores, paper.get(row["name"], {}), measured, printed))
    truths = {json.dumps(row["ground_truth"]): row for row in rows if row["ground_truth"]}
    for row in truths.values():
        name = TRUTH if len(truths) == 1 else f"{TRUTH} of {row['name']}"
        scores = {m: shown(m, value) for m, value in row["ground_truth"].items()}
        lines.append([name, "", "", *_cells(scores, paper.get(TRUTH, {}), measured, printed)])
    return header, lines


def _cells(
    scores: dict[str, str], paper: dict[str, float], measured: list[str], printed: set[str]
) -> list[str]:
    cells = []
    for metric in measured:
        cells.append(scores.get(metric, ""))
        if metric in printed:
            cells.append(f"{paper[metric]:.2f}" if metric in paper else "")
    return cells


def _spread(metric: str, value: dict[str, Any]) -> str:
    spread = value["spread"]
    return shown(metric, value["mean"]) + ("" if spread is None else f" ± {spread:.3f}")


def write_page(plan: Sweep, workdir: Path, split: str, rows: list[dict[str, Any]]) -> None:
    """Writes report/index.html: the table, a chart of every metric, and a grid of pictures."""
    header, lines = as_table(rows, plan.paper)
    body = [
        f"<p>{split} split. {NOTE}{caution(rows)}</p>",
        table(map(html.escape, header), [map(html.escape, line) for line in lines]),
    ]
    done = [row for row in rows if row["runs"]]
    if done:
        charts = "".join(chart(metric, done) for metric in METRICS if metric in done[0]["metrics"])
        body.append(f'<h2>Metrics</h2><div class="charts">{charts}</div>')
        evaluations = {
            row["name"]: json.loads(
                (workdir / row["runs"][0]["name"] / f"evaluation_{split}.json").read_text()
            )
            for row in done
        }
        first = evaluations[done[0]["name"]]
        sides = {name: found["lab_histograms"]["output"] for name, found in evaluations.items()}
        sides[TRUTH] = first["lab_histograms"]["target"]
        body.append(f'<h2>Colours</h2><div class="charts">{histograms(sides)}</div>')
        body.append(f"<h2>Pictures</h2>{grid(workdir, split, done, first['pairs'][:SHOWN])}")
    write_whole(workdir / "report" / "index.html", page(plan.title, "".join(body)))


def grid(workdir: Path, split: str, rows: list[dict[str, Any]], pairs: list[dict]) -> str:
    """A line for every pair: input, what the first run of each row made of it, ground truth."""
    runs = {row["name"]: row["runs"][0]["name"] for row in rows}
    first = next(iter(runs.values()))
    columns = [("input", first, "input")]
    columns += [(name, run, "output") for name, run in runs.items()]
    columns.append((TRUTH, first, "target"))
    cells = [f"<span>{html.escape(name)}</span>" for name, _, _ in columns]
    for pair in pairs:
        for caption, run, kind in columns:
            path = workdir / run / "report" / f"evaluation_{split}" / kind / f"{pair['name']}.png"
            cells.append(picture(path, workdir / "report", caption))
    style = f"grid-template-columns: repeat({len(columns)}, minmax(6rem, 1fr))"
    return f'<div class="wide"><div class="grid" style="{style}">{"".join(cells)}</div></div>'


def chart(metric: str, rows: list[dict[str, Any]]) -> str:
    """Every run of every row as a dot, their mean as a line, the ground truth dashed."""
    figure = Figure(figsize=(4.2, 0.9 + 0.3 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        values = [value for value in row["metrics"][metric]["values"] if value is not None]
        axes.plot(values, [place] * len(values), "o", color="#1f77b4", alpha=0.6)
        if values:
            axes.plot([np.mean(values)] * 2, [place - 0.3, place + 0.3], color="#1f77b4")
    truth = rows[0]["ground_truth"].get(metric)
    if truth is not None:
        axes.axvline(truth, color="black", linestyle="--", linewidth=1)
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    better = "higher" if METRICS[metric] else "lower"
    shared = " in common" if metric in LAB_RANGES else ""
    axes.set_xlabel(f"{LABELS[metric]}{shared}, {better} is better")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return svg(figure)
