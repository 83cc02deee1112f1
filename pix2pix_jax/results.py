"""What a sweep has found: results.json and results.md, from the runs in its folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pix2pix_jax.comparison import write_comparison
from pix2pix_jax.config import Config, UsageError, identity, resolve
from pix2pix_jax.config_files import Sweep
from pix2pix_jax.discriminator import TABLES, receptive_field
from pix2pix_jax.evaluate import read_evaluation
from pix2pix_jax.files import write_whole
from pix2pix_jax.metrics import METRICS
from pix2pix_jax.page import LABELS, TRUTH, shown

FAILED = "failed.txt"
NOTE = (
    "Mean and standard deviation over the runs of a row. The FCN-score (accuracies, class IOU) is "
    "read by a segmenter that was trained here on the real photos of the training split: it "
    "compares within this table and with the row 'ground truth', with the paper's only in order "
    "and ratio. L1 is of images in [-1, 1]; of a histogram the share is shown that it has in "
    "common with that of the real photos."
)
Row = dict[str, Any]


def finished(config: Config, folder: Path, split: str) -> dict[str, Any] | None:
    """The evaluation of a variant after its last step, as a resolved config has it, if any."""
    found = read_evaluation(folder / f"evaluation_{split}.json")
    ours = (config.train.steps, identity(config))
    return found if found and (found["step"], found["config_sha256"]) == ours else None


def write_results(plan: Sweep, workdir: Path, split: str) -> list[str]:
    """Writes results.json, results.md and report/index.html; returns the variants that failed."""
    rows = collect(plan, workdir, split)
    results = {"title": plan.title, "split": split, "rows": rows, "paper": plan.paper}
    write_whole(workdir / "results.json", json.dumps(results, indent=1) + "\n")
    header, lines = as_table(rows, plan.paper)
    note = f"Of the {split} split. {NOTE}{caution(rows)}"
    bars = [[cell.replace("|", "\\|") for cell in line] for line in lines]  # of their own
    marked = [header, ["---"] * len(header), *bars]
    text = "".join(f"| {' | '.join(line)} |\n" for line in marked)
    write_whole(workdir / "results.md", f"# {plan.title}\n\n{text}\n{note}\n")
    write_comparison(plan.title, workdir, split, rows, note, (header, lines))
    return [name for row in rows for name in row["failed"]]


def collect(plan: Sweep, workdir: Path, split: str) -> list[Row]:
    """A row for all variants of the same name before the slash, in the order of the plan."""
    rows: dict[str, Row] = {}
    for name, config in plan.variants:
        row = rows.setdefault(name.partition("/")[0], {"runs": [], "failed": {}, "missing": []})
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
        if reason.exists():
            row["failed"][name] = reason.read_text(encoding="utf-8").strip()
        elif found:
            keys = ("step", "seed", "images", "segmenter", "metrics", "ground_truth")
            row["runs"].append({"name": name} | {key: found[key] for key in keys})
        else:
            row["missing"].append(name)
    for row in rows.values():
        row["metrics"] = {
            metric: over_runs([run["metrics"].get(metric) for run in row["runs"]])
            for metric in METRICS
            if any(metric in run["metrics"] for run in row["runs"])
        }
    return [{"name": name} | row for name, row in rows.items()]


def over_runs(values: list[float | None]) -> dict[str, Any]:
    """Mean and spread, the standard deviation of a sample; None where a value is not finite."""
    whole = None not in values
    return {
        "mean": float(np.mean(values)) if whole else None,
        "spread": float(np.std(values, ddof=1)) if whole and len(values) > 1 else None,
        "values": values,
    }


def caution(rows: list[Row]) -> str:
    """What keeps the FCN-scores of a table from being compared, if anything."""
    judges = {run["segmenter"] for row in rows for run in row["runs"]} - {None}
    if len(judges) < 2:
        return ""
    return (
        f" Its FCN-scores are of {len(judges)} different segmenters and do not compare, unless its "
        "rows are of different data: give all runs one data.data_dir, and run the sweep again."
    )


def as_table(
    rows: list[Row], paper: dict[str, dict[str, float]]
) -> tuple[list[str], list[list[str]]]:
    """Header and lines: ours beside the paper's where it has some, and the ground truth last."""
    measured = [metric for metric in METRICS if any(metric in row["metrics"] for row in rows)]
    printed = {metric for scores in paper.values() for metric in scores}

    def cells(scores: dict[str, Any], name: str, text: Callable[[str, Any], str]) -> list[str]:
        line = []
        for metric in measured:
            line.append(text(metric, scores[metric]) if metric in scores else "")
            if metric in printed:
                theirs = paper.get(name, {})
                line.append(f"{theirs[metric]:.2f}" if metric in theirs else "")
        return line

    header = ["variant", "receptive field", "runs"]
    for metric in measured:
        header += [LABELS[metric], "paper"] if metric in printed else [LABELS[metric]]
    lines = []
    for row in rows:
        field, count = row["receptive_field"], len(row["runs"])
        runs = f"{count} of {count + len(row['failed']) + len(row['missing'])}"
        reasons = "".join(f"; failed: {reason}" for reason in dict.fromkeys(row["failed"].values()))
        name = [row["name"], f"{field}x{field}" if field else "", runs + reasons]
        lines.append(name + cells(row["metrics"], row["name"], spread))
    for name, truth in ground_truths(rows):
        lines.append([name, "", "", *cells(truth, TRUTH, shown)])
    return header, lines


def ground_truths(rows: list[Row]) -> list[tuple[str, dict[str, float | None]]]:
    """The scores of the real photos: one for all, or else each with a run that it belongs to."""
    truths: dict[str, dict] = {}
    for run in (run for row in rows for run in row["runs"]):
        if run["ground_truth"]:
            truths.setdefault(json.dumps(run["ground_truth"]), run)
    if len(truths) == 1:
        return [(TRUTH, run["ground_truth"]) for run in truths.values()]
    return [(f"{TRUTH} of {run['name']}", run["ground_truth"]) for run in truths.values()]


def spread(metric: str, value: dict[str, Any]) -> str:
    """Mean and spread as tables have them."""
    beside = "" if value["spread"] is None else f" ± {value['spread']:.3f}"
    return shown(metric, value["mean"]) + beside
