"""Writes the results of a sweep from the evaluations of its runs."""

import json
from contextlib import suppress
from dataclasses import asdict

from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.errors import UsageError
from pix2pix_jax.evaluation.evaluation_file import Evaluation, read_finished_evaluation
from pix2pix_jax.reports.sweep import SweepPage, write_sweep_page
from pix2pix_jax.runs.workdir import SweepFolder
from pix2pix_jax.runtime.storage.files import write_atomically
from pix2pix_jax.sweeps.rows import collect_rows
from pix2pix_jax.sweeps.sweep_file import SweepPlan
from pix2pix_jax.sweeps.table import make_note, make_table, to_markdown


def write_results(plan: SweepPlan, folder: SweepFolder, split: str) -> None:
    """Writes results.json, results.md and the page from all finished evaluations."""
    evaluations = read_evaluations(plan, folder, split)
    rows = collect_rows(plan, folder, evaluations)
    json_rows = [asdict(row) for row in rows]
    results = {"title": plan.title, "split": split, "rows": json_rows, "paper": plan.paper}
    write_atomically(folder.results_file, json.dumps(results, indent=1) + "\n")
    table = make_table(rows, plan.paper)
    note = make_note(plan, split, rows, list(evaluations.values()))
    write_atomically(folder.table_file, to_markdown(plan.title, table, note))
    page = SweepPage(
        title=plan.title,
        split=split,
        rows=json_rows,
        evaluations=evaluations,
        note=note,
        header=table.header,
        cells=table.lines,
    )
    write_sweep_page(folder, page)


def read_evaluations(plan: SweepPlan, folder: SweepFolder, split: str) -> dict[str, Evaluation]:
    """Reads the finished evaluations of a sweep, by the name of the variant."""
    evaluations = {}
    for name, config in plan.variants:
        with suppress(UsageError):  # The run of the variant reports a wrong config.
            evaluation = read_finished_evaluation(resolve(config), folder.workdir(name), split)
            if evaluation:
                evaluations[name] = evaluation
    return evaluations
