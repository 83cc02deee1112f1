"""What a sweep has found: results.json and results.md, from the runs in its folder."""

import json
from contextlib import suppress
from typing import Any

import numpy as np

from pix2pix_jax.config.experiments import Sweep
from pix2pix_jax.config.metrics import METRICS
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.errors import UsageError
from pix2pix_jax.evaluation.summary import Summary, read_finished_evaluation
from pix2pix_jax.models.topology import DISCRIMINATORS, receptive_field
from pix2pix_jax.reports.evaluation import fcn_score_note
from pix2pix_jax.reports.page import TRUTH, format_metric
from pix2pix_jax.reports.sweep import Comparison, write_comparison
from pix2pix_jax.runs.workdir import SweepFolder
from pix2pix_jax.runtime.files import write_atomically

REASON = 200  # characters of one that a table has room for
Row = dict[str, Any]


def write_results(plan: Sweep, folder: SweepFolder, split: str) -> None:
    """Writes results.json, results.md and report/index.html from the evaluations there are."""
    evaluations = read_evaluations(plan, folder, split)
    rows = collect(plan, folder, evaluations)
    results = {"title": plan.title, "split": split, "rows": rows, "paper": plan.paper}
    write_atomically(folder.results_file, json.dumps(results, indent=1) + "\n")
    header, lines = as_table(rows, plan.paper)
    found = list(evaluations.values())
    note = " ".join([describe_comparison(plan, split, found), *comparison_notes(found)])
    bars = [[cell.replace("|", "\\|") for cell in line] for line in lines]  # which would end a cell
    marked = [header, ["---"] * len(header), *bars]
    text = "".join(f"| {' | '.join(line)} |\n" for line in marked)
    write_atomically(folder.table_file, f"# {plan.title}\n\n{text}\n{note}\n")
    comparison = Comparison(plan.title, split, rows, evaluations, note, header, lines)
    write_comparison(folder, comparison)


def read_evaluations(plan: Sweep, folder: SweepFolder, split: str) -> dict[str, Summary]:
    """Those of all variants that are finished, by name."""
    evaluations = {}
    for name, config in plan.variants:
        with suppress(UsageError):  # one that cannot be built was told when it was tried
            found = read_finished_evaluation(resolve(config), folder.run(name), split)
            if found:
                evaluations[name] = found
    return evaluations


def collect(plan: Sweep, folder: SweepFolder, evaluations: dict[str, Summary]) -> list[Row]:
    """A row for all variants of the same name before the slash, in the order of the plan.

    Last comes the ground truth: what the segmenter makes of the real photos. Where evaluations are
    of several segmenters or pairs, which they should not be, each has a ground truth of its own.
    """
    rows: dict[str, Row] = {}
    for name, config in plan.variants:
        row = rows.setdefault(name.partition("/")[0], {"runs": [], "failed": {}, "missing": []})
        row["receptive_field"] = (
            receptive_field(DISCRIMINATORS[config.model.discriminator])
            if config.loss.gan != "none"
            else None
        )
        reason = folder.run(name).failure_file
        if name in evaluations:
            found = evaluations[name]
            keys = ("step", "seed", "images", "data", "segmenter", "metrics")
            row["runs"].append({"name": name} | {key: found[key] for key in keys})
        if reason.exists():  # it may have befallen later: an evaluation stands, but not unmarked
            row["failed"][name] = reason.read_text(encoding="utf-8", errors="replace").strip()
        elif name not in evaluations:
            row["missing"].append(name)
    for row in rows.values():
        row["metrics"] = {
            metric: over_runs([run["metrics"].get(metric) for run in row["runs"]])
            for metric in METRICS
            if any(metric in run["metrics"] for run in row["runs"])
        }
    for name, scores in ground_truths(evaluations).items():
        means = {metric: over_runs([score]) for metric, score in scores.items()}
        rows[name] = {"runs": [], "failed": {}, "missing": [], "receptive_field": None}
        rows[name]["metrics"] = means
    return [{"name": name} | row for name, row in rows.items()]


def ground_truths(evaluations: dict[str, Summary]) -> dict[str, dict[str, float | None]]:
    """The scores of the real photos: one for all, or else each with a run that it belongs to."""
    truths: dict[tuple[str, str], tuple[str, dict]] = {}
    for name, found in evaluations.items():
        if found["ground_truth"]:
            of = found["segmenter"], found["data"]
            truths.setdefault(of, (f"{TRUTH} of {name}", found["ground_truth"]))
    return {TRUTH if len(truths) == 1 else name: scores for name, scores in truths.values()}


def over_runs(values: list[float | None]) -> dict[str, Any]:
    """Mean and spread, the standard deviation of a sample; None where a value is not finite."""
    whole = None not in values
    return {
        "mean": float(np.mean(values)) if whole else None,
        "spread": float(np.std(values, ddof=1)) if whole and len(values) > 1 else None,
        "values": values,
    }


def describe_comparison(plan: Sweep, split: str, evaluations: list[Summary]) -> str:
    """Which pairs, and after how many steps."""
    configs = [config for _, config in plan.variants]
    datasets = dict.fromkeys(
        f"{config.data.name} at {'x'.join(map(str, config.data.image_size))}" for config in configs
    )
    steps = dict.fromkeys(f"{config.train.steps:,}" for config in configs)
    pairs = dict.fromkeys(f"{found['images']}" for found in evaluations)
    return (
        f"{', '.join(datasets)}: {' or '.join(pairs) or 'no'} pairs of the {split} split, after "
        f"{' or '.join(steps)} steps."
    )


def comparison_notes(evaluations: list[Summary]) -> list[str]:
    """What the numbers of a table are, and what keeps them from being compared, if anything."""
    judges = {found["segmenter"] for found in evaluations} - {None}
    told = ["Mean and standard deviation over the runs of a row."]
    told += dict.fromkeys(fcn_score_note(judge) for judge in sorted(judges))
    if len(judges) > 1:
        told.append(
            f"These are of {len(judges)} different segmenters and do not compare, unless the rows "
            "are of different data: give all runs one data.data_dir, and run the sweep again."
        )
    unread = sum(found["segmenter"] is None for found in evaluations)
    if unread:
        told.append(
            f"{unread} of {len(evaluations)} runs have no FCN-score: it was left out, or there is "
            "none, and pix2pix evaluate --workdir=RUN says why."
        )
    count = len({found["data"] for found in evaluations})
    if count > 1:
        told.append(
            f"Pairs are of {count} kinds: unless the rows are of different data by design, a "
            "source has changed since; a sweep in another --workdir trains all on the same."
        )
    told.append("L1 is of images in [-1, 1]; of a histogram the share is shown that is in common.")
    return told


def as_table(
    rows: list[Row], paper: dict[str, dict[str, float]]
) -> tuple[list[str], list[list[str]]]:
    """Header and lines: ours beside the paper's where it has some."""
    measured = [metric for metric in METRICS if any(metric in row["metrics"] for row in rows)]
    printed = {metric for scores in paper.values() for metric in scores}
    header = ["variant", "receptive field", "runs"]
    for metric in measured:
        header += [METRICS[metric].label, "paper"] if metric in printed else [METRICS[metric].label]
    lines = []
    for row in rows:
        line, theirs = [row["name"], "", ""], paper.get(row["name"].partition(" of ")[0], {})
        if not row["name"].startswith(TRUTH):
            line[1:] = row_cells(row)
        for metric in measured:
            ours = row["metrics"].get(metric)
            line.append(format_spread(metric, ours) if ours else "")
            if metric in printed:
                line.append(f"{theirs[metric]:.2f}" if metric in theirs else "")
        lines.append(line)
    return header, lines


def row_cells(row: Row) -> list[str]:
    """The cells of a row before its metrics: receptive field, and how many runs it is of."""
    field, done = row["receptive_field"], {run["name"] for run in row["runs"]}
    runs = f"{len(done)} of {len(done.union(row['failed'], row['missing']))}"
    reasons = [
        reason if len(reason) < REASON else f"{reason[:REASON]} ..."
        for reason in dict.fromkeys(row["failed"].values())
    ]
    return [f"{field}x{field}" if field else "", "; failed: ".join([runs, *reasons])]


def format_spread(metric: str, value: dict[str, Any]) -> str:
    """Mean and spread as tables have them."""
    beside = "" if value["spread"] is None else f" ± {value['spread']:.3f}"
    return format_metric(metric, value["mean"]) + beside
