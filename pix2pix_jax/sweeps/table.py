"""The table of a sweep: its cells, its Markdown, and the note below it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pix2pix_jax.config.metrics import METRICS
from pix2pix_jax.evaluation.evaluation_file import Evaluation
from pix2pix_jax.reports.evaluation import fcn_score_note
from pix2pix_jax.reports.page import TRUTH, format_metric
from pix2pix_jax.runtime.console import plural, some_of
from pix2pix_jax.sweeps.lengths import describe_length
from pix2pix_jax.sweeps.rows import ResultsRow, Statistics
from pix2pix_jax.sweeps.sweep_file import SweepPlan

MAX_REASON = 200  # a table shows at most this number of characters of the reason of a failure


@dataclass(frozen=True)
class Table:
    """The cells of a table.

    Attributes:
      header: a cell for each column.
      lines: the cells of each line.
    """

    header: list[str]
    lines: list[list[str]]


def make_table(rows: Sequence[ResultsRow], paper: Mapping[str, Mapping[str, float]]) -> Table:
    """Makes the table of a sweep.

    Args:
      rows: the rows of the sweep.
      paper: the scores of the paper by row and metric. If the paper reports a measured metric, the
        scores of the paper get the column next to the measured scores.
    """
    measured = [metric for metric in METRICS if any(metric in row.metrics for row in rows)]
    in_paper = {metric for scores in paper.values() for metric in scores}
    header = ["variant", "receptive field", "runs"]
    for metric in measured:
        header += [METRICS[metric].label, *(["paper"] if metric in in_paper else [])]
    lines = []
    for row in rows:
        is_truth = row.name.startswith(TRUTH)
        line = [row.name, "", ""] if is_truth else [row.name, format_field(row), format_runs(row)]
        paper_scores = paper.get(row.name.partition(" of ")[0], {})
        for metric in measured:
            line.append(format_statistics(metric, row.metrics.get(metric)))
            if metric in in_paper:
                line.append(f"{paper_scores[metric]:.2f}" if metric in paper_scores else "")
        lines.append(line)
    return Table(header, lines)


def format_field(row: ResultsRow) -> str:
    """Formats the receptive field of a row, such as 70x70; empty without a discriminator."""
    return f"{row.receptive_field}x{row.receptive_field}" if row.receptive_field else ""


def format_runs(row: ResultsRow) -> str:
    """Formats the number of evaluated variants of a row, and each different reason of a failure."""
    evaluated = {run["name"] for run in row.runs}
    count = f"{len(evaluated)} of {len(evaluated.union(row.failed, row.missing))}"
    reasons = [
        reason if len(reason) < MAX_REASON else f"{reason[:MAX_REASON]} ..."
        for reason in dict.fromkeys(row.failed.values())
    ]
    return "; failed: ".join([count, *reasons])


def format_statistics(metric: str, value: Statistics | None) -> str:
    """Formats the mean and the spread of a metric; empty if the metric was not measured."""
    if value is None:
        return ""
    spread = "" if value.spread is None else f" ± {value.spread:.3f}"
    return format_metric(metric, value.mean) + spread


def to_markdown(title: str, table: Table, note: str) -> str:
    """Formats a table as the content of results.md."""
    # Without the backslash, a | inside a cell would end the cell.
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in table.lines]
    lines = [table.header, ["---"] * len(table.header), *escaped]
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"# {title}\n\n{text}\n{note}\n"


def make_note(
    plan: SweepPlan, split: str, rows: Sequence[ResultsRow], evaluations: Sequence[Evaluation]
) -> str:
    """Writes the note below a table: what was compared, and which scores are not comparable."""
    has_spread = any(value.spread is not None for row in rows for value in row.metrics.values())
    sentences = [
        _describe_comparison(plan, split, evaluations),
        *(["Mean and standard deviation over the runs of a row."] if has_spread else []),
        *_paper_notes(plan, rows),
        *_fcn_score_notes(evaluations),
        *_pairs_notes(evaluations),
        "L1 is measured on images in [-1, 1]. A histogram score is the share that the histograms "
        "of outputs and targets have in common.",
    ]
    return " ".join(sentences)


def _describe_comparison(plan: SweepPlan, split: str, evaluations: Sequence[Evaluation]) -> str:
    """A sentence with the datasets, image sizes, numbers of pairs, and steps."""
    configs = [config for _, config in plan.variants]
    datasets = dict.fromkeys(
        f"{config.data.name} at {'x'.join(map(str, config.data.image_size))}" for config in configs
    )
    lengths = dict.fromkeys(describe_length(config.train) for config in configs)
    pairs = dict.fromkeys(plural(evaluation["images"], "pair") for evaluation in evaluations)
    return (
        f"{', '.join(datasets)}: {' or '.join(pairs) or 'no pairs'} of the {split} split, after "
        f"{' or '.join(lengths)}."
    )


def _paper_notes(plan: SweepPlan, rows: Sequence[ResultsRow]) -> list[str]:
    """A sentence that says where the scores of the paper come from; none without such scores."""
    measured = {metric for row in rows for metric in row.metrics}
    in_paper = {metric for scores in plan.paper.values() for metric in scores}
    if not plan.paper_table or measured.isdisjoint(in_paper):
        return []
    return [f'The columns "paper" have the scores of the paper ({plan.paper_table}).']


def _fcn_score_notes(evaluations: Sequence[Evaluation]) -> list[str]:
    """Sentences that say how classes were read, and how many runs have no FCN-score."""
    readers = {
        evaluation["segmenter"] for evaluation in evaluations if evaluation["segmenter"] is not None
    }
    notes = list(dict.fromkeys(fcn_score_note(reader) for reader in sorted(readers)))
    if len(readers) > 1:
        notes.append(
            f"These FCN-scores come from {len(readers)} segmenters, so they are not comparable. If "
            "the rows use the same data, give all runs the same data.data_dir, and run the sweep "
            "again."
        )
    without = sum(evaluation["segmenter"] is None for evaluation in evaluations)
    if without:
        runs = some_of(without, len(evaluations), "run")
        verb = "has" if len(evaluations) == 1 else "have"
        notes.append(
            f"{runs[0].upper()}{runs[1:]} {verb} no FCN-score. `pix2pix evaluate --workdir=RUN` "
            "prints the reason."
        )
    return notes


def _pairs_notes(evaluations: Sequence[Evaluation]) -> list[str]:
    """A warning if the runs were evaluated on different pairs."""
    count = len({evaluation["data"] for evaluation in evaluations})
    if count <= 1:
        return []
    return [
        f"The runs were evaluated on {count} different sets of pairs. If the rows should use the "
        "same data, a source has changed; run the sweep again in another --workdir."
    ]
